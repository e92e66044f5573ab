"""What the masks that are made of maps are worth.

Thresholds and the parameters of the CRF are chosen on one half of the photos
and judged on the other, both ways.
"""

import itertools

import numpy as np
import tensorflow as tf

from benchmarks.common.counts import best
from benchmarks.common.counts import counts_of_masks
from benchmarks.common.counts import gain
from benchmarks.common.counts import mean
from benchmarks.common.counts import mean_iou
from benchmarks.common.counts import with_interval
from benchmarks.common.heads import FOLDS
from benchmarks.common.intervals import interval
from benchmarks.common.overlaps import average_precision
from benchmarks.common.overlaps import divided
from benchmarks.common.overlaps import draws_of_precision
from keras_xmap import metrics
from keras_xmap import segmentation

THRESHOLDS = np.arange(0.0, 1.0, 0.05).round(2).tolist()
CRF_THRESHOLDS = (0.02, 0.1, 0.3, 0.5, 0.7)
PARAMETERS = ("paper", "sec")
# What each score is of: counts, and how they become one.
SCORES = {
    "mIoU": ("masks", mean_iou),
    "several classes": ("masks of several", mean_iou),
    "IoU of pairs": ("pairs", mean),
}


class Judge:
    """Counts what maps find in photos.

    Args:
        photos: `common.labelled.Labelled`.
        rows: The photos that are explained.
        arguments: Those of the command.
    """

    def __init__(self, photos, rows, arguments):
        self._photos, self._rows = photos, rows
        fold = photos.folds(FOLDS)[rows]
        self._halves = [rows[fold == number] for number in range(FOLDS)]
        self._several = (photos.target[rows] >= 0).sum(1) > 1
        self._crf_every = arguments.crf_every
        self._crf = [*itertools.product(PARAMETERS, arguments.crf_thresholds)]

    def numbers(self):
        """Returns how many there are of what each score is a mean of."""
        return {
            "mean average precision": len(self._photos.images),
            "mIoU": len(self._rows),
            "several classes": int(self._several.sum()),
            "IoU of pairs": int((self._photos.target[self._rows] >= 0).sum()),
        }

    def by_thresholds(self, maps):
        """Returns counts of masks and of pairs, and the thresholds.

        Args:
            maps: `(photos, classes at most, 224, 224)`.
        """
        found, thresholds = self._masks(
            lambda row, option: divided(self._of_photo(row, maps), option),
            THRESHOLDS,
        )
        metric = metrics.MeanIoU(num_thresholds=50)
        ious = {row: self._ious(row, maps, metric) for row in self._rows}
        pairs, chosen = self._by_other_half(
            lambda row, number: ious[row][number], range(50), score=mean
        )
        options = {
            "thresholds": thresholds,
            "of pairs": [number / 50 for number in chosen],
        }
        return {**found, "pairs": pairs}, options

    def by_grabcut(self, maps):
        """Returns counts of masks of each class by itself, of no threshold."""

        def cut(row, option):
            del option
            return _cut(self._photos.images[row], self._of_photo(row, maps))

        found, _ = self._masks(cut, [None])
        return found, {}

    def by_crf(self, maps):
        """Returns counts of masks, and parameters with their thresholds."""

        def refined(row, option):
            image = self._photos.images[row]
            return _refined(image, self._of_photo(row, maps), *option)

        found, chosen = self._masks(refined, self._crf, self._crf_every)
        return found, {"CRF": chosen}

    def _of_photo(self, row, maps):
        number = (self._photos.target[row] >= 0).sum()
        return np.maximum(maps[row][:number], 0)

    def _ious(self, row, maps, metric):
        """Returns sums over the photo's maps, and their number, `(50, 2)`."""
        of_photo = self._of_photo(row, maps) * self._photos.known[row]
        truth = self._photos.masks(row).astype("float32")
        ious = np.asarray(metric.image_scores(truth, of_photo))
        return np.stack([ious.sum(0), np.full(ious.shape[1], len(ious))], -1)

    def _masks(self, make, options, every=1):
        photos = self._photos

        def count(row, option):
            found = np.zeros((len(photos.classes), 3))
            target = photos.target[row]
            found[target[target >= 0]] = counts_of_masks(
                make(row, option), photos.masks(row), photos.known[row]
            )
            return found

        of_photos, chosen = self._by_other_half(count, options, every)
        found = {
            "masks": of_photos,
            "masks of several": of_photos[self._several],
        }
        return found, chosen

    def _by_other_half(self, count, options, every=1, score=mean_iou):
        """Counts each photo by the option that is best on the other half.

        Args:
            count: Function of a row and an option: counts of one photo.
            every: One of so many photos of a half chooses.

        Returns:
            Counts of the photos, and the option of each half.
        """
        found, chosen = {}, []
        for number, rows in enumerate(self._halves):
            option = options[0]
            if len(options) > 1:
                others = self._halves[1 - number][::every]
                option = best(options, count, others, score)
            chosen.append(option)
            found.update({row: count(row, option) for row in rows})
        return np.stack([found[row] for row in self._rows]), chosen


def scores(found):
    """Returns each score that there is of counts, with its interval."""
    return {
        name: with_interval(found[kind], score)
        for name, (kind, score) in SCORES.items()
        if kind in found
    }


def above(found, others):
    """Returns by how much each score is above that of other maps."""
    return {
        name: gain(found[kind], others[kind], score)
        for name, (kind, score) in SCORES.items()
        if kind in found and kind in others
    }


def precision(labels, outputs, of_others=None):
    """Returns the mean average precision, and how far above others' it is."""
    middle = average_precision(outputs, labels)
    of_draws = draws_of_precision(outputs, labels)
    found = {"mean average precision": interval(middle, of_draws)}
    if of_others is not None:
        middle -= average_precision(of_others, labels)
        of_draws -= draws_of_precision(of_others, labels)
        found["above a new head"] = interval(middle, of_draws)
    return found


def _cut(image, maps):
    """GrabCut of each class by itself; its seeds are of a smoothed map."""
    smooth = tf.nn.avg_pool2d(maps[..., None], 9, 1, "SAME")[..., 0].numpy()
    return segmentation.grabcut(np.stack([image] * len(maps)), smooth)


def _refined(image, maps, parameters, threshold):
    """Masks that the dense CRF makes of the maps and their background."""
    with_none = segmentation.to_probabilities(maps, threshold)
    refined = segmentation.refine_with_crf(image, with_none, parameters)
    chosen = refined.argmax(0)
    return chosen == np.arange(1, len(maps) + 1)[:, None, None]
