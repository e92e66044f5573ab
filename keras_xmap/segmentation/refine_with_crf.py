import functools

import numpy as np

from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_share
from keras_xmap._typing import ArrayLike
from keras_xmap.ops import crf_parameters
from keras_xmap.segmentation._images_and_maps import check_class_maps
from keras_xmap.segmentation._images_and_maps import check_image
from keras_xmap.segmentation._images_and_maps import fit_map
from keras_xmap.segmentation._images_and_maps import for_each
from keras_xmap.segmentation._images_and_maps import is_batch
from keras_xmap.segmentation._permutohedral_lattice import PermutohedralLattice

# Keeps the logarithm of a probability finite, as the usual CRF codes do.
_SMALLEST_PROBABILITY = 1e-5
# The kernel of the positions is kept for the next image up to so many pixels.
_KEPT = 2**20
_PIXELS_AT_A_TIME = 2**17


def refine_with_crf(
    images: ArrayLike,
    maps: ArrayLike,
    parameters: str | dict[str, float] = "paper",
    num_iterations: int = 10,
    min_ratio: float = 0.01,
) -> np.ndarray | list[np.ndarray]:
    """Draws the borders of classes where a whole photo has its edges.

    The dense CRF of `ops.mean_field` at the photo's own size. The sums over
    all pairs of pixels are taken by filtering on a permutohedral lattice, in
    time linear in the pixels. By the lattice's approximation about one pixel
    in a hundred has another likeliest class than by the exact sums. Not
    differentiable: for training see `layers.DenseCRF`.

    Memory grows with the pixels alone, some 100 bytes each and 16 more for
    each class that takes part.

    The maps are probabilities of classes that exclude each other, one of
    which, as a rule, is the background: the softmax of a segmentation network,
    or explanation maps after `to_probabilities`. They need not sum to 1; each
    pixel's are divided by their sum.

    Args:
        images: Array `(height, width)`, `(height, width, 1)` or `(height,
            width, 3)`, integers or floats from 0 to 255: the photo as it was
            read. An opaque alpha channel, `(height, width, 2)` or `(height,
            width, 4)`, has no effect; transparent pixels are refused. Or
            several: an array `(batch, height, width, channels)`, or
            a list of images of any sizes.
        maps: Array `(classes, rows, columns)` of finite values >= 0, resized
            linearly where they are not of the image's size. For several
            images `(batch, classes, rows, columns)` or a list, whose entries
            may differ in the number of classes.
        parameters: `"paper"`, `"deeplab"`, `"sec"` or `"irn"`, or a dict; see
            `ops.mean_field`. Defaults to `"paper"`.
        num_iterations: Integer >= 1. Defaults to `10`.
        min_ratio: Float from 0 to 1. A class that nowhere in the image has
            this share of the probability of the pixel's likeliest class takes
            no part, and its result is 0: time grows with the classes, and
            most of a network's are not in the photo. 0 keeps all classes
            with a probability above 0. Defaults to `0.01`.
    Returns:
        Probabilities, float32, `(classes, height, width)`. Of a batch that is
        an array, an array; of a list, a list. The labels are their `argmax`
        over the classes.

    Raises:
        TypeError: If `images` does not hold numbers.
        ValueError: If a shape, a value or an option is not as above.

    References:
        - [Krähenbühl & Koltun, 2011](https://arxiv.org/abs/1210.5644)
        - [Adams et al., 2010](
          https://graphics.stanford.edu/papers/permutohedral/)

    Example:

    >>> image = np.zeros((20, 30, 3), "uint8")
    >>> image[:, 12:] = 200
    >>> maps = np.full((2, 20, 30), 0.5)
    >>> maps[0, :, :3] = maps[1, :, -3:] = 0.9  # little is known
    >>> q = keras_xmap.segmentation.refine_with_crf(image, maps)
    >>> np.bincount(q.argmax(axis=0)[5])
    array([12, 18])
    """
    parameters = crf_parameters(parameters)
    check_positive_integer("num_iterations", num_iterations)
    check_share("min_ratio", min_ratio, "0 keeps all classes.")

    def refine(image, maps):
        image = check_image(image)
        maps = _fitted(check_class_maps(maps), image.shape[:2])
        return _refine(image, maps, parameters, num_iterations, min_ratio)

    if is_batch(images):
        return for_each(refine, images, maps)
    return refine(images, maps)


def _refine(image, maps, parameters, num_iterations, min_ratio):
    """Returns q `(classes, height, width)` of one image."""
    size = image.shape[:2]
    scores, present = _scores(maps, min_ratio)
    kernels = _kernels(image, parameters)
    q = _softmax(scores.copy())
    for _ in range(num_iterations):
        # Each is added as it comes, so that no two are there at a time.
        total = scores.copy()
        for kernel in kernels:
            total += kernel(q)
        q = _softmax(total)
    refined = np.zeros((len(present), *size), "float32")
    refined[present] = q.T.reshape(-1, *size)
    return refined


def _fitted(maps, size):
    """Returns maps `(classes, *size)`, those of another size as float32."""
    if maps.shape[1:] == size:
        return maps
    fitted = np.empty((len(maps), *size), "float32")
    for number, heatmap in enumerate(maps):
        fitted[number] = fit_map(heatmap, size)
    return fitted


def _scores(maps, min_ratio):
    """Returns float32 logarithms `(pixels, classes)`, and which take part."""
    height, width = maps.shape[1:]
    at_a_time = max(1, _PIXELS_AT_A_TIME // width)
    starts = range(0, height, at_a_time)
    shares = []
    for start in starts:
        p = _probabilities(maps[:, start : start + at_a_time])
        shares.append((p / p.max(axis=0)).max(axis=(1, 2)))
    share = np.max(shares, axis=0)
    present = (share > 0) & (share >= min_ratio)
    scores = np.empty((height, width, present.sum()), "float32")
    for start in starts:
        p = _probabilities(maps[:, start : start + at_a_time])[present]
        p = np.log(np.maximum(p, _SMALLEST_PROBABILITY))
        scores[start : start + at_a_time] = np.moveaxis(p, 0, -1)
    return scores.reshape(height * width, -1), present


def _probabilities(maps):
    """Returns maps that sum to 1, all alike where they are 0."""
    total = maps.sum(axis=0)
    maps = np.where(total > 0, maps, 1)
    return maps / np.where(total > 0, total, len(maps))


def _kernels(image, parameters):
    """Returns the kernels that are not of weight 0."""
    height, width = image.shape[:2]
    kernels = []
    if parameters["appearance_weight"]:
        kernels.append(
            PermutohedralLattice(
                _Features(
                    (height, width),
                    parameters["position_stddev"],
                    image,
                    parameters["color_stddev"],
                ),
                parameters["appearance_weight"],
            )
        )
    if parameters["smoothness_weight"]:
        small = height * width <= _KEPT
        make = _smoothness if small else _smoothness.__wrapped__
        kernels.append(
            make(
                height,
                width,
                parameters["smoothness_stddev"],
                parameters["smoothness_weight"],
            )
        )
    return kernels


# The same for all images of one size, as those of a folder often are.
@functools.lru_cache(maxsize=4)
def _smoothness(height, width, stddev, weight):
    return PermutohedralLattice(_Features((height, width), stddev), weight)


class _Features:
    """Positions of pixels, and colours, in standard deviations.

    Those of a slice of pixels are made when they are asked for: all together
    they are several times as large as the image.
    """

    def __init__(self, size, position_stddev, image=None, color_stddev=None):
        self._size = size
        self._position_stddev = position_stddev
        num_pixels = size[0] * size[1]
        self._colors = np.empty((num_pixels, 0))
        if image is not None:
            self._colors = image.reshape(num_pixels, -1)
        self._color_stddev = color_stddev or 1.0
        self.shape = (num_pixels, 2 + self._colors.shape[1])

    def __getitem__(self, pixels):
        numbers = np.arange(pixels.start, pixels.stop)
        position = np.stack(np.divmod(numbers, self._size[1]), axis=1)
        return np.concatenate(
            [
                position / self._position_stddev,
                self._colors[pixels] / self._color_stddev,
            ],
            axis=1,
        )


def _softmax(scores):
    """Returns the softmax over the last axis, in the memory of `scores`."""
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    # A product is several times faster than a sum over a short axis.
    scores /= scores @ np.ones((scores.shape[1], 1), scores.dtype)
    return scores
