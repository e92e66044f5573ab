import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._axes import spatial_axes
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import is_number
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor


def gaussian_blur(
    x: Tensor,
    stddev: Structure,
    data_format: DataFormat | None = "channels_last",
) -> Tensor:
    """Blurs maps, images or volumes by a Gaussian.

    Along each axis of positions, one after the other,

    `y_i = sum_j w_ij x_j / sum_j w_ij`, `w_ij = exp(-(i - j)^2 / 2 stddev^2)`

    over all positions `j` of the axis: the Gaussian is not cut off, and near
    the border the weights of the positions that exist are normalised again,
    so that a constant stays constant, and nothing is assumed beyond the
    border. The sum is a matrix product, whose cost grows with the size of the
    axis and not with `stddev`.

    Args:
        x: Tensor of shape `(batch, *spatial, channels)` with 1, 2 or 3
            spatial axes, of any float dtype, or integer or boolean, which
            become `keras.config.floatx()`. Axes may be unknown while a function
            or the `call` of a layer is traced.
        stddev: Float >= 0 or scalar tensor, the standard deviation in
            positions; or a list of them, one for each spatial axis. 0 leaves
            an axis as it is.
        data_format: `"channels_last"`, or `"channels_first"` for
            `(batch, channels, *spatial)`; `None` for
            `keras.config.image_data_format()`. Defaults to `"channels_last"`.

    Returns:
        Tensor of the shape and dtype of `x`, computed in float32 at least.

    Raises:
        ValueError: If `x` has no or more than 3 spatial axes, or if `stddev`
            is out of its range or does not fit them.

    Example:

    >>> x = np.reshape([0.0, 0.0, 1.0, 0.0, 0.0], (1, 5, 1))
    >>> y = keras_xmap.ops.gaussian_blur(x, stddev=1.0)
    >>> np.asarray(y).ravel().round(2).tolist()
    [0.08, 0.26, 0.4, 0.26, 0.08]
    """
    data_format = check_data_format(data_format)
    x = as_tensor("x", x)
    if len(x.shape) not in (3, 4, 5):
        raise ValueError(
            "`x` must have a batch axis, 1 to 3 spatial axes and a channel "
            f"axis. Received: x.shape={tuple(x.shape)}. Add the missing axis "
            "with `keras.ops.expand_dims`."
        )
    axes = spatial_axes(len(x.shape), data_format)
    is_float = keras.backend.is_float_dtype(x.dtype)
    dtype = x.dtype if is_float else keras.config.floatx()
    y = ops.cast(x, keras.backend.result_type(dtype, "float32"))
    for axis, width in zip(axes, _per_axis(stddev, len(axes)), strict=True):
        y = _along(y, axis, width)
    return ops.cast(y, dtype)


def _per_axis(stddev, count):
    several = isinstance(stddev, (list, tuple))
    widths = stddev if several else [stddev] * count
    if len(widths) != count:
        raise ValueError(
            "`stddev` must have one entry for each spatial axis. Received: "
            f"stddev={stddev!r} for {count} axes."
        )
    return [
        width
        if _is_scalar_tensor(width)
        else check_non_negative("stddev", width)
        for width in widths
    ]


def _is_scalar_tensor(value):
    return not is_number(value) and getattr(value, "shape", None) == ()


def _along(x, axis, stddev):
    if isinstance(stddev, float) and stddev == 0:
        return x
    position = ops.arange(ops.shape(x)[axis], dtype=x.dtype)
    distance = ops.expand_dims(position, 1) - position
    # From here down, all weights but the one of the position itself vanish.
    stddev = ops.maximum(ops.cast(stddev, x.dtype), 0.01)
    weights = ops.exp(-0.5 * ops.square(distance / stddev))
    weights = weights / ops.sum(weights, axis=1, keepdims=True)
    # One product of two matrices, which is faster than one for each image.
    rows = ops.moveaxis(x, axis, -1)
    flat = ops.reshape(rows, (-1, ops.shape(rows)[-1]))
    flat = ops.matmul(flat, ops.transpose(weights))
    return ops.moveaxis(ops.reshape(flat, ops.shape(rows)), -1, axis)
