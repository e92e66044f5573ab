import numpy as np

from keras_xmap._boxes import region_boxes
from keras_xmap._checks import check_one_of
from keras_xmap.segmentation._photos import check_map


def boxes(map, threshold=0.2, regions="largest"):
    """Returns tight boxes around where a map is high.

    The map is brought to [0, 1] by its own minimum and maximum; a region is
    what lies above the threshold and hangs together, corners included.
    `metrics.MaxBoxAccuracy` measures such boxes, and finds the threshold that
    suits a method.

    Args:
        map: Array `(height, width)` of finite numbers: an explanation map, a
            probability, or a mask such as `grabcut` returns, for which any
            threshold will do. Or several: `(batch, height, width)` or a list.
        threshold: Float from 0 to below 1. Defaults to `0.2`, as CAM.
        regions: `"largest"`, the region of most pixels, or `"all"`, the
            largest first. Defaults to `"largest"`.

    Returns:
        Integer array `(regions, 4)` of `(x0, y0, x1, y1)`, in pixels of the
        map. Column `x1` and row `y1` belong to the box. A flat map has no
        box: `(0, 4)`. For several maps a list of arrays.

    Raises:
        ValueError: If a shape, a value or an option is not as above.

    References:
        - [Zhou et al., 2016](https://arxiv.org/abs/1512.04150)

    Example:

    >>> map = np.zeros((6, 8))
    >>> map[1:4, 2:5] = 1.0
    >>> map[5, 7] = 0.5
    >>> keras_xmap.segmentation.boxes(map)
    array([[2, 1, 4, 3]])
    >>> keras_xmap.segmentation.boxes(map, regions="all")
    array([[2, 1, 4, 3],
           [7, 5, 7, 5]])
    """
    check_one_of("regions", regions, ("largest", "all"))
    check_threshold(threshold)
    if isinstance(map, (list, tuple)) or np.ndim(map) == 3:
        return [boxes(one, threshold, regions) for one in map]
    found, sizes = region_boxes(_above(check_map(map), threshold), regions)
    return found[np.argsort(-sizes, kind="stable")]


def check_threshold(threshold):
    """Raises unless `threshold` is a share of the range of a map."""
    if not 0 <= threshold < 1:
        raise ValueError(
            "`threshold` must be a number from 0 to below 1. Received: "
            f"threshold={threshold!r}. It is a share of the map's range."
        )


def _above(map, threshold):
    low, high = map.min(), map.max()
    if not low < high:
        return np.zeros(map.shape, bool)
    return (map - low) / (high - low) > threshold
