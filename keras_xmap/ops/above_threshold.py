from keras_xmap._checks import check_threshold
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Tensor
from keras_xmap.ops.normalize import normalize


def above_threshold(maps: Tensor, threshold: float = 0.2) -> Tensor:
    """Returns where maps exceed a share of their maximum.

    `region = map > threshold * max(map)`

    This is what `threshold` means everywhere in this package. Values <= 0 are
    never in the region, which is empty where a map has no positive one; a
    flat map above 0 is all region, since nothing in it is less important. A
    mask is its own region at any threshold.

    Args:
        maps: Tensor `(..., height, width)`, finite.
        threshold: Float from 0 to below 1. Defaults to `0.2`, as CAM.

    Returns:
        Boolean tensor of the shape of `maps`.

    Raises:
        ValueError: If `threshold` is out of its range.

    References:
        - [Zhou et al., 2016](https://arxiv.org/abs/1512.04150)

    Example:

    >>> maps = np.array([[[-3.0, 0.0, 2.0, 8.0]], [[-1.0, -1.0, 0.0, 0.0]]])
    >>> np.asarray(keras_xmap.ops.above_threshold(maps)).astype(int).tolist()
    [[[0, 0, 1, 1]], [[0, 0, 0, 0]]]
    """
    threshold = check_threshold("threshold", threshold)
    maps = as_tensor("maps", maps)
    if len(maps.shape) < 2:
        raise ValueError(
            "`maps` must have the axes height and width last. Received: "
            f"maps.shape={tuple(maps.shape)}."
        )
    return normalize(maps, "max", axis=(-2, -1)) > threshold
