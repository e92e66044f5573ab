import numpy as np
from keras import ops

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_threshold
from keras_xmap._typing import ArrayLike
from keras_xmap.ops import above_threshold
from keras_xmap.segmentation._components import label_components
from keras_xmap.segmentation._images_and_maps import check_map


def boxes(
    maps: ArrayLike, threshold: float = 0.2, components: str = "largest"
) -> np.ndarray | list[np.ndarray]:
    """Returns tight boxes around where a map is high.

    A box surrounds an 8-connected component of what exceeds a share of the
    map's maximum, see `ops.above_threshold`. `metrics.MaxBoxAccuracy`
    measures such boxes, and finds the threshold that suits a method.

    Args:
        maps: Array `(height, width)` of finite numbers: an explanation map, a
            probability, or a mask such as `grabcut` returns, for which any
            threshold will do. Or several: `(batch, height, width)` or a list.
        threshold: Float from 0 to below 1. Defaults to `0.2`, as CAM.
        components: `"largest"`, the component of most pixels, the first of
            several, or `"all"`, the largest first. Defaults to `"largest"`.

    Returns:
        Integer array `(components, 4)` of half-open boxes `(x0, y0, x1, y1)`
        in pixels of the map, as Keras' `bounding_box_format="xyxy"`:
        `map[y0:y1, x0:x1]` is what is inside. A map without a positive value
        has no box: `(0, 4)`. For several maps a list of arrays.

    Raises:
        ValueError: If a shape, a value or an option is not as above.

    References:
        - [Zhou et al., 2016](https://arxiv.org/abs/1512.04150)

    Example:

    >>> heatmap = np.zeros((6, 8))
    >>> heatmap[1:4, 2:5] = 1.0
    >>> heatmap[5, 7] = 0.5
    >>> keras_xmap.segmentation.boxes(heatmap)
    array([[2, 1, 5, 4]])
    >>> keras_xmap.segmentation.boxes(heatmap, components="all")
    array([[2, 1, 5, 4],
           [7, 5, 8, 6]])
    """
    check_one_of("components", components, ("largest", "all"))
    check_threshold("threshold", threshold)
    if isinstance(maps, (list, tuple)) or np.ndim(maps) == 3:
        return [_boxes(heatmap, threshold, components) for heatmap in maps]
    return _boxes(maps, threshold, components)


def _boxes(heatmap, threshold, components):
    heatmap = check_map(heatmap)
    if heatmap.dtype != bool:
        mask = above_threshold(heatmap, threshold)
        heatmap = ops.convert_to_numpy(mask)
    labels, sizes = label_components(heatmap)
    if not len(sizes):
        return np.zeros((0, 4), "int64")
    y, x = np.nonzero(labels)
    label = labels[y, x] - 1
    if components == "largest":
        chosen = label == sizes.argmax()
        y, x = y[chosen], x[chosen]
        return np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]])
    corners = np.stack([x, y, x + 1, y + 1], axis=-1)
    found = np.empty((len(sizes), 4), "int64")
    found[label] = corners  # any pixel of each, to start from
    np.minimum.at(found[:, :2], label, corners[:, :2])
    np.maximum.at(found[:, 2:], label, corners[:, 2:])
    return found[np.argsort(-sizes, kind="stable")]
