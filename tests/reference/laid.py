"""Maps laid where their positions look, one pixel at a time.

For networks of windows without padding, such as `[(3, 1), (3, 2)]`: sizes and
strides from the first layer on, the same along all axes.
"""

import itertools

import numpy as np


def receptive_field(position, windows):
    """Returns the first and the last pixel that a position looks at."""
    first = last = position
    for size, stride in reversed(windows):
        first, last = first * stride, last * stride + size - 1
    return first, last


def lay(heatmap, size, windows, seen=None):
    """Lays one map of any number of axes on an input, in float64.

    Linear between the middles of receptive fields, constant beyond the
    outermost, 0 where nothing looks. `seen` is the size at which the network
    saw the input, if it is another one.
    """
    heatmap = np.asarray(heatmap, np.float64)
    for axis, length in enumerate(size):
        scale = (seen or size)[axis] / length
        fields = [
            receptive_field(i, windows) for i in range(heatmap.shape[axis])
        ]
        rows = []
        for number in range(length):
            pixel = (number + 0.5) * scale - 0.5
            row = 0 * np.take(heatmap, 0, axis)
            if any(
                first - 0.5 <= pixel <= last + 0.5 for first, last in fields
            ):
                for i, weight in weights(pixel, fields):
                    row = row + weight * np.take(heatmap, i, axis)
            rows.append(row)
        heatmap = np.stack(rows, axis)
    return heatmap


def weights(pixel, fields):
    """Returns pairs: a position, and its part in a pixel."""
    middles = [(first + last) / 2 for first, last in fields]
    for i, (start, end) in enumerate(itertools.pairwise(middles)):
        if start <= pixel <= end:
            share = (pixel - start) / (end - start)
            return [(i, 1 - share), (i + 1, share)]
    return [(0 if pixel < middles[0] else len(middles) - 1, 1.0)]
