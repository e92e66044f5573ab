import numpy as np

from keras_xmap._checks import check_positive
from keras_xmap._checks import check_positive_integer
from keras_xmap._typing import ArrayLike
from keras_xmap.segmentation._images_and_maps import check_image
from keras_xmap.segmentation._images_and_maps import entries
from keras_xmap.segmentation._images_and_maps import is_batch
from keras_xmap.segmentation._label_maps import IGNORED
from keras_xmap.segmentation._label_maps import check_classes
from keras_xmap.segmentation._label_maps import check_maps
from keras_xmap.segmentation._label_maps import heights
from keras_xmap.segmentation.refine_with_crf import refine_with_crf


def confident_labels(
    images: ArrayLike,
    maps: ArrayLike,
    classes: list | np.ndarray | None = None,
    powers: tuple[float, float] = (4.0, 32.0),
    parameters: str | dict[str, float] = "paper",
    num_iterations: int = 10,
) -> np.ndarray | list[np.ndarray]:
    """Labels what explanation maps are sure of, and leaves out the rest.

    The maps of an image's classes, each as a share of its maximum, compete
    with a background `(1 - max_c m_c) ** power`, and a dense CRF draws their
    borders. A low power makes a strong background, against which only sure
    pixels of a class stand; a high one a weak background, which only sure
    pixels of none are left to. A pixel of a class by the first has the label
    of the class, one of the background by the second 0, all others 255.

    These are the labels of pairs that `Affinity` learns from.

    Args:
        images: See `refine_with_crf`.
        maps: Array `(classes, rows, columns)` of the classes that are in the
            image; what is below 0 counts as 0. For several images `(batch,
            classes, rows, columns)` or a list.
        classes: Which class each map is of: integers from 0 to 253; for
            several images a list of lists. Defaults to `None`: 0, 1, 2, ...
        powers: Pair of floats > 0, the lower first. Defaults to `(4.0,
            32.0)`.
        parameters: See `refine_with_crf`. Defaults to `"paper"`.
        num_iterations: See `refine_with_crf`. Defaults to `10`.

    Returns:
        Uint8 label map `(height, width)` of the image's size: 0 background, 1
        more than the class, 255 doubt. Of a batch that is an array, an array;
        of a list, a list.

    Raises:
        TypeError: If `images` does not hold numbers.
        ValueError: If a shape, a value or an option is not as above.

    References:
        - [Ahn & Kwak, 2018](https://arxiv.org/abs/1803.10464)

    Example:

    >>> image = np.zeros((12, 30, 3), "uint8")
    >>> image[:, 10:20], image[:, 20:] = 120, 250
    >>> maps = np.full((1, 12, 30), 0.05)
    >>> maps[0, :, 10:20], maps[0, :, 20:] = 0.25, 1.0
    >>> labels = keras_xmap.segmentation.confident_labels(image, maps)
    >>> labels[6, [5, 15, 25]]
    array([  0, 255,   1], dtype=uint8)
    """
    low, high = _checked_powers(powers)
    check_positive_integer("num_iterations", num_iterations)

    def of_image(image, maps, classes):
        image, maps = check_image(image), check_maps(maps)
        labels = np.concatenate([[0], check_classes(classes, maps)])
        shares = heights(maps, image.shape[:2])
        found = [
            labels[_likeliest(image, shares, power, parameters, num_iterations)]
            for power in (low, high)
        ]
        return _joined(*found)

    if not is_batch(images):
        return of_image(images, maps, classes)
    images, maps = entries("images", images), entries("maps", maps)
    of_images = [None] * len(images) if classes is None else classes
    is_list = isinstance(of_images, (list, tuple, np.ndarray))
    if not is_list or not len(images) == len(maps) == len(of_images):
        raise ValueError(
            "There must be as many images as maps, and as lists of classes. "
            f"Received: len(images)={len(images)}, len(maps)={len(maps)}, "
            f"classes={classes!r}."
        )
    found = [of_image(*x) for x in zip(images, maps, of_images, strict=True)]
    return found if isinstance(images, (list, tuple)) else np.stack(found)


def _checked_powers(powers):
    pair = isinstance(powers, (list, tuple)) and len(powers) == 2
    if not pair:
        raise ValueError(
            "`powers` must be two numbers > 0, the lower first. Received: "
            f"powers={powers!r}."
        )
    low, high = (check_positive("powers", power) for power in powers)
    if low > high:
        raise ValueError(
            "`powers` must be two numbers > 0, the lower first. Received: "
            f"powers={powers!r}. Exchange them."
        )
    return low, high


def _likeliest(image, shares, power, parameters, num_iterations):
    """Returns the number of the likeliest class of each pixel, 0 for none."""
    nothing = 1 - shares.max(axis=0, initial=0.0, keepdims=True)
    maps = np.concatenate([np.maximum(nothing, 0) ** power, shares])
    return refine_with_crf(image, maps, parameters, num_iterations).argmax(0)


def _joined(sure_of_class, sure_of_none):
    labels = np.where(sure_of_class > 0, sure_of_class, IGNORED)
    none = (sure_of_class == 0) & (sure_of_none == 0)
    return np.where(none, 0, labels).astype("uint8")
