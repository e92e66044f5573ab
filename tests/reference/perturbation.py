"""Maps made of scores of changed images, written as the papers state them."""

import itertools
import math

import numpy as np


def occlusion(score_of, image, patch, strides, baseline):
    """Zeiler & Fergus 2014: each pixel's mean effect of the windows on it.

    Args:
        score_of: Function of one image without a batch axis: a number.
        image: Array `(*spatial, channels)`.
        patch: Tuple: the window's size along each spatial axis.
        strides: Tuple: from one window to the next.
        baseline: Number or array that a window is set to.
    """
    size = image.shape[:-1]
    baseline = np.broadcast_to(baseline, image.shape)
    total, times = np.zeros(size), np.zeros(size)
    corners = []
    for length, width, step in zip(size, patch, strides, strict=True):
        along_axis = [0]
        while along_axis[-1] + width < length:
            along_axis.append(along_axis[-1] + step)
        corners.append(along_axis)
    for corner in itertools.product(*corners):
        window = tuple(
            slice(start, start + width)
            for start, width in zip(corner, patch, strict=True)
        )
        occluded = image.copy()
        occluded[window] = baseline[window]
        total[window] += score_of(image) - score_of(occluded)
        times[window] += 1
    return total / times


def enlarged(grid, size, shifts):
    """Petsiuk et al. 2018: a grid, enlarged by one cell more, cut at a shift.

    Args:
        grid: Array with `cells` entries along each axis.
        size: Tuple: the size of the image.
        shifts: Tuple of integers, from 0 to below a cell.
    """
    mask = np.zeros(size)
    for place in np.ndindex(*size):
        # Linear interpolation between the centres of the grid's entries.
        weights = []
        for axis, (i, shift) in enumerate(zip(place, shifts, strict=True)):
            cells = grid.shape[axis]
            length = (cells + 1) * math.ceil(size[axis] / cells)
            centre = (i + shift + 0.5) * cells / length - 0.5
            centre = min(max(centre, 0), cells - 1)
            weights.append([max(0, 1 - abs(centre - j)) for j in range(cells)])
        for entry in np.ndindex(*grid.shape):
            share = math.prod(w[j] for w, j in zip(weights, entry, strict=True))
            mask[place] += share * grid[entry]
    return mask


def rise(score_of, image, masks, keep_probability):
    """Petsiuk et al. 2018: the mean score of the masks that keep a pixel."""
    total = np.zeros(masks[0].shape)
    for mask in masks:
        total += score_of(image * mask[..., None]) * mask
    return total / (len(masks) * keep_probability)


def mask_covariance(size, cells, keep_probability):
    """Returns how the masks of two pixels vary together, `(*size, *size)`.

    Exactly: entries of a grid are independent, and every shift is as likely.
    """
    one_axis = []
    for length in size:
        steps = math.ceil(length / cells)
        shared = np.zeros((length, length))
        for shift in range(steps):
            weights = np.stack(
                [
                    enlarged(np.eye(cells)[j], (length,), (shift,))
                    for j in range(cells)
                ]
            )
            shared += weights.T @ weights
        one_axis.append(shared / steps)
    covariance = one_axis[0]
    for shared in one_axis[1:]:
        covariance = np.einsum("ab,cd->acbd", covariance, shared)
    return keep_probability * (1 - keep_probability) * covariance


def refined(effect_of, counts, cells, windows_in_patch, tolerance):
    """Effects on a grid of windows, found at corners of cells that vary.

    Cells of one size after the other, each by itself.

    Args:
        effect_of: Function of a point of the grid, a tuple: a number.
        counts: Tuple: the points along each axis.
        cells: Tuple: how many points the coarsest cells are apart.
        windows_in_patch: Tuple: how many strides a patch is long.
        tolerance: Share of the largest effect.

    Returns:
        Array of shape `counts`, and the set of the points that were found.
    """
    found = {}
    grid = np.zeros(counts)

    def between(point, low, high):
        total = 0.0
        for corner in itertools.product(*zip(low, high, strict=True)):
            share = 1.0
            for i, j, a, b in zip(point, corner, low, high, strict=True):
                share *= 1.0 if a == b else abs(i - (a + b - j)) / (b - a)
            # Where a corner counts twice, as on a flat axis.
            flat = sum(a == b for a, b in zip(low, high, strict=True))
            total += share * grid[corner] / 2**flat
        return total

    def inside(low, high):
        return itertools.product(
            *(range(a, b + 1) for a, b in zip(low, high, strict=True))
        )

    def halves(a, b, step):
        edges = sorted({a, *range(a, b, step), b})
        return list(itertools.pairwise(edges)) or [(a, b)]

    todo = [(tuple(0 for _ in counts), tuple(n - 1 for n in counts))]
    while True:
        parts = [
            box
            for low, high in todo
            for box in itertools.product(*map(halves, low, high, cells))
        ]
        parts = [tuple(zip(*box, strict=True)) for box in parts]
        for low, high in parts:
            for corner in itertools.product(*zip(low, high, strict=True)):
                if corner not in found:
                    found[corner] = grid[corner] = effect_of(corner)
        for low, high in parts:
            for point in inside(low, high):
                if point not in found:
                    grid[point] = between(point, low, high)
        if max(cells) == 1:
            return grid, set(found)
        largest = np.abs(grid).max()
        todo = []
        for low, high in parts:
            corners = [
                grid[corner]
                for corner in itertools.product(*zip(low, high, strict=True))
            ]
            varies = max(0, *corners) - min(0, *corners)
            varies *= math.sqrt(np.prod(cells) / np.prod(windows_in_patch))
            if varies > tolerance * largest:
                todo.append((low, high))
        cells = tuple(max(cell // 2, 1) for cell in cells)
