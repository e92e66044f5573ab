"""What is put in place of pixels that are hidden: the one home of fillings.

A filling is a name, a number or an array: `"zero"`; `"mean"`, the mean colour
of each image; `"blur"`, the image itself, blurred; one number for all; one
number for each channel, `(channels,)`; or one image, `(height, width,
channels)` or what broadcasts to it. Layers call it `fill`, explainers
`baseline`.
"""

import keras
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._axes import spatial_axes
from keras_xmap._checks import is_number
from keras_xmap._checks import message
from keras_xmap.ops import gaussian_blur

NAMED_FILLINGS = ("zero", "mean", "blur")
# The standard deviation of `"blur"`, as a share of the size along an axis.
_BLUR = 0.1


def check_filling(name, value, named=NAMED_FILLINGS, remedy=""):
    """Returns a filling: a string, a float, or a NumPy array of numbers.

    Args:
        name: String, what the argument is called.
        value: What was given: one of `named`, a finite number, or an array,
            a tensor or nested lists of finite numbers.
        named: Tuple of the strings that are known here.
        remedy: String for the end of the message.

    Raises:
        ValueError: If it is none of them.
    """
    if isinstance(value, str) and value in named:
        return value
    array = None if isinstance(value, (str, dict)) else _as_array(value)
    if array is None:
        names = "".join(f"{known!r}, " for known in named)
        expected = (
            f"{names}a finite number, or an array of them: one for each "
            "channel, or one image"
        )
        raise ValueError(message(name, expected, value, remedy))
    return array if array.ndim else float(array)


def check_fits(name, value, shape, data_format):
    """Checks that a filling, as `check_filling` returns it, fits images.

    Args:
        name: String, what the argument is called.
        value: A filling, as `check_filling` or `as_config` returns it, or
            `None` for none, which fits.
        shape: Tuple, the shape of the images with their batch. Entries may be
            `None`.
        data_format: That of the images.
    """
    shape, value = tuple(shape), _with_shape(value)
    if isinstance(value, str):
        if value in ("mean", "blur") and len(shape) < 3:
            raise ValueError(
                f"`{name}` can be {value!r} only where there are positions. "
                f"Received: {name}={value!r} for inputs of shape {shape}. "
                "Give 'zero', a number or an array."
            )
        return
    own = getattr(value, "shape", ())
    if len(own) == 1:
        channels = shape[channel_axis(data_format)]
        if channels is not None and own[0] not in (1, channels):
            raise ValueError(
                f"`{name}` must have one entry for each of the {channels} "
                f"channels. Received: {name}={as_config(value)} for images of "
                f"shape {shape}."
            )
        return
    if len(own) == len(shape) and own[0] == 1:
        own = own[1:]
    image = shape[1:]
    fits = len(own) <= len(image) and all(
        size == 1 or known in (None, size)
        for size, known in zip(own[::-1], image[::-1], strict=False)
    )
    if not fits:
        raise ValueError(
            f"`{name}` must have the shape of one image, or broadcast to it. "
            f"Received: {name}.shape={tuple(value.shape)} for images of shape "
            f"{shape}."
        )


def filling(x, value, data_format, blur_stddev=None, name="baseline"):
    """Makes the tensor that is put in place of what is hidden.

    Args:
        x: Images, `(batch, *spatial, channels)` or channels first; or
            `(batch, features)`, which have neither mean colour nor blur.
            Sizes may be unknown while a function is traced.
        value: A filling, as `check_filling` or `as_config` returns it.
        data_format: That of `x`.
        blur_stddev: Number, the standard deviation of `"blur"` in positions;
            or `None` for a tenth of the size along each axis.
        name: String, what the argument is called, for errors.

    Returns:
        Tensor that broadcasts to `x`, of its dtype (`floatx` if `x` is not of
        floats), computed in float32 at least.
    """
    check_fits(name, value, x.shape, data_format)
    is_float = keras.backend.is_float_dtype(x.dtype)
    dtype = x.dtype if is_float else keras.config.floatx()
    if not isinstance(value, str):
        value = _with_shape(value)
        tensor = ops.cast(ops.convert_to_tensor(value), dtype)
        if len(tensor.shape) == 1 and data_format == "channels_first":
            return ops.reshape(tensor, (-1, *[1] * (len(x.shape) - 2)))
        return tensor
    if value == "zero":
        return ops.zeros((), dtype)
    axes = spatial_axes(len(x.shape), data_format)
    full = ops.cast(x, keras.backend.result_type(dtype, "float32"))
    if value == "mean":
        result = ops.mean(full, axis=axes, keepdims=True)
    else:
        if blur_stddev is None:
            sizes = [ops.shape(x)[axis] for axis in axes]
            blur_stddev = [
                _BLUR * (s if is_number(s) else ops.cast(s, full.dtype))
                for s in sizes
            ]
        result = gaussian_blur(full, blur_stddev, data_format)
    return ops.cast(result, dtype)


def filling_of_input(x, value, channel_axis):
    """Makes a baseline of an input, like `filling`.

    Args:
        x: Tensor `(batch, ...)`.
        value: A filling, as `check_filling` returns it.
        channel_axis: Integer: the axis of the channels of `x`, or `None`
            where all its axes are positions.
    """
    if channel_axis is not None:
        is_last = channel_axis == len(x.shape) - 1
        data_format = "channels_last" if is_last else "channels_first"
        return filling(x, value, data_format)
    if len(x.shape) < 3:
        return filling(x, value, "channels_last")
    if getattr(value, "ndim", 0):
        value = value[..., None]
    filled = filling(x[..., None], value, "channels_last")
    return filled[..., 0] if len(filled.shape) else filled


def as_config(value):
    """Returns a filling as JSON holds it: an array as nested lists.

    Plain ones: the lists that a layer holds are tracked by Keras, and refer
    to what cannot be copied.
    """
    if isinstance(value, (list, tuple)):
        return [as_config(entry) for entry in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _with_shape(value):
    """Returns lists, as a config holds them, as an array again."""
    return _as_array(value) if isinstance(value, (list, tuple)) else value


def _as_array(value):
    """Returns an array of finite floats, or `None` where there is none."""
    if any(isinstance(x, bool) for x in keras.tree.flatten(value)):
        return None
    try:
        array = ops.convert_to_numpy(value)
        if array.dtype.kind in "iu":
            array = array.astype("float64")
        elif str(array.dtype) == "bfloat16":
            array = array.astype("float32")
        is_float = array.dtype.kind == "f" and array.size > 0
        finite = is_float and (abs(array) < float("inf")).all()
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return None
    return array if finite else None
