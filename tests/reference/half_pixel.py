"""Linear interpolation with half-pixel centres, one output pixel at a time."""

import math

import numpy as np


def resize(heatmap, size):
    """Resizes one map of any number of axes to `size`, in float64."""
    heatmap = np.asarray(heatmap, np.float64)
    for axis, new in enumerate(size):
        old = heatmap.shape[axis]
        rows = []
        for i in range(new):
            centre = (i + 0.5) * old / new - 0.5
            lower = math.floor(centre)
            first = np.take(heatmap, min(max(lower, 0), old - 1), axis)
            second = np.take(heatmap, min(max(lower + 1, 0), old - 1), axis)
            rows.append(first + (second - first) * (centre - lower))
        heatmap = np.stack(rows, axis)
    return heatmap
