"""Overlaps of label maps with the truth, photo by photo."""

import numpy as np

DRAWS = 2000


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


def mean_iou(totals):
    """Returns the means over the classes that have a pixel, `(...,)`.

    The background is a class where any pixel is known to be of none.
    """
    shared, found, true = np.moveaxis(totals, -1, 0).astype("float64")
    there = true > 0
    iou = shared / np.maximum(found + true - shared, 1)
    return (iou * there).sum(-1) / np.maximum(there.sum(-1), 1)


def draws(of_photos):
    """Returns mean IoUs of photos drawn with replacement.

    Args:
        of_photos: `(photos, 1 + classes, 3)`.
    """
    number = len(of_photos)
    generator = np.random.default_rng(0)
    times = generator.multinomial(number, np.full(number, 1 / number), DRAWS)
    totals = times @ of_photos.reshape(number, -1)
    return mean_iou(totals.reshape(DRAWS, *of_photos.shape[1:]))


def with_interval(of_photos):
    return _rounded(mean_iou(of_photos.sum(0)), draws(of_photos))


def gain(of_photos, of_others):
    """Returns by how much one is above the other, on the same draws."""
    middle = mean_iou(of_photos.sum(0)) - mean_iou(of_others.sum(0))
    return _rounded(middle, draws(of_photos) - draws(of_others))


def _rounded(middle, of_draws):
    low, high = np.quantile(of_draws, (0.025, 0.975))
    return [round(float(value), 3) for value in (middle, low, high)]
