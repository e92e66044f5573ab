from typing import Literal

import keras
from keras import ops

from keras_xmap._checks import check_one_of
from keras_xmap._checks import is_integer
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Tensor

# Scaled by an exact power of two, the span of any two float32 numbers and its
# reciprocal are normal numbers, or the map is flat: compilers multiply by
# reciprocals, and hardware flushes subnormal numbers to zero.
_SCALE = 2.0**-3
_SMALLEST_SPAN = 2.0**-126


def normalize(
    maps: Tensor,
    method: Literal["min_max", "max"] = "min_max",
    axis: int | tuple[int, ...] | None = None,
) -> Tensor:
    """Brings every map to a common scale, and answers for every map.

    `"min_max"` is `(map - min) / (max - min)`; `"max"` is `map / max`, which
    keeps zero at zero. Where the divisor vanishes the map holds no ranking of
    pixels and the result is all zeros, never NaN: a flat map under
    `"min_max"`, a map without a positive value under `"max"`.

    Args:
        maps: Tensor of finite values and any shape, usually
            `(batch, height, width)`. Integers, booleans and half precision
            are computed in float32.
        method: `"min_max"` (results in `[0, 1]`, each map touches both ends)
            or `"max"` (largest value 1, negative values stay negative).
            Defaults to `"min_max"`.
        axis: Integer or tuple of integers, the axes that make up one map;
            `None` for all but the first, which is per image. Defaults to
            `None`.

    Returns:
        Tensor of the shape of `maps` and its float dtype (float32 for
        integers and booleans).

    Raises:
        ValueError: If `method` is unknown, or if `axis=None` and `maps` has
            only one axis.

    Example:

    >>> maps = np.array([[0.0, 1.0, 2.0, 4.0], [3.0, 3.0, 3.0, 3.0]])
    >>> np.asarray(keras_xmap.ops.normalize(maps)).tolist()
    [[0.0, 0.25, 0.5, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """
    check_one_of("method", method, ("min_max", "max"))
    maps = as_tensor("maps", maps)
    if axis is None:
        if len(maps.shape) < 2:
            raise ValueError(
                "`maps` must have a batch axis and at least one more. "
                f"Received: maps.shape={tuple(maps.shape)}. For a single map "
                "pass `axis`."
            )
        axis = tuple(range(1, len(maps.shape)))
    axis = _checked_axis(axis, len(maps.shape))
    compute_dtype = keras.backend.result_type(maps.dtype, "float32")
    is_float = keras.backend.is_float_dtype(maps.dtype)
    dtype = maps.dtype if is_float else compute_dtype
    maps = ops.cast(maps, compute_dtype) * _SCALE
    # An initial value, so that an empty batch has an answer too.
    options = {"axis": axis, "keepdims": True}
    upper = ops.max(maps, initial=-float("inf"), **options)
    lower = ops.zeros_like(upper)
    if method == "min_max":
        lower = ops.min(maps, initial=float("inf"), **options)
    span = upper - lower
    flat = span < _SMALLEST_SPAN
    scaled = (maps - lower) / ops.where(flat, ops.ones_like(span), span)
    return ops.cast(ops.where(flat, ops.zeros_like(maps), scaled), dtype)


def _checked_axis(axis, rank):
    """Returns axes of one map as a tuple of different ones that there are."""
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    known = axes and all(is_integer(a) and -rank <= a < rank for a in axes)
    if not known or len({a % rank for a in axes}) < len(axes):
        raise ValueError(
            "`axis` must be an axis of `maps`, or several different ones. "
            f"Received: axis={axis!r} for maps of {rank} axes."
        )
    return tuple(axes)
