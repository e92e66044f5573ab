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


def scattered(effect_of, size, patch, strides, tolerance):
    """Effects of windows, found evenly and then where the map is undecided.

    Args:
        effect_of: Function of the number of a window along each axis, a
            tuple: a number.
        size: Tuple: positions along each axis.
        patch: Tuple: the window's size along each axis.
        strides: Tuple: from one window to the next.
        tolerance: Share of the standard deviation of the map.

    Returns:
        The map, of shape `size`, and the set of the windows that were found.
    """
    counts = tuple(
        max(0, -(-(length - width) // step)) + 1
        for length, width, step in zip(size, patch, strides, strict=True)
    )
    over_position = math.prod(
        min(width / step, count)
        for width, step, count in zip(patch, strides, counts, strict=True)
    )
    ratio = np.roots([1, *[0] * (len(size) - 1), -1, -1]).real.max()
    turn = {
        point: math.modf(
            sum(i / ratio**axis for axis, i in enumerate(point, 1))
        )[0]
        for point in np.ndindex(*counts)
    }
    under = {
        point: tuple(
            slice(i * step, i * step + width)
            for i, step, width in zip(point, strides, patch, strict=True)
        )
        for point in turn
    }
    found = {}

    def mean_of_windows(values):
        total, times = np.zeros(size), np.zeros(size)
        for point, window in under.items():
            total[window] += values[point]
            times[window] += 1
        return total / times

    def around(point):
        """The mean of those found in the smallest box that holds some."""
        reach = [w // step for w, step in zip(patch, strides, strict=True)]
        for level in reversed(range(max(reach).bit_length())):
            inside = [
                effect
                for other, effect in found.items()
                if all(
                    abs(i - j) <= r >> level
                    for i, j, r in zip(point, other, reach, strict=True)
                )
            ]
            if inside:
                return np.mean(inside)
        return np.mean(list(found.values()))

    def all_effects():
        return {
            point: found[point] if point in found else around(point)
            for point in turn
        }

    for step in range(5):
        wanted = dict.fromkeys(turn, min(12 / over_position, 1 / 4))
        if step:
            values = mean_of_windows(all_effects())
            known = mean_of_windows({p: float(p in found) for p in turn})
            error = values.std() / 2
            error = error / np.sqrt(np.maximum(known * over_position, 1))
            undecided = np.zeros(size)
            for share in (0.02, 0.05, 0.15):
                limit = np.sort(values, axis=None)[::-1]
                limit = limit[int(share * values.size)]
                near = np.exp(-(((values - limit) / error) ** 2) / 2)
                undecided = np.maximum(undecided, near)
            matters = {p: undecided[at].mean() for p, at in under.items()}
            most = max(matters.values())
            share = step / 4 / (4 * tolerance**2) / over_position
            for point, matter in matters.items():
                wanted[point] = max(wanted[point], share * matter / most)
        for point in turn:
            if turn[point] < wanted[point] and point not in found:
                found[point] = effect_of(point)
    return mean_of_windows(all_effects()), set(found)
