import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_threshold
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.segmentation._images_and_maps import for_each
from keras_xmap.segmentation.boxes import boxes


def crop(
    images: ArrayLike,
    maps: ArrayLike,
    threshold: float = 0.2,
    margin: float = 0.0,
    square: bool = False,
) -> np.ndarray | list[np.ndarray]:
    """Cuts out of an image what a map points at.

    The box is that of the map's largest component, see `boxes`, widened by a
    margin and kept inside the image: a closer look for a second network, or
    a picture of what one saw.

    Args:
        images: Array `(height, width)` or `(height, width, channels)` of any
            kind. Or several, with as many maps: a batch or a list.
        maps: Array `(rows, columns)` of finite numbers. It need not be of the
            image's size: its box is scaled. For several images `(batch,
            rows, columns)` or a list.
        threshold: Float from 0 to below 1. See `boxes`. Defaults to `0.2`.
        margin: Float >= 0, added on each side, as a share of the box's longer
            side. Defaults to `0.0`.
        square: Boolean. Whether the shorter side of the box grows to the
            longer one, as far as the image reaches: networks take squares,
            and a square that is resized keeps its proportions. Defaults to
            `False`.

    Returns:
        The part of the image, of its dtype, a copy. A map without a
        positive value points at nothing: the crop is the whole image. For
        several images a list.

    Raises:
        ValueError: If a shape, a value or an option is not as above.

    Example:

    >>> image = np.arange(48).reshape(6, 8)
    >>> heatmap = np.zeros((3, 4))
    >>> heatmap[1, 1:3] = 1.0
    >>> keras_xmap.segmentation.crop(image, heatmap)
    array([[18, 19, 20, 21],
           [26, 27, 28, 29]])
    """
    check_threshold("threshold", threshold)
    check_non_negative("margin", margin)
    check_boolean("square", square)

    def cut(image, heatmap):
        image, heatmap = as_array("images", image), as_array("maps", heatmap)
        if image.ndim not in (2, 3) or not image.size:
            raise ValueError(
                "`images` must be (height, width) or (height, width, "
                "channels), or several of them in a batch or a list. "
                f"Received: image.shape={image.shape}."
            )
        found = boxes(heatmap, threshold)
        if not len(found):
            return image.copy()
        x0, y0, x1, y1 = found[0].tolist()
        rows = _span(y0, y1, heatmap.shape[0], image.shape[0])
        columns = _span(x0, x1, heatmap.shape[1], image.shape[1])
        longer = max(rows[1] - rows[0], columns[1] - columns[0])
        rows = _widen(*rows, longer, margin, square, image.shape[0])
        columns = _widen(*columns, longer, margin, square, image.shape[1])
        return image[rows, columns].copy()

    several = isinstance(images, (list, tuple))
    if several or as_array("maps", maps).ndim == 3:
        return for_each(cut, list(images), list(maps))
    return cut(images, maps)


def _span(start, end, map_length, length):
    """Returns the pixels that a box along one axis touches at all."""
    return start * length // map_length, -(-end * length // map_length)


def _widen(start, end, longer, margin, square, length):
    """Returns a slice inside the image, moved rather than cut if square."""
    side = longer if square else end - start
    side += 2 * round(margin * longer)
    start = (start + end - side + 1) // 2
    if square:
        start = max(0, min(start, length - side))
    return slice(max(0, start), min(length, start + side))
