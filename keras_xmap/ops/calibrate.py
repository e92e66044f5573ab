import keras
from keras import ops

from keras_xmap._checks import check_fraction
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Number
from keras_xmap._typing import Tensor

# How far from the cut the mean pixel of a side is, where tanh(1.5) is 0.9.
_STEEPNESS = 1.5


def calibrate(maps: Tensor, share: Number) -> Tensor:
    """Brings maps to one scale, on which 1/2 cuts out a share of the pixels.

    Whatever the contrast of a map, its brightest pixel becomes 1, its darkest
    0, and as many pixels lie above 1/2 as `share` says. The cut `t` is midway
    between the last pixel of the share and the next darker one:

    `y = (1 + tanh(1.5 u) / tanh(1.5 max|u|)) / 2`

    where `u` is `(x - t) / (mean(x above t) - t)` above the cut and
    `(x - t) / (t - mean(x below t))` below it, and the maximum is that of
    either side. Pixels keep their order; those far beyond the mean of their
    side become alike.

    No masks are needed: the share is what a map was trained for, as
    `1 - area_ratio` of `PixelAttention`, or what is known of the objects. A
    threshold of 0.5 means the cut then, in `above_threshold`, `MeanIoU`,
    `boxes` and wherever else a share of the maximum is asked for.

    Args:
        maps: Tensor `(..., height, width)` of finite values, bright where it
            matters. Integers, booleans and half precision are computed in
            float32.
        share: Float strictly between 0 and 1, the share of the pixels that
            is cut out, at least one pixel. Those that tie with the last of
            them are cut out too, unless that were all.

    Returns:
        Tensor of the shape of `maps`, float32 or more. A flat map holds no
        order, and becomes 0 everywhere.

    Raises:
        ValueError: If `share` is not strictly between 0 and 1, or `maps` has
            fewer than 2 axes.

    Example:

    >>> maps = np.array([[[0.30, 0.28], [0.02, 0.01]]])
    >>> y = keras_xmap.ops.calibrate(maps, share=0.5)
    >>> np.asarray(y).round(2).tolist()
    [[[1.0, 0.98], [0.01, 0.0]]]
    """
    share = check_fraction("share", share)
    maps = as_tensor("maps", maps)
    if len(maps.shape) < 2:
        raise ValueError(
            "`maps` must have the axes height and width last. Received: "
            f"maps.shape={tuple(maps.shape)}."
        )
    return calibrated(maps, share)


def calibrated(maps, share):
    """`calibrate` without checks; `share` may be a tensor."""
    dtype = keras.backend.result_type(maps.dtype, "float32")
    maps = ops.cast(maps, dtype)
    named = named_pixels(maps, share)
    flat = ops.logical_not(ops.any(named, (-2, -1), keepdims=True))
    # One value where it has no effect: of infinite ones there is no mean.
    low, high = _largest(maps, ops.logical_not(named)), -_largest(-maps, named)
    cut = ops.where(flat, low, (low + high) / 2)
    above, below = (
        _one_side(ops.where(side, ops.abs(maps - cut), 0.0), side)
        for side in (named, ops.logical_not(named))
    )
    return ops.where(flat, 0.0, (1 + above - below) / 2)


def named_pixels(maps, share):
    """Where maps are among the brightest, none where they are flat."""
    shape = ops.shape(maps)
    flat = ops.reshape(maps, (*shape[:-2], -1))
    size = ops.shape(flat)[-1]
    count = ops.cast(ops.round(share * ops.cast(size, "float32")), "int32")
    # Sorting up, since a sort of negative numbers turns ties around.
    place = size - ops.clip(count, 1, size)
    last = ops.take(ops.sort(flat, axis=-1), place, axis=-1)[..., None, None]
    with_ties = maps >= last
    # Where the ties reach down to the darkest, what is above them is left.
    is_all = ops.all(with_ties, (-2, -1), keepdims=True)
    return ops.where(is_all, maps > last, with_ties)


def _largest(maps, where):
    lowest = ops.min(maps, (-2, -1), keepdims=True)
    return ops.max(ops.where(where, maps, lowest), (-2, -1), keepdims=True)


def _one_side(distances, side):
    """How far beyond the cut the pixels of a side lie, up to 1."""
    count = ops.sum(ops.cast(side, distances.dtype), (-2, -1), keepdims=True)
    mean = ops.sum(distances, (-2, -1), keepdims=True) / ops.maximum(count, 1)
    # Of no pixels, and of those at the cut, the mean is 0.
    mean = ops.where(mean > 0, mean, 1.0)
    bent = ops.tanh(_STEEPNESS * distances / mean)
    furthest = ops.max(bent, (-2, -1), keepdims=True)
    return bent / ops.where(furthest > 0, furthest, 1.0)
