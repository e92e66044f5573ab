"""The descriptors of DRFI, region by region and pixel by pixel.

From features of pixels: channels `(25, height, width)`, and pairs of a map of
bins and their number.
"""

import math

import numpy as np


def chi_squared(a, b):
    return 0.5 * sum(
        (x - y) ** 2 / (x + y) for x, y in zip(a, b, strict=True) if x + y
    )


def of_mask(features, mask):
    """Returns the means and the histograms of the pixels of a mask."""
    channels, bins = features
    means = [channel[mask].mean() for channel in channels]
    histograms = []
    for bin_map, size in bins:
        counts = np.zeros(size)
        for number in bin_map[mask]:
            counts[number] += 1
        histograms.append(counts / mask.sum())
    return means, histograms


def distances(a, b):
    """The 29 distances, in the order of the table."""
    (means, histograms), (others, other_histograms) = a, b
    found = []
    for space in range(3):
        for number in range(3 * space, 3 * space + 3):
            found.append(abs(means[number] - others[number]))
        found.append(chi_squared(histograms[space], other_histograms[space]))
    found += [abs(means[number] - others[number]) for number in range(9, 24)]
    for number in (3, 4):
        found.append(chi_squared(histograms[number], other_histograms[number]))
    return np.array(found)


def touches(segments, a, b):
    height, width = segments.shape
    for row in range(height):
        for column in range(width):
            for down, right in ((0, 1), (1, 0)):
                y, x = row + down, column + right
                inside = y < height and x < width and a != b
                if inside and {segments[row, column], segments[y, x]} == {a, b}:
                    return True
    return False


def weight(segments, i, j, contrast):
    area = (segments == j).sum()
    if contrast == "adjacent":
        return area * touches(segments, i, j)
    centers = [np.argwhere(segments == number).mean(0) for number in (i, j)]
    offset = (centers[0] - centers[1]) / max(segments.shape)
    value = math.exp(-(offset**2).sum() / 0.4)
    return value * area if contrast == "global_area" else value


def border(size):
    band = max(1, math.floor(15 * max(size) / 400))
    mask = np.ones(size, bool)
    mask[band : size[0] - band, band : size[1] - band] = False
    return mask


def properties(features, segments, i):
    mask = segments == i
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    x, y = sorted((columns + 0.5) / width), sorted(1 - (rows + 0.5) / height)
    n = len(x)
    first, last = math.ceil(n / 10) - 1, math.ceil(9 * n / 10) - 1
    left, right = x[first], x[last]
    # y runs downwards in the image: a tenth from the top is the upper end.
    upper, lower = y[::-1][first], y[::-1][last]
    padded = np.pad(mask, 1)
    sides = 0
    for row, column in np.argwhere(padded):
        for down, right_ in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            sides += not padded[row + down, column + right_]
    values = [channel[mask] for channel in features[0]]
    variances = [v.var(ddof=1) if n > 1 else 0.0 for v in values]
    beside = sum(
        (segments == j).sum()
        for j in range(segments.max() + 1)
        if touches(segments, i, j)
    )
    return [
        np.mean(x),
        np.mean(y),
        left,
        lower,
        right,
        upper,
        sides / (height + width),
        (right - left) / (upper - lower + 1e-6),
        *variances,
        n / (height * width),
        beside / (height * width),
    ]


def descriptors(features, segments, contrast="global"):
    numbers = range(segments.max() + 1)
    regions = [of_mask(features, segments == i) for i in numbers]
    around = of_mask(features, border(segments.shape))
    rows = []
    for i in numbers:
        weights = [weight(segments, i, j, contrast) for j in numbers]
        far = [distances(regions[i], regions[j]) for j in numbers]
        total = sum(w * d for w, d in zip(weights, far, strict=True))
        contrasts = total / (sum(weights) or 1)
        background = distances(regions[i], around)
        own = properties(features, segments, i)
        rows.append(np.concatenate([contrasts, background, own]))
    return np.array(rows)
