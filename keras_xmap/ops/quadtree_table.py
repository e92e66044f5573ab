import keras
from keras import ops

from keras_xmap._checks import check_integer
from keras_xmap._checks import check_odd
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.ops._quadtree_cells import as_levels
from keras_xmap.ops._quadtree_table import table_of

_MOST_LEVELS = 31


def quadtree_table(
    levels: Tensor,
    num_levels: int = 6,
    kernel_size: int = 3,
    capacity: int | None = None,
) -> Structure:
    """Lists the leaves of quadtrees with what lies around each of them.

    The table that layers on leaves share: it is made once for a batch, and
    `layers.QuadtreeConv2D` and its kin take `[values, table]`, where `values`
    is `(batch, slots, channels)`. Each image has as many slots; its leaves
    fill the first of them, row by row of their upper left pixels, and the
    rest are empty.

    The neighbors of a leaf are squares of its own size. Each of them is a
    leaf, or lies in a larger one, whose value it has, or is divided, and its
    value is the mean over its pixels. Outside the image there is 0. So the
    table has numbers for the divided cells too, after those of the slots, and
    a last one for nothing.

    Levels of -1 mark pixels where there is nothing, also 0 for those around
    them: with `num_levels=1` this is the table of any set of pixels, such as
    a mask, or the cells of one level that a network divides further.

    Args:
        levels: Integers `(batch, height, width)`, see `quadtree`, or -1.
        num_levels: Integer from 1 to 31, that of the quadtree. Defaults to
            `6`.
        kernel_size: Odd integer: the side, in cells, of the largest kernel of
            the layers that share the table. Defaults to `3`.
        capacity: Integer: the slots of an image. `None` makes as many as the
            image with the most leaves wants, and a few more, so that few
            sizes occur; under `jax.jit` and `jit_compile=True` it has to be
            given. Defaults to `None`.

    Returns:
        Dict of tensors, all with the batch first:

        - `"leaves"`: int32 `(batch, slots, 3)`, the row and the column of the
          upper left pixel, and the level; 0 in empty slots.
        - `"filled"`: boolean `(batch, slots)`, whether there is a leaf.
        - `"numbers"`: int32 `(batch, height, width)`, the slot of the leaf of
          each pixel; the number of slots where there is nothing.
        - `"neighbors"`: int32 `(batch, slots, kernel_size**2)`, the number of
          each neighbor, row by row, the leaf itself in the middle.
        - `"parents"`, `"shares"`: lists with an entry for each level: for the
          leaves, then for the divided cells of each level from 1 on, which
          divided cell each lies in, and its share of the area of that.
        - `"is_whole"`: boolean `(batch,)`, whether all leaves had a slot. It
          can be false in compiled functions alone; elsewhere too small a
          capacity is an error.

    Raises:
        ValueError: If `levels` are not those of quadtrees with so many
            levels, an argument is out of its range, or `capacity` is less
            than the leaves.

    Example:

    >>> levels = keras_xmap.ops.quadtree(np.eye(2)[None], 0.5, num_levels=2)
    >>> table = keras_xmap.ops.quadtree_table(levels, 2, capacity=4)
    >>> np.asarray(table["leaves"])[0].tolist()
    [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]]
    >>> np.asarray(table["neighbors"])[0, 0].tolist()  # 5: outside
    [5, 5, 5, 5, 0, 1, 5, 2, 3]
    """
    num_levels = check_integer("num_levels", num_levels, 1, _MOST_LEVELS)
    kernel_size = check_odd("kernel_size", kernel_size)
    capacity = check_optional(check_positive_integer, "capacity", capacity)
    levels = as_tensor("levels", levels)
    if keras.backend.is_int_dtype(levels.dtype):
        levels = ops.cast(levels, "int32")
        nothing = levels == -1
        checked = as_levels(ops.where(nothing, 0, levels), num_levels)
        levels = ops.where(nothing, -1, checked)
    else:
        levels = as_levels(levels)
    return table_of(levels, num_levels, kernel_size, capacity)
