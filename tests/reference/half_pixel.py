"""Linear interpolation with half-pixel centres, one output pixel at a time."""

import math

import numpy as np


def resize(map, size):
    """Resizes one map of any number of axes to `size`, in float64."""
    map = np.asarray(map, np.float64)
    for axis, new in enumerate(size):
        old = map.shape[axis]
        rows = []
        for i in range(new):
            centre = (i + 0.5) * old / new - 0.5
            lower = math.floor(centre)
            first = np.take(map, min(max(lower, 0), old - 1), axis)
            second = np.take(map, min(max(lower + 1, 0), old - 1), axis)
            rows.append(first + (second - first) * (centre - lower))
        map = np.stack(rows, axis)
    return map
