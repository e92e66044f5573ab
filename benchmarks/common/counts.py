"""Overlaps of what is found in photos with the truth, photo by photo.

A score is a function of counts summed over photos; its interval is that of
photos drawn with replacement.
"""

import numpy as np

from benchmarks.common.intervals import DRAWS
from benchmarks.common.intervals import drawn
from benchmarks.common.intervals import interval


def counts(labels, truth, num_classes):
    """Returns `(1 + classes, 3)`: pixels shared, found and true.

    Args:
        labels: `(height, width)`, 0 for the background.
        truth: The same, 255 where nothing is known.
    """
    known = truth != 255
    labels, truth = labels[known], truth[known]
    parts = labels[labels == truth], labels, truth
    return np.stack(
        [np.bincount(part, minlength=1 + num_classes) for part in parts], -1
    )


def counts_of_masks(masks, truth, known):
    """Returns `(classes, 3)`, as `counts`, of masks that may overlap.

    Args:
        masks: Boolean, `(classes, height, width)`.
        truth: The same.
        known: Boolean, `(height, width)`: the pixels that count.
    """
    masks, truth = masks & known, truth & known
    parts = masks & truth, masks, truth
    return np.stack([part.sum((1, 2)) for part in parts], -1)


def mean_iou(totals):
    """Returns the means over the classes that have a pixel, `(...,)`.

    The background is a class where any pixel is known to be of none.
    """
    shared, found, true = np.moveaxis(totals, -1, 0).astype("float64")
    there = true > 0
    iou = shared / np.maximum(found + true - shared, 1)
    return (iou * there).sum(-1) / np.maximum(there.sum(-1), 1)


def mean(totals):
    """Returns means of what is counted as a sum and a number, `(..., 2)`."""
    return totals[..., 0] / np.maximum(totals[..., 1], 1)


def draws(of_photos, score=mean_iou):
    """Returns scores of photos drawn with replacement.

    Args:
        of_photos: Counts `(photos, ...)`, as `(photos, classes, 3)`.
        score: Function of `(draws, ...)`, sums over photos.
    """
    totals = drawn(len(of_photos)) @ of_photos.reshape(len(of_photos), -1)
    return score(totals.reshape(DRAWS, *of_photos.shape[1:]))


def with_interval(of_photos, score=mean_iou):
    return interval(score(of_photos.sum(0)), draws(of_photos, score))


def gain(of_photos, of_others, score=mean_iou):
    """Returns by how much one is above the other, on the same draws."""
    middle = score(of_photos.sum(0)) - score(of_others.sum(0))
    of_draws = draws(of_photos, score) - draws(of_others, score)
    return interval(middle, of_draws)


def best(options, count, rows, score=mean_iou):
    """Returns the option of the highest score over rows.

    Args:
        count: Function of a row and an option: counts of one photo.
    """
    totals = [sum(count(row, option) for row in rows) for option in options]
    return options[int(np.argmax([score(total) for total in totals]))]
