from typing import Literal

import numpy as np

from keras_xmap._checks import check_one_of
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.segmentation._images_and_maps import check_image
from keras_xmap.segmentation._pixel_features import pixel_features

# Of the authors: how fast a region's say fades with its distance, and the
# width of the border, in pixels, of an image of this longer side.
_FADING = 0.4
_BAND, _LONGER_SIDE = 15, 400
CONTRASTS = ("global", "global_area", "adjacent")


def region_descriptors(
    image: ArrayLike,
    segments: ArrayLike,
    contrast: Literal["global", "global_area", "adjacent"] = "global",
) -> np.ndarray:
    """Describes the regions of an image by what makes them salient.

    The 93 numbers of DRFI for each region `i`, from the means of a region's
    channels and its histograms (see below):

    - 29 of contrast: the distance to the other regions, `sum_j w_ij d_ij /
      sum_j w_ij`, with `w_ij = exp(-|c_i - c_j|^2 / 0.4)` of their centres,
      in units of the longer side;
    - 29 of backgroundness: the distance to the border of the image, a band
      of 15 pixels where the longer side has 400;
    - 35 of the region itself.

    The 29 distances are, in this order: 3 of the mean red, green and blue and
    1 of their histogram; 3 and 1 of hue, saturation and value; 3 and 1 of L,
    a and b; 15 of the mean responses to texture filters; 1 of the histogram
    of the strongest filter, and 1 of the histogram of local binary patterns.
    Those of means are `|a - b|`, those of histograms are
    `sum (a - b)^2 / (a + b) / 2`.

    The 35 are the centre, x to the right and y upwards, in [0, 1]; the left,
    lower, right and upper end, at a tenth and nine tenths of the pixels; the
    perimeter, in sides of pixels, by the image's height and width together;
    width by height; the variances of nine colour channels, of 15 responses
    and of the binary patterns; the region's share of the image; and that of
    the regions that it touches.

    Args:
        image: Array `(height, width)`, `(height, width, 1)` or `(height,
            width, 3)`, integers or floats from 0 to 255.
        segments: Integer array `(height, width)`: the number of each pixel's
            region, 0, 1, ..., each of which occurs.
        contrast: `"global"`, to all regions of the image alike; or
            `"global_area"`, in which large ones count for more; or
            `"adjacent"`, to those that the region touches, by their area.
            Defaults to `"global"`, as the authors' code.

    Returns:
        Float64 array `(regions, 93)`.

    Raises:
        TypeError: If `image` does not hold numbers.
        ValueError: If a shape, a value or an option is not as above.

    References:
        - [Jiang et al., 2014](https://arxiv.org/abs/1410.5926)

    Example:

    >>> image = np.zeros((20, 30, 3), "uint8")
    >>> image[5:15, 10:20] = 255
    >>> segments = (image[..., 0] > 0).astype(int)
    >>> rows = keras_xmap.segmentation.region_descriptors(image, segments)
    >>> rows.shape
    (2, 93)
    >>> rows[1, 58:60].round(2).tolist()  # the centre of the square
    [0.5, 0.5]
    """
    check_one_of("contrast", contrast, CONTRASTS)
    image = check_image(image)
    segments = _check_segments(segments, image.shape[:2])
    return describe(pixel_features(image), segments, contrast)


def describe(features, segments, contrast):
    """Returns `(regions, 93)` of features that several segmentations share."""
    regions = _Regions(features, segments)
    border = _Regions(features, _border(segments.shape))
    by_means = _mean_distances(regions.means, regions.means)
    by_bins = [_chi_squared(h, h) for h in regions.histograms]
    distances = _in_order(by_means, by_bins)
    weights = _weights(regions, contrast)
    total = weights.sum(axis=1)
    contrasts = (weights[..., None] * distances).sum(axis=1)
    contrasts /= np.where(total > 0, total, 1)[:, None]
    by_means = _mean_distances(regions.means, border.means[1:])
    pairs = zip(regions.histograms, border.histograms, strict=True)
    by_bins = [_chi_squared(a, b[1:]) for a, b in pairs]
    background = _in_order(by_means, by_bins)[:, 0]
    return np.concatenate([contrasts, background, _properties(regions)], axis=1)


class _Regions:
    """Sizes, centres, neighbours, means, variances and histograms."""

    def __init__(self, features, segments):
        self.segments = segments
        self.num = int(segments.max()) + 1
        flat = segments.ravel()
        self.areas = np.bincount(flat, minlength=self.num).astype("float64")
        # The inside of a small image is empty.
        self._divisors = np.maximum(self.areas, 1)
        self.neighbours = _touching(segments, self.num)
        self.means, self.variances = self._moments(features.channels)
        self.histograms = [
            np.bincount(
                flat * size + bins.ravel(), minlength=self.num * size
            ).reshape(self.num, size)
            / self._divisors[:, None]
            for bins, size in features.bins
        ]
        height, width = segments.shape
        rows, columns = np.mgrid[:height, :width]
        (self.y, self.x), _ = (
            axis.T for axis in self._moments(np.stack([rows, columns]) + 0.5)
        )

    def _moments(self, channels):
        """Returns means and unbiased variances `(regions, channels)`."""
        flat, means, variances = self.segments.ravel(), [], []
        # A region of one pixel has no variance, and 0 stands for it.
        freedom = np.maximum(self.areas - 1, 1)
        for channel in channels.reshape(len(channels), -1):
            mean = self._sum(channel) / self._divisors
            means.append(mean)
            variances.append(self._sum((channel - mean[flat]) ** 2) / freedom)
        return np.stack(means, axis=1), np.stack(variances, axis=1)

    def _sum(self, values):
        return np.bincount(self.segments.ravel(), values, self.num)


def _border(size):
    """Returns 1 in the band along the image's border, 0 inside."""
    band = max(1, _BAND * max(size) // _LONGER_SIDE)
    border = np.ones(size, int)
    border[band:-band, band:-band] = 0
    return border


def _touching(segments, num):
    """Returns which regions share a side of a pixel, without themselves."""
    touching = np.zeros((num, num), bool)
    for a, b in (
        (segments[:, 1:], segments[:, :-1]),
        (segments[1:], segments[:-1]),
    ):
        touching[a, b] = touching[b, a] = True
    np.fill_diagonal(touching, False)
    return touching


def _weights(regions, contrast):
    if contrast == "adjacent":
        return regions.neighbours * regions.areas
    centers = np.stack([regions.x, regions.y], axis=1)
    centers /= max(regions.segments.shape)
    squares = ((centers[:, None] - centers) ** 2).sum(axis=-1)
    weights = np.exp(-squares / _FADING)
    return weights * regions.areas if contrast == "global_area" else weights


def _mean_distances(a, b):
    return np.abs(a[:, None, :-1] - b[:, :-1])


def _chi_squared(a, b):
    """Returns the distances of rows of histograms that each sum to 1.

    That is `1 - 2 sum a b / (a + b)`, to which only bins that are filled in
    both contribute: few are.
    """
    found = np.ones((len(a), len(b)))
    for column, other in zip(a.T, b.T, strict=True):
        rows, columns = np.flatnonzero(column), np.flatnonzero(other)
        if len(rows) and len(columns):
            left, right = column[rows, None], other[columns]
            share = 2 * left * right / (left + right)
            found[np.ix_(rows, columns)] -= share
    return np.maximum(found, 0)


def _in_order(by_means, by_bins):
    """Returns the 29 distances in the order of the table."""
    colors = [
        part
        for space in range(3)
        for part in (
            by_means[..., 3 * space : 3 * space + 3],
            by_bins[space][..., None],
        )
    ]
    rest = [by_means[..., 9:24], by_bins[3][..., None], by_bins[4][..., None]]
    return np.concatenate([*colors, *rest], axis=-1)


def _properties(regions):
    height, width = regions.segments.shape
    left, right = _ends(regions, regions.segments.T)
    upper, lower = _ends(regions, regions.segments)
    left, right = (left + 0.5) / width, (right + 0.5) / width
    upper, lower = 1 - (upper + 0.5) / height, 1 - (lower + 0.5) / height
    columns = [
        regions.x / width,
        1 - regions.y / height,
        left,
        lower,
        right,
        upper,
        _perimeters(regions) / (height + width),
        (right - left) / (upper - lower + 1e-6),
        *regions.variances.T,
        regions.areas / (height * width),
        regions.neighbours @ regions.areas / (height * width),
    ]
    return np.stack(columns, axis=1)


def _ends(regions, segments):
    """Returns the rows of a tenth and nine tenths of each region's pixels."""
    order = np.argsort(segments.ravel(), kind="stable")
    rows = order // segments.shape[1]
    areas = regions.areas.astype(int)
    starts = np.cumsum(areas) - areas
    tenth, nine_tenths = -(-areas // 10), -(-9 * areas // 10)
    return rows[starts + tenth - 1], rows[starts + nine_tenths - 1]


def _perimeters(regions):
    padded = np.pad(regions.segments, 1, constant_values=-1)
    found = np.zeros(regions.num)
    inner = padded[1:-1, 1:-1]
    for other in (
        padded[:-2, 1:-1],
        padded[2:, 1:-1],
        padded[1:-1, :-2],
        padded[1:-1, 2:],
    ):
        found += np.bincount(inner[inner != other], minlength=regions.num)
    return found


def _check_segments(segments, size):
    segments = as_array("segments", segments)
    if segments.dtype.kind not in "ui" or segments.shape != size:
        raise ValueError(
            "`segments` must be integers of the image's size. Received: "
            f"segments.shape={segments.shape}, segments.dtype="
            f"{segments.dtype}, for an image of {size}."
        )
    numbers = np.unique(segments)
    if numbers[0] != 0 or numbers[-1] != len(numbers) - 1:
        raise ValueError(
            "`segments` must hold each of 0, 1, ... Received: numbers from "
            f"{numbers[0]} to {numbers[-1]}, of which {len(numbers)} occur. "
            "Pass np.unique(segments, return_inverse=True)[1].reshape("
            "segments.shape)."
        )
    return segments.astype("int64")
