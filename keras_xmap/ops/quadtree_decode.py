from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Tensor
from keras_xmap.ops._quadtree_cells import as_levels
from keras_xmap.ops._quadtree_cells import check_number_of_values
from keras_xmap.ops._quadtree_cells import leaf_numbers


def quadtree_decode(
    values: Tensor,
    levels: Tensor,
    data_format: DataFormat | None = "channels_last",
) -> Tensor:
    """Paints the leaves of quadtrees, each in the one value that it has.

    The way back from `quadtree_encode`, exact where leaves were constant; it
    runs inside every compiled function.

    Args:
        values: Tensor `(leaves,)` or `(leaves, channels)`, in the order of
            `quadtree_leaves`.
        levels: Integers `(batch, height, width)`, see `quadtree`.
        data_format: Where channels go, see `quadtree`.

    Returns:
        Tensor `(batch, height, width)`, or images with channels, of the dtype
        of `values`.

    Raises:
        ValueError: If there is not one value a leaf, or `levels` are not
            those of quadtrees.

    Example:

    >>> image = np.array([[[7, 7, 1], [7, 7, 2]]])
    >>> levels = keras_xmap.ops.quadtree(image, threshold=0, num_levels=2)
    >>> values = keras_xmap.ops.quadtree_encode(image, levels)
    >>> np.asarray(keras_xmap.ops.quadtree_decode(values, levels)).tolist()
    [[[7, 7, 1], [7, 7, 2]]]
    """
    data_format = check_data_format(data_format)
    values, levels = as_tensor("values", values), as_levels(levels)
    if len(values.shape) not in (1, 2):
        raise ValueError(
            "`values` must be (leaves,) or (leaves, channels). Received: "
            f"values.shape={tuple(values.shape)}."
        )
    numbers = leaf_numbers(levels)
    check_number_of_values(values, numbers)
    x = ops.take(values, numbers, axis=0)
    if len(values.shape) == 1 or data_format == "channels_last":
        return x
    return ops.moveaxis(x, -1, 1)
