"""Quadtrees as they are defined: by recursion, one square after the other."""

import numpy as np


def levels(image, threshold, num_levels, criterion="range"):
    """Returns the level of the leaf of each pixel, `(height, width)`.

    Args:
        image: Array `(height, width, channels)`.
        threshold: Number.
        num_levels: Integer.
        criterion: `"range"` or `"variance"`.
    """
    found = np.full(image.shape[:2], -1)
    image = image.astype("float64")

    def divide(top, left, level):
        side = 2**level
        square = image[top : top + side, left : left + side]
        if not square.size:
            return
        if criterion == "range":
            varies = square.max((0, 1)) - square.min((0, 1))
        else:
            varies = square.var((0, 1))
        if level == 0 or (varies <= threshold).all():
            found[top : top + side, left : left + side] = level
            return
        for down in (0, side // 2):
            for right in (0, side // 2):
                divide(top + down, left + right, level - 1)

    side = 2 ** (num_levels - 1)
    for top in range(0, image.shape[0], side):
        for left in range(0, image.shape[1], side):
            divide(top, left, num_levels - 1)
    return found


def leaves(levels):
    """Lists the boxes of the leaves of one image, row by row."""
    height, width = levels.shape
    return [
        (x, y, min(x + side, width), min(y + side, height))
        for y in range(height)
        for x in range(width)
        for side in [2 ** int(levels[y, x])]
        if y % side == 0 and x % side == 0
    ]


def means(image, levels):
    """Returns the image with each leaf in its mean."""
    painted = np.zeros(image.shape, "float64")
    for x0, y0, x1, y1 in leaves(levels):
        square = image[y0:y1, x0:x1].astype("float64")
        painted[y0:y1, x0:x1] = square.mean((0, 1))
    return painted


def convolution(x, levels, kernel):
    """Convolves images on leaves: each leaf with squares of its own size."""
    reach = kernel.shape[0] // 2
    result = np.zeros((*levels.shape, kernel.shape[-1]))
    done = levels < 0
    for row, column in np.ndindex(*levels.shape):
        if done[row, column]:
            continue
        side = 2 ** levels[row, column]
        total = 0.0
        for i, j in np.ndindex(*kernel.shape[:2]):
            top, left = row + (i - reach) * side, column + (j - reach) * side
            if top < 0 or left < 0:
                continue
            square = x[top : top + side, left : left + side]
            if square.size:
                total = total + square.mean(axis=(0, 1)) @ kernel[i, j]
        leaf = slice(row, row + side), slice(column, column + side)
        result[leaf] = total
        done[leaf] = True
    return result
