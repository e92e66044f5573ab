"""Digits of scenes, cut out by their masks and compared with what they show."""

import numpy as np


def cut_out(picture, mask):
    """The 8 x 8 pixels of `picture` around the digit of `mask`."""
    rows, columns = np.nonzero(mask)
    grid = (np.arange(8) - 3.5) * (np.ptp(rows) + 1) / 8
    rows = np.round(grid + (rows.min() + rows.max()) / 2).astype(int)
    columns = np.round(grid + (columns.min() + columns.max()) / 2).astype(int)
    last = len(mask) - 1
    index = np.ix_(rows.clip(0, last), columns.clip(0, last))
    return picture[index].ravel().astype(float)


def recognized(pictures, masks, labels, digits, classes):
    """Share of the cut-out digits that look like the mean of their class."""
    windows = np.stack([*map(cut_out, pictures, masks)])
    return np.mean(nearest_mean(windows, digits, classes) == labels)


def nearest_mean(windows, digits, classes):
    """The class whose mean digit correlates most with each window."""
    digits = digits.reshape(len(digits), 64)
    means = np.stack([digits[classes == k].mean(axis=0) for k in range(10)])
    means = means - means.mean(axis=1, keepdims=True)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    centred = windows - windows.mean(axis=1, keepdims=True)
    return np.argmax(centred @ means.T, axis=1)
