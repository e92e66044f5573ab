from typing import Literal

import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._axes import spatial_axes
from keras_xmap._axes import spatial_shape
from keras_xmap._checks import check_one_of
from keras_xmap._checks import is_integer
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor


def resize(
    x: Tensor,
    size: Structure,
    interpolation: Literal["bilinear", "nearest"] = "bilinear",
    data_format: DataFormat | None = "channels_last",
) -> Tensor:
    """Resizes maps, images or volumes to a spatial size.

    Pixels are areas, not points: output pixel `i` of `n` looks at position
    `(i + 0.5) * m / n - 0.5` of the `m` input pixels (half-pixel centres,
    the convention of `keras.ops.image.resize`; `scipy.ndimage.zoom` and
    Caffe align the corners instead). Positions beyond the border take the
    border's value, and there is no antialiasing when the size shrinks. Each
    axis is resized on its own, so that one function serves 1-D, 2-D and 3-D.

    Args:
        x: Tensor of shape `(batch, *spatial, channels)` with 1, 2 or 3
            spatial axes, of any float dtype, or integer or boolean, which
            become `keras.config.floatx()`. Axes may be unknown while a function
            or the `call` of a layer is traced.
        size: The new spatial size: one entry an axis, each an integer >= 1 or
            a scalar integer tensor; for 1-D a bare integer will do.
        interpolation: `"bilinear"` (linear along each axis) or `"nearest"`.
            Defaults to `"bilinear"`.
        data_format: `"channels_last"`, or `"channels_first"` for
            `(batch, channels, *spatial)`; `None` for
            `keras.config.image_data_format()`. Defaults to `"channels_last"`.

    Returns:
        Tensor of the dtype of `x` and shape `(batch, *size, channels)`; `x`
        itself where the size is known to be the same.

    Raises:
        ValueError: If `x` has no or more than 3 spatial axes, if `size` does
            not fit them, or if an option is unknown.

    Example:

    >>> x = np.reshape([0.0, 1.0], (1, 2, 1))
    >>> np.asarray(keras_xmap.ops.resize(x, 4)).ravel().tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    check_one_of("interpolation", interpolation, ("bilinear", "nearest"))
    data_format = check_data_format(data_format)
    x = as_tensor("x", x)
    if not keras.backend.is_float_dtype(x.dtype):
        x = ops.cast(x, keras.config.floatx())
    size = _checked_size(x, size)
    axes = spatial_axes(len(x.shape), data_format)
    known = all(isinstance(entry, int) for entry in size)
    if known and size == spatial_shape(x.shape, data_format):
        return x
    if interpolation == "nearest":
        return _along_each_axis(_nearest, x, size, axes)
    if not known:
        return _along_each_axis(_linear, x, size, axes)
    if data_format == "channels_first":
        x = ops.moveaxis(x, 1, -1)
    x = _linear_to_known_size(x, size)
    return x if data_format == "channels_last" else ops.moveaxis(x, -1, 1)


def _checked_size(x, size):
    if not isinstance(size, (tuple, list)):
        size = (size,)
    size = tuple(int(entry) if is_integer(entry) else entry for entry in size)
    if len(x.shape) not in (3, 4, 5):
        raise ValueError(
            "`x` must have a batch axis, 1 to 3 spatial axes and a channel "
            f"axis. Received: x.shape={tuple(x.shape)}. Add the missing axis "
            "with `keras.ops.expand_dims`."
        )
    if len(size) != len(x.shape) - 2:
        raise ValueError(
            "`size` must have one entry for each spatial axis. Received: "
            f"size={size} for x.shape={tuple(x.shape)}."
        )
    if not all(_is_size(entry) for entry in size):
        raise ValueError(
            f"`size` must hold integers >= 1. Received: size={size}."
        )
    return size


def _is_size(entry):
    """Whether this is an integer >= 1, or a scalar integer tensor."""
    if isinstance(entry, int):
        return not isinstance(entry, bool) and entry >= 1
    if not ops.is_tensor(entry) or len(entry.shape):
        return False
    return keras.backend.is_int_dtype(entry.dtype)


def _linear_to_known_size(x, size):
    if len(size) == 1:
        x = _linear_2d(ops.expand_dims(x, 2), (*size, 1))
        return ops.squeeze(x, 2)
    if len(size) == 2:
        return _linear_2d(x, size)
    # First every slice, then the depth with each slice as one long row.
    batch, depth, height, width, channels = ops.shape(x)
    x = ops.reshape(x, (-1, height, width, channels))
    x = _linear_2d(x, size[1:])
    row = size[1] * size[2]
    x = ops.reshape(x, (-1, depth, row, channels))
    x = _linear_2d(x, (size[0], row))
    return ops.reshape(x, (batch, *size, channels))


def _linear_2d(x, size):
    return ops.image.resize(
        x, size, interpolation="bilinear", data_format="channels_last"
    )


def _along_each_axis(resize_axis, x, size, axes):
    for axis, entry in zip(axes, size, strict=True):
        if not isinstance(entry, int):
            entry = ops.cast(entry, "int32")
        x = resize_axis(x, entry, axis)
    return x


def _nearest(x, size, axis):
    # Whole numbers only: floor((i + 0.5) * old / new) free of rounding, on
    # which the backends' own resizes differ where a position meets an edge.
    old_size = ops.shape(x)[axis]
    index = (2 * ops.arange(size, dtype="int32") + 1) * old_size // (2 * size)
    return ops.take(x, index, axis=axis)


def _linear(x, size, axis):
    # For a size known only while running: `ops.image.resize` compares the
    # size with 0 in Python, which the tensor of a traced function refuses.
    old_size = ops.shape(x)[axis]
    scale = ops.cast(old_size, "float32") / ops.cast(size, "float32")
    centre = (ops.arange(size, dtype="float32") + 0.5) * scale - 0.5
    lower = ops.floor(centre)
    weight_shape = [1] * len(x.shape)
    weight_shape[axis] = -1
    weight = ops.cast(ops.reshape(centre - lower, weight_shape), x.dtype)
    lower = ops.cast(lower, "int32")
    before = ops.take(x, ops.clip(lower, 0, old_size - 1), axis=axis)
    after = ops.take(x, ops.clip(lower + 1, 0, old_size - 1), axis=axis)
    return before + (after - before) * weight
