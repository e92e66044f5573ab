import numpy as np
from keras import ops

from keras_xmap._checks import check_fraction
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.ops import normalize
from keras_xmap.segmentation._images_and_maps import check_class_maps


def to_probabilities(
    maps: ArrayLike, background_threshold: float = 0.2
) -> np.ndarray | list[np.ndarray]:
    """Makes probabilities of explanation maps, with the background first.

    The maps of an image's classes say how much speaks for each class, on a
    scale of their own, and nothing for the background. Each is cut at 0 and
    divided by its maximum; the background is a constant beside them; and all
    are divided by their sum:

    `p_c = m_c / (t + sum m)`, `p_background = t / (t + sum m)`

    So the likeliest class of a pixel is the one of the highest map, and the
    background where no map reaches the share `t` of its maximum: the usual
    rule for pseudo labels. A map without a positive value has probability 0.

    Args:
        maps: Array `(classes, height, width)` of the classes that are in the
            image: what an explainer's `explain` gives for one image with a
            target of shape `(batch, classes)`. Or `(batch, classes, height,
            width)`, or a list of stacks, one an image, of any numbers of
            classes.
        background_threshold: Float between 0 and 1. Defaults to `0.2`.
    Returns:
        Float32 probabilities like the maps, with one class more: number 0 is
        the background, and class `i` of the maps is number `i + 1`.

    Raises:
        ValueError: If a shape, a value or an option is not as above.

    Example:

    >>> maps = np.array([[[0.0, 2.0, 8.0]], [[0.0, 0.3, 0.0]]])
    >>> p = keras_xmap.segmentation.to_probabilities(maps)
    >>> p.argmax(axis=0)  # background, class 1, class 0
    array([[0, 2, 1]])
    """
    check_fraction("background_threshold", background_threshold)
    if isinstance(maps, (list, tuple)):
        return [_probabilities(entry, background_threshold) for entry in maps]
    maps = as_array("maps", maps)
    if maps.ndim != 4:
        return _probabilities(maps, background_threshold)
    parts = [_probabilities(entry, background_threshold) for entry in maps]
    if not parts:
        return np.zeros((0, maps.shape[1] + 1, *maps.shape[2:]), "float32")
    return np.stack(parts)


def _probabilities(maps, background_threshold):
    maps = as_array("maps", maps)
    maps = np.maximum(maps, 0) if maps.dtype.kind in "if" else maps
    maps = check_class_maps(maps).astype("float32")
    maps = ops.convert_to_numpy(normalize(maps, "max", axis=(1, 2)))
    background = np.full_like(maps[:1], background_threshold)
    maps = np.concatenate([background, maps])
    return maps / maps.sum(axis=0)
