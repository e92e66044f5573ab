from collections.abc import Sequence
from typing import Any
from typing import Literal

import numpy as np

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_share
from keras_xmap._checks import check_threshold
from keras_xmap._typing import ArrayLike
from keras_xmap.ops import crf_parameters
from keras_xmap.segmentation import _label_maps
from keras_xmap.segmentation._components import label_components
from keras_xmap.segmentation._images_and_maps import check_image
from keras_xmap.segmentation.refine_with_crf import refine_with_crf

# Of the authors: how far a cue reaches before the field decides, in pixels,
# and what is left for the other classes where it is certain.
_STDDEV = 10.0
_LEAST = 1e-3


def guided_labels(
    images: ArrayLike,
    maps: ArrayLike,
    saliency: ArrayLike,
    classes: Sequence[Any] | None = None,
    threshold: float = 0.2,
    saliency_threshold: float = 0.5,
    min_area: float = 0.01,
    outside: Literal["class", "ignore"] = "class",
    parameters: str | dict[str, float] = "deeplab",
) -> np.ndarray | list[np.ndarray]:
    """Makes label maps of cues for classes and the extent of objects.

    Maps of classes say what is where, but not how far it reaches; saliency
    says how far things reach, but not what they are. Five rules join them,
    over the 8-connected components of what is salient:

    1. Cues are right about a few pixels of every object and may leak out of
       it: those outside of all components keep their class, or are in doubt.
    2. Saliency may fire on objects of no class: a component without a cue in
       it is in doubt.
    3. A component takes the class of the cue in it.
    4. Where cues of several classes are in a component, all of them are
       spread inside it, by a dense CRF that starts from the blurred cues.
    5. What is in doubt is ignored: it is labelled 255.

    All else is background.

    Args:
        images: Array `(height, width)`, `(height, width, 1)` or `(height,
            width, 3)`, integers or floats from 0 to 255: the photo as it was
            read. Or several: an array `(batch, height, width, channels)`, or
            a list of images of any sizes.
        maps: Array `(classes, rows, columns)` of the classes that are in the
            image: explanation maps, of which values below 0 count as 0, or
            cues as booleans; resized linearly to the image. A pixel is a cue
            for the class whose map has the highest share of its maximum
            there, where that exceeds `threshold`. For several images
            `(batch, classes, rows, columns)` or a list.
        saliency: Array `(rows, columns)`, bright where an object is, whatever
            its class; or booleans. For several images `(batch, rows,
            columns)` or a list.
        classes: List of the class of each map, integers from 0 to 253, or
            `None` for 0, 1, ... For several images a list of lists. Defaults
            to `None`.
        threshold: Float from 0 to below 1. Defaults to `0.2`.
        saliency_threshold: Float from 0 to below 1: salient is what exceeds
            this share of the saliency's maximum. Defaults to `0.5`.
        min_area: Float from 0 to 1: components of a smaller share of the
            image are taken for background. Defaults to `0.01`.
        outside: What cues outside of all components become: `"class"`, their
            own, as in the authors' code, or `"ignore"`. Defaults to
            `"class"`.
        parameters: Of the dense CRF: see `ops.mean_field`. Defaults to
            `"deeplab"`.

    Returns:
        uint8 array `(height, width)`: 0 for the background, 1 more than the
        class, and 255 in doubt. Of several arrays an array, else a list. The
        authors' code in the end makes background of all that is in doubt:
        `np.where(labels == 255, 0, labels)`.

    Raises:
        TypeError: If `images` does not hold numbers.
        ValueError: If a shape, a value or an option is not as above.

    References:
        - [Oh et al., 2017](https://arxiv.org/abs/1701.08261)

    Example:

    >>> image = np.zeros((6, 8), "uint8")
    >>> maps = np.zeros((1, 6, 8))
    >>> maps[0, 2, 2] = 1.0
    >>> saliency = np.zeros((6, 8))
    >>> saliency[1:5, 1:4] = saliency[:, 6:] = 1.0  # the second is no class
    >>> keras_xmap.segmentation.guided_labels(image, maps, saliency)[2]
    array([  0,   1,   1,   1,   0,   0, 255, 255], dtype=uint8)
    """
    check_threshold("threshold", threshold)
    check_threshold("saliency_threshold", saliency_threshold)
    check_share("min_area", min_area)
    check_one_of("outside", outside, ("class", "ignore"))
    parameters = crf_parameters(parameters)

    def label(images, maps, saliency, classes):
        image = check_image(images)
        maps, size = _label_maps.check_maps(maps), image.shape[:2]
        labels = _label_maps.check_classes(classes, maps)
        cues = _cues(_label_maps.heights(maps, size), labels, threshold)
        saliency = _label_maps.check_saliency(saliency)
        salient = _label_maps.salient(saliency, size, saliency_threshold)
        components, areas = label_components(salient)
        found = cues.copy()
        if outside == "ignore":
            found[cues > 0] = _label_maps.IGNORED
        for number, area in enumerate(areas, 1):
            if area >= min_area * salient.size:
                inside = components == number
                found[inside] = _fill(image, cues, inside, parameters)
        return found

    values = {"maps": maps, "saliency": saliency, "classes": classes}
    if _label_maps.is_batch(maps):
        return _label_maps.for_each_image(label, images=images, **values)
    return label(images, **values)


def _cues(shares, labels, threshold):
    """Returns the label of each pixel's cue, 0 where there is none."""
    if not len(labels):
        return np.zeros(shares.shape[1:], "uint8")
    is_cue = shares.max(axis=0) > threshold
    return np.where(is_cue, labels[shares.argmax(axis=0)], np.uint8(0))


def _fill(image, cues, inside, parameters):
    """Returns the labels of a component: one, or one for each pixel of it."""
    touching = np.setdiff1d(cues[inside], [0])
    if not len(touching):
        return _label_maps.IGNORED
    if len(touching) == 1:
        return touching[0]
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    spread = _spread(cues[box] * inside[box], touching)
    # Beside the component nothing is known, and nothing is asked.
    maps = np.where(inside[box], spread, 1.0)
    q = refine_with_crf(image[box], maps, parameters)
    return touching[q.argmax(axis=0)][inside[box]]


def _spread(cues, labels):
    """Returns the blurred cues of each label, `(labels, height, width)`."""
    from scipy import ndimage

    blurred = [
        ndimage.gaussian_filter((cues == label).astype("float64"), _STDDEV)
        for label in labels
    ]
    return np.clip(blurred, _LEAST, 1 - _LEAST)
