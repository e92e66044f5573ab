from keras import ops

from keras_xmap._typing import Tensor
from keras_xmap.ops._quadtree_cells import as_levels
from keras_xmap.ops._quadtree_cells import corners


def quadtree_leaves(levels: Tensor) -> Tensor:
    """Lists the leaves of quadtrees: in which image each lies, and where.

    How many there are is known from the values alone. So this runs on
    concrete tensors and inside a `tf.function`, but not under `jax.jit`.

    Args:
        levels: Integers `(batch, height, width)`, see `quadtree`.

    Returns:
        Int32 tensor `(leaves, 5)`: the number of the image, and the leaf as a
        half-open box `(x0, y0, x1, y1)`, cut at the border of the image.
        Leaves stand image by image, row by row of their upper left pixels, as
        `quadtree_encode` has them.

    Raises:
        ValueError: If `levels` are not those of quadtrees.

    Example:

    >>> levels = keras_xmap.ops.quadtree(np.zeros((1, 2, 3)), 0.0, num_levels=2)
    >>> np.asarray(keras_xmap.ops.quadtree_leaves(levels)).tolist()
    [[0, 0, 0, 2, 2], [0, 2, 0, 3, 2]]
    """
    levels = as_levels(levels)
    _, height, width = ops.shape(levels)
    image, y, x = (
        ops.cast(place, "int32") for place in ops.nonzero(corners(levels))
    )
    level = ops.take(
        ops.reshape(levels, (-1,)), (image * height + y) * width + x
    )
    side = ops.left_shift(ops.ones_like(level), level)
    right, bottom = ops.minimum(x + side, width), ops.minimum(y + side, height)
    return ops.stack([image, x, y, right, bottom], axis=-1)
