import numpy as np

from keras_xmap._checks import check_share
from keras_xmap._typing import ArrayLike
from keras_xmap.segmentation._images_and_maps import check_map


def background_cue(
    maps: ArrayLike, share: float = 0.1
) -> np.ndarray | list[np.ndarray]:
    """Returns where a map of any class is lowest: background, for certain.

    The cue of SEC, which needs nothing but the classifier: the gradient of
    the sum of all class scores, that is `explainers.Saliency` with the target
    `lambda scores: keras.ops.sum(scores, axis=-1)`, is smoothed by a median
    of 3 x 3, and its lowest tenth is background. A map of any other explainer
    will do. It finds a little of the background, and says nothing of the
    rest; for all of it see `DRFI`.

    Args:
        maps: Array `(height, width)` of finite numbers, or several: `(batch,
            height, width)` or a list.
        share: Float from 0 to 1, of the image's pixels. Where more of them
            have the lowest value, as in maps that are 0 over large parts, all
            of those are background. Defaults to `0.1`.

    Returns:
        Boolean array `(height, width)`, of a list a list. A flat map says
        nothing: no pixel is set. For `pseudo_labels` and `guided_labels`,
        which ask for the contrary, pass `saliency=~background`.

    Raises:
        ValueError: If a shape, a value or `share` is not as above.

    References:
        - [Kolesnikov & Lampert, 2016](https://arxiv.org/abs/1603.06098)

    Example:

    >>> heatmap = np.arange(20.0).reshape(4, 5)
    >>> background = keras_xmap.segmentation.background_cue(heatmap, 0.25)
    >>> np.flatnonzero(background).tolist()
    [0, 1, 2, 3, 4]
    """
    check_share("share", share)
    if isinstance(maps, (list, tuple)):
        return [_lowest(heatmap, share) for heatmap in maps]
    if np.ndim(maps) == 3:
        found = [_lowest(heatmap, share) for heatmap in maps]
        return np.stack(found) if found else np.zeros(np.shape(maps), bool)
    return _lowest(maps, share)


def _lowest(heatmap, share):
    from scipy import ndimage

    heatmap = check_map(heatmap).astype("float64")
    heatmap = ndimage.median_filter(heatmap, size=3, mode="nearest")
    count = int(share * heatmap.size)
    if not count or heatmap.min() == heatmap.max():
        return np.zeros(heatmap.shape, bool)
    return heatmap <= np.partition(heatmap.ravel(), count - 1)[count - 1]
