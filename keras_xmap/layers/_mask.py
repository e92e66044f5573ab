"""What layers called on a pair of images and mask share."""

import reprlib

from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._axes import spatial_shape
from keras_xmap._numeric import check_numeric


def shapes_of(inputs, first, second="mask"):
    """Returns the shapes of a pair of tensors of numbers, by their names."""
    is_pair = isinstance(inputs, (list, tuple)) and len(inputs) == 2
    if not is_pair or not all(hasattr(x, "shape") for x in inputs):
        raise ValueError(
            f"The layer must be called on a list `[{first}, {second}]` of "
            f"tensors. Received: inputs={reprlib.repr(inputs)}."
        )
    for name, x in zip((first, second), inputs, strict=True):
        check_numeric(name, x)
    return [tuple(x.shape) for x in inputs]


def check_mask_pair(input_shape, first, data_format, same_size=False):
    """Returns the shape of the first of a pair `[first, mask]`, checked."""
    pair = input_shape if isinstance(input_shape, (list, tuple)) else ()
    if len(pair) != 2 or not all(isinstance(s, (list, tuple)) for s in pair):
        raise ValueError(
            f"The layer must be called on a list `[{first}, mask]`. "
            f"Received: input_shape={input_shape}."
        )
    shape, mask_shape = tuple(pair[0]), tuple(pair[1])
    if len(shape) != 4:
        raise ValueError(
            f"`{first}` must have a batch, two spatial and a channel axis. "
            f"Received: {first}.shape={shape}."
        )
    if len(mask_shape) not in (3, 4):
        raise ValueError(
            "`mask` must be (batch, height, width), with or without one "
            f"channel. Received: mask.shape={mask_shape}."
        )
    if len(mask_shape) == 4 and mask_shape[channel_axis(data_format)] not in (
        1,
        None,
    ):
        raise ValueError(
            f"`mask` must have one channel under data_format={data_format!r}. "
            f"Received: mask.shape={mask_shape}. Reduce the channels to one, "
            "for example with `keras.ops.any`."
        )
    if not _may_be_equal(shape[:1], mask_shape[:1]):
        raise ValueError(
            f"`{first}` and `mask` must have the same batch size. Received: "
            f"{first}.shape={shape}, mask.shape={mask_shape}."
        )
    if same_size and not _may_be_equal(
        sizes_of(shape, data_format), sizes_of(mask_shape, data_format)
    ):
        raise ValueError(
            f"`{first}` and `mask` must have the same height and width. "
            f"Received: {first}.shape={shape}, mask.shape={mask_shape}. "
            "Resize the mask with `keras_xmap.ops.resize`."
        )
    return shape


def sizes_of(shape, data_format):
    """Returns height and width of a shape, with channels or without."""
    if len(shape) == 3:
        return tuple(shape[1:])
    return spatial_shape(shape, data_format)


def with_channel(mask, data_format, dtype):
    """Returns `mask` as floats with its channel axis."""
    if len(mask.shape) == 3:
        mask = ops.expand_dims(mask, channel_axis(data_format))
    return ops.cast(mask, dtype)


def _may_be_equal(one, other):
    return all(
        a == b or a is None or b is None
        for a, b in zip(one, other, strict=True)
    )
