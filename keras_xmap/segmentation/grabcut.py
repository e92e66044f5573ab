from collections.abc import Sequence

import numpy as np

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._typing import ArrayLike
from keras_xmap.segmentation._components import largest_component
from keras_xmap.segmentation._images_and_maps import check_image
from keras_xmap.segmentation._images_and_maps import check_map
from keras_xmap.segmentation._images_and_maps import fit_map
from keras_xmap.segmentation._images_and_maps import for_each
from keras_xmap.segmentation._images_and_maps import is_batch

# Of OpenCV, for each side; a mean, a covariance and a weight are 13 numbers.
_NUM_GAUSSIANS = 5


def grabcut(
    images: ArrayLike,
    maps: ArrayLike,
    quantiles: Sequence[float] = (0.3, 0.95),
    components: str = "largest",
    method: str = "grabcut",
    num_iterations: int = 5,
) -> np.ndarray | list[np.ndarray]:
    """Returns the mask of the object that a map points at.

    A map shows where the evidence is, not how far the object reaches. As
    Simonyan et al. did with saliency maps: the pixels of the highest values
    are certain to be the object and those of the lowest to be background;
    colours of both, and the edges of the image, decide on all others; and the
    largest component is kept.

    `"grabcut"` alternates models of the colours (mixtures of 5 Gaussians)
    with the minimal cut through the graph of neighbouring pixels, as OpenCV
    does: `pip install keras-xmap[segmentation]`. Undecided pixels start as
    probable background. `"watershed"` lets both seeds grow until they meet,
    flat parts of the image first; it needs no extra and is some 15 times
    faster, and finds less of the object.

    Args:
        images: Array `(height, width)`, `(height, width, 1)` or `(height,
            width, 3)`, integers or floats from 0 to 255: the photo as it was
            read. An opaque alpha channel, `(height, width, 2)` or `(height,
            width, 4)`, has no effect; transparent pixels are refused. Or
            several: an array `(batch, height, width, channels)`, or
            a list of images of any sizes.
        maps: Array `(rows, columns)` of finite numbers, resized linearly where
            it is not of the image's size. For several images `(batch, rows,
            columns)` or a list. Smooth a map of single pixels first.
        quantiles: Pair of floats `0 <= low < high < 1`: pixels up to the low
            quantile of the map are background, all zeros of a map that is 0
            in more than that, and those above the high one, or the highest at
            any rate, are object. Defaults to `(0.3, 0.95)`.
        components: `"largest"`, which keeps the 8-connected component of
            most pixels alone, or `"all"`. Defaults to `"largest"`.
        method: `"grabcut"` or `"watershed"`. Defaults to `"grabcut"`.
        num_iterations: Integer >= 1, of `"grabcut"` alone. Defaults to `5`.

    Returns:
        Boolean array `(height, width)`. A flat map points at nothing: no
        pixel is set. Of a batch that is an array, an array; of a list, a
        list.

    Raises:
        ImportError: If OpenCV is needed and not installed.
        TypeError: If `images` does not hold numbers.
        ValueError: If a shape, a value or an option is not as above.

    References:
        - [Simonyan et al., 2013](https://arxiv.org/abs/1312.6034)
        - [Rother et al., 2004](https://doi.org/10.1145/1186562.1015720)

    Example:

    >>> image = np.zeros((40, 60, 3), "uint8")
    >>> image[10:30, 20:45] = (200, 120, 40)
    >>> rows, columns = np.mgrid[:40, :60]
    >>> heatmap = np.exp(-((rows - 16) ** 2 + (columns - 30) ** 2) / 50)
    >>> mask = keras_xmap.segmentation.grabcut(
    ...     image, heatmap, method="watershed"
    ... )
    >>> keras_xmap.segmentation.boxes(mask)
    array([[20, 10, 45, 30]])
    """
    low, high = _check_quantiles(quantiles)
    check_one_of("components", components, ("largest", "all"))
    check_one_of("method", method, ("grabcut", "watershed"))
    check_positive_integer("num_iterations", num_iterations)

    def cut(image, heatmap):
        image = np.round(check_image(image)).astype("uint8")
        heatmap = check_map(heatmap).astype("float64")
        heatmap = fit_map(heatmap, image.shape[:2])
        if not heatmap.min() < heatmap.max():
            return np.zeros(heatmap.shape, bool)
        seeds = _seeds(heatmap, low, high)
        if method == "watershed":
            mask = _watershed(image, seeds)
        else:
            mask = _grabcut(image, seeds, num_iterations)
        return largest_component(mask) if components == "largest" else mask

    if is_batch(images):
        return for_each(cut, images, maps)
    return cut(images, maps)


def _check_quantiles(quantiles):
    try:
        low, high = (float(quantile) for quantile in quantiles)
    except (TypeError, ValueError):
        low = high = -1.0
    if not 0 <= low < high < 1:
        raise ValueError(
            "`quantiles` must be a pair (low, high) with 0 <= low < high < 1. "
            f"Received: quantiles={quantiles!r}."
        )
    return low, high


def _seeds(heatmap, low, high):
    """Returns 1 on the object, 2 on the background, 0 where undecided."""
    low, high = np.quantile(heatmap, (low, high))
    # Many maps are 0 over large parts: the low quantile may be the lowest
    # value itself, and even the high one the highest.
    is_object = (heatmap > high) | (heatmap == heatmap.max())
    return np.where(is_object, 1, np.where(heatmap <= low, 2, 0))


def _grabcut(image, seeds, num_iterations):
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "grabcut cuts with OpenCV, which is not installed. Received: "
            "method='grabcut'. Run: pip install keras-xmap[segmentation]; or "
            "pass method='watershed'."
        ) from error
    # Fewer pixels than Gaussians leave a side without a model of colours.
    fewest = min((seeds == 1).sum(), (seeds != 1).sum())
    if fewest < _NUM_GAUSSIANS:
        raise ValueError(
            f"Object and background must have {_NUM_GAUSSIANS} pixels each to "
            f"start from. Received: seeds of which one side has {fewest}. "
            "Lower the high quantile, or pass method='watershed'."
        )
    kinds = np.array([cv2.GC_PR_BGD, cv2.GC_FGD, cv2.GC_BGD], "uint8")
    mask = kinds[seeds]
    colors = np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))
    background, foreground = np.zeros((2, 1, 13 * _NUM_GAUSSIANS))
    cv2.setRNGSeed(0)  # the mixtures start from random colours
    cv2.grabCut(
        colors,
        mask,
        None,
        background,
        foreground,
        num_iterations,
        cv2.GC_INIT_WITH_MASK,
    )
    return (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)


def _watershed(image, seeds):
    from skimage import filters
    from skimage import segmentation

    edges = np.max(
        [filters.sobel(channel) for channel in np.moveaxis(image, -1, 0)],
        axis=0,
    )
    return segmentation.watershed(edges, seeds) == 1
