from typing import Literal

import keras
from keras import ops

from keras_xmap._checks import check_integer
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_one_of
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Tensor
from keras_xmap.ops._quadtree_cells import as_pixels
from keras_xmap.ops._quadtree_cells import divided
from keras_xmap.ops._quadtree_cells import halves
from keras_xmap.ops._quadtree_cells import integers_that_hold

# A level is the logarithm of a side, which is an int32.
_MOST_LEVELS = 31


def quadtree(
    x: Tensor,
    threshold: float,
    num_levels: int = 6,
    criterion: Literal["range", "variance"] = "range",
    data_format: DataFormat | None = "channels_last",
) -> Tensor:
    """Divides images or maps into squares in which little changes.

    The image is covered by squares of `2**(num_levels - 1)` pixels from its
    upper left corner on, cut at the border. A square in which a channel
    varies by more than `threshold` is divided in four, down to single pixels.
    What remains are the leaves of a quadtree, and each pixel is told the
    level of its leaf: 0 for a leaf of one pixel, `l` for one of `2**l` pixels
    a side. These numbers are the whole tree: `quadtree_leaves` lists its
    leaves, `quadtree_encode` keeps one value for each, `quadtree_decode`
    paints them again.

    `criterion="range"` takes `max - min` of a square: no pixel differs from
    the mean of its leaf by more than the threshold. `"variance"` takes the
    mean squared distance from the mean of the square, and bounds the mean
    squared error instead. At `threshold=0` both divide until squares are
    constant, and decoding returns the image exactly.

    Neither recursion nor a loop over squares: a pyramid of pooled images and
    one pass down it, a third more than a look at every pixel.

    Args:
        x: Tensor `(batch, height, width)` or `(batch, height, width,
            channels)`, of any size and dtype. Height and width may be unknown
            while a function is traced. Pixels that are not finite become
            leaves of their own.
        threshold: Float >= 0, in the units of `x`, or in their square if
            `criterion="variance"`.
        num_levels: Integer from 1 to 31: how many sizes of squares there are,
            1, 2, 4, ... pixels. Defaults to `6`, up to 32 pixels.
        criterion: `"range"` or `"variance"`, see above; of several channels
            each is asked. Defaults to `"range"`.
        data_format: `"channels_last"`, or `"channels_first"` for
            `(batch, channels, height, width)`; `None` for
            `keras.config.image_data_format()`. Defaults to `"channels_last"`.

    Returns:
        Int32 tensor `(batch, height, width)`.

    Raises:
        ValueError: If `x` is of another number of axes, or if an argument is
            out of its range.

    References:
        - [Samet, 1984](https://doi.org/10.1145/356924.356930)

    Example:

    >>> image = np.zeros((1, 4, 4))
    >>> image[0, 0, 0] = 9.0
    >>> levels = keras_xmap.ops.quadtree(image, threshold=1.0, num_levels=3)
    >>> np.asarray(levels)[0].tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    """
    threshold = check_non_negative("threshold", threshold)
    num_levels = check_integer("num_levels", num_levels, 1, _MOST_LEVELS)
    check_one_of("criterion", criterion, ("range", "variance"))
    x = as_pixels(x, data_format)
    sizes = [tuple(ops.shape(x)[1:3])]
    for _ in range(num_levels - 1):
        sizes.append(tuple((size + 1) // 2 for size in sizes[-1]))
    # A variance of 0 is a range of 0, of which the square may underflow.
    if criterion == "range" or not threshold:
        alike = _within_range(x, threshold, sizes)
    else:
        alike = _within_variance(x, threshold, sizes)
    levels = -ops.ones_like(alike[-1], "int32")  # -1: not in a leaf so far
    for level in reversed(range(num_levels)):
        if level < num_levels - 1:
            levels = divided(levels, sizes[level])
        is_leaf = ops.logical_and(levels < 0, alike[level])
        levels = ops.where(is_leaf, level, levels)
    return levels


def _within_range(x, threshold, sizes):
    """Returns for each level which squares vary by `threshold` at most."""
    if not keras.backend.is_float_dtype(x.dtype):
        x = ops.cast(x, integers_that_hold(x.dtype))
        threshold = int(min(threshold, 2**31 - 1))
    high = low = x
    # One pixel is a leaf, also where it is NaN.
    alike = [ops.ones_like(x[..., 0], "bool")]
    for size in sizes[:-1]:
        for axis, length in enumerate(size, 1):
            high = ops.maximum(*halves(high, axis, length))
            low = ops.minimum(*halves(low, axis, length))
        span = high - low  # of integers below 0 where it overflows
        within = ops.logical_and(span >= 0, span <= threshold)
        alike.append(ops.all(within, axis=-1))
    return alike


def _within_variance(x, threshold, sizes):
    """Returns for each level which squares have that variance at most.

    Means and sums of squared distances from them are merged in pairs, after
    Chan et al.: sums of squares would lose what is small beside the mean.
    """
    mean = x
    if not keras.backend.is_float_dtype(x.dtype):
        mean = ops.cast(x, "float32")
    squares = ops.zeros_like(mean)
    counts = [ops.ones((size,), mean.dtype) for size in sizes[0]]
    alike = [ops.ones_like(mean[..., 0], "bool")]
    for size in sizes[:-1]:
        for axis, length in enumerate(size, 1):
            mean, squares = _merged(mean, squares, counts, axis, length)
        number = counts[0][:, None, None] * counts[1][:, None]
        alike.append(ops.all(squares / number <= threshold, axis=-1))
    return alike


def _merged(mean, squares, counts, axis, length):
    """Merges squares in pairs along an axis, and `counts` in place."""
    first, second = halves(counts[axis - 1], 0, length)
    is_there = 2 * ops.arange((length + 1) // 2) + 1 < length
    second = ops.where(is_there, second, 0.0)
    counts[axis - 1] = first + second
    shape = (-1, 1, 1) if axis == 1 else (-1, 1)
    across = counts[2 - axis]
    across = across[:, None] if axis == 1 else across[:, None, None]
    first, second = ops.reshape(first, shape), ops.reshape(second, shape)
    share = second / (first + second)
    before, after = halves(mean, axis, length)
    distance = after - before
    mean = before + distance * share
    before, after = halves(squares, axis, length)
    after = ops.where(second > 0, after, 0.0)
    between = distance * distance * first * share * across
    return mean, before + after + between
