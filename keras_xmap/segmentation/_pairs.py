"""Pairs of positions of a grid that lie within a radius of each other."""

import numpy as np


def offsets(radius):
    """Returns steps `(rows, columns)` shorter than `radius`, one of each pair.

    Below a position, or to its right in the same row.
    """
    reach = range(1 - radius, radius)
    return [
        (rows, columns)
        for rows in range(radius)
        for columns in reach
        if (rows > 0 or columns > 0) and rows**2 + columns**2 < radius**2
    ]


def ends(size, offset):
    """Returns where the two ends of all pairs of one step lie.

    Returns:
        Two tuples of slices of rows and columns, for the first ends and for
        the second; `None` where the grid is too small.
    """
    rows, columns = offset
    height, width = size
    if rows >= height or abs(columns) >= width:
        return None
    left, right = max(0, -columns), max(0, columns)
    first = slice(0, height - rows), slice(left, width - right)
    second = slice(rows, height), slice(right, width - left)
    return first, second


def pairs(size, radius):
    """Returns the numbers of both ends of all pairs, two integer arrays.

    Positions are numbered row by row.
    """
    number = np.arange(size[0] * size[1], dtype="int32").reshape(size)
    found = [ends(size, offset) for offset in offsets(radius)]
    found = [pair for pair in found if pair is not None]
    if not found:
        return number[:0, 0], number[:0, 0]
    return tuple(
        np.concatenate([number[pair[end]].ravel() for pair in found])
        for end in (0, 1)
    )
