import keras
from keras import ops

from keras_xmap._numeric import as_tensor
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Tensor
from keras_xmap.ops._quadtree_cells import as_levels
from keras_xmap.ops._quadtree_cells import as_pixels
from keras_xmap.ops._quadtree_cells import corners
from keras_xmap.ops._quadtree_cells import integers_that_hold
from keras_xmap.ops._quadtree_cells import leaf_numbers


def quadtree_encode(
    x: Tensor,
    levels: Tensor,
    data_format: DataFormat | None = "channels_last",
) -> Tensor:
    """Returns the mean of images or maps over each leaf of their quadtrees.

    Exact where a leaf is constant, whatever its value: what is averaged is
    the distance from the leaf's first pixel. `x` need not be what the
    quadtrees were made of: the tree of an image may hold its maps.

    How many leaves there are is known from the values alone. So this runs on
    concrete tensors and inside a `tf.function`, but not under `jax.jit`.

    Args:
        x: Tensor `(batch, height, width)` or `(batch, height, width,
            channels)`.
        levels: Integers `(batch, height, width)`, see `quadtree`.
        data_format: See `quadtree`.

    Returns:
        Tensor `(leaves,)`, or `(leaves, channels)` if `x` has channels, in
        the order of `quadtree_leaves`, of the dtype of `x`: means of integers
        are rounded. Computed in float32 at least.

    Raises:
        ValueError: If `x` and `levels` are of different sizes, or `levels`
            not those of quadtrees.

    Example:

    >>> x = np.array([[[5.0, 5.0, 1.0, 2.0], [5.0, 5.0, 3.0, 4.0]]])
    >>> levels = keras_xmap.ops.quadtree(x, threshold=3.0, num_levels=2)
    >>> values = keras_xmap.ops.quadtree_encode(x, levels)
    >>> np.asarray(values).tolist()
    [5.0, 2.5]
    """
    levels = as_levels(levels)
    x = as_tensor("x", x)
    pixels = as_pixels(x, data_format)
    sizes = tuple(pixels.shape[:3]), tuple(levels.shape)
    if any(None not in s and s[0] != s[1] for s in zip(*sizes, strict=True)):
        raise ValueError(
            "`levels` must be of the batch and size of `x`. Received: "
            f"x of (batch, height, width)={sizes[0]}, levels.shape={sizes[1]}."
        )
    pixels = ops.reshape(pixels, (-1, pixels.shape[-1]))
    numbers = ops.reshape(leaf_numbers(levels), (-1,))
    (places,) = ops.nonzero(ops.reshape(corners(levels), (-1,)))
    first = ops.take(pixels, places, axis=0)
    values = _plus(first, _mean_distances(pixels, first, numbers))
    values = ops.cast(values, x.dtype)
    return values if len(x.shape) == 4 else values[:, 0]


def _mean_distances(pixels, first, numbers):
    """Returns how far the mean of each leaf is from its first pixel."""
    dtype = pixels.dtype
    if not keras.backend.is_float_dtype(dtype):
        dtype = "float32"
    pixels, start = ops.cast(pixels, dtype), ops.cast(first, dtype)
    distances = pixels - ops.take(start, numbers, axis=0)
    number = ops.shape(first)[0]
    ones = ops.ones_like(distances[:, :1])
    count = ops.segment_sum(ones, numbers, number)
    total = ops.segment_sum(distances, numbers, number)
    # Infinity has no distance from itself.
    return ops.where(count > 1, total / count, 0.0)


def _plus(first, distances):
    if keras.backend.is_float_dtype(first.dtype):
        return first + distances
    wide = integers_that_hold(first.dtype)
    return ops.cast(first, wide) + ops.cast(ops.round(distances), wide)
