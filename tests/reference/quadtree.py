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
