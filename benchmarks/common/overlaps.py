"""How far masks of classes overlap with the truth, over many photos."""

import numpy as np

from benchmarks.common.counts import counts_of_masks
from benchmarks.common.intervals import drawn


class Overlaps:
    """Overlaps of masks with classes, summed over photos, per threshold."""

    def __init__(self, num_thresholds, num_classes):
        self.totals = np.zeros((num_thresholds, num_classes, 3))

    def add(self, number, masks, truth, known, classes):
        """Adds masks `(classes, 224, 224)` of one photo.

        Args:
            number: Which threshold they were made with.
            masks: Boolean.
            truth: Boolean, see `Labelled.masks`.
            known: Boolean, `(224, 224)`: the pixels that count.
            classes: The numbers of the classes.
        """
        self.totals[number, classes] += counts_of_masks(masks, truth, known)

    def scores(self):
        """Returns mIoU, recall and precision of each threshold.

        All are means over the classes that any photo had.
        """
        there = self.totals[..., 2].max(0) > 0
        shared, found, true = np.moveaxis(self.totals[:, there], -1, 0)
        return (
            (shared / (found + true - shared)).mean(1),
            (shared / true).mean(1),
            (shared / np.maximum(found, 1)).mean(1),
        )


def average_precision(outputs, labels):
    """Mean over classes with any image of the area under the curve."""
    values = []
    for output, label in zip(outputs.T, labels.T, strict=True):
        if label.sum():
            ranked = label[np.argsort(-output, kind="stable")]
            precision = ranked.cumsum() / np.arange(1, len(ranked) + 1)
            values.append((precision * ranked).sum() / ranked.sum())
    return float(np.mean(values))


def draws_of_precision(outputs, labels):
    """Returns mean average precisions of photos drawn with replacement."""
    rows = np.arange(len(labels))
    of_draws = (np.repeat(rows, times) for times in drawn(len(labels)))
    return np.array(
        [average_precision(outputs[row], labels[row]) for row in of_draws]
    )


def divided(maps, threshold):
    """Masks of pixels that have one class, or none, out of maps of classes.

    Args:
        maps: `(classes, 224, 224)`.
        threshold: Float in [0, 1]: pixels have none whose highest map, each
            divided by its own maximum, is not above it.

    Returns:
        Boolean array of the same shape.
    """
    top = maps.max((1, 2), keepdims=True)
    scaled = maps / np.where(top > 0, top, 1)
    chosen = np.where(scaled.max(0) > threshold, scaled.argmax(0), -1)
    return chosen == np.arange(len(maps))[:, None, None]
