"""Pairs of positions of a grid that lie within a radius of each other."""

import numpy as np


def offsets(radius, size):
    """Returns steps `(rows, columns)` shorter than `radius`, one of each pair.

    Below a position, or to its right in the same row; none that leads out of
    a grid of this size, however long the radius is.
    """
    height, width = (min(radius, length) for length in size)
    return [
        (rows, columns)
        for rows in range(height)
        for columns in range(1 - width, width)
        if (rows > 0 or columns > 0) and rows**2 + columns**2 < radius**2
    ]


def ends(size, offset):
    """Returns where the two ends of all pairs of one step lie.

    Returns:
        Two tuples of slices of rows and columns, for the first ends and for
        the second.
    """
    rows, columns = offset
    height, width = size
    left, right = max(0, -columns), max(0, columns)
    first = slice(0, height - rows), slice(left, width - right)
    second = slice(rows, height), slice(right, width - left)
    return first, second


def pairs(size, radius):
    """Returns the numbers of both ends of all pairs, two integer arrays.

    Positions are numbered row by row.
    """
    number = np.arange(size[0] * size[1], dtype="int32").reshape(size)
    found = [ends(size, offset) for offset in offsets(radius, size)]
    if not found:
        return number[:0, 0], number[:0, 0]
    return tuple(
        np.concatenate([number[pair[end]].ravel() for pair in found])
        for end in (0, 1)
    )
