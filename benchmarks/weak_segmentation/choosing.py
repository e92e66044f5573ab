"""Label maps out of maps of classes, by what suits the photos of a part.

Of every method the threshold is chosen by the masks of the photos of two folds,
and so are the parameters of the CRF behind it, on some of these photos. What is
reported are the photos of the third fold.
"""

import itertools

import numpy as np

from benchmarks.common.counts import best
from benchmarks.common.counts import counts
from benchmarks.common.labelled import SIZE
from benchmarks.weak_segmentation.photos import FOLDS
from benchmarks.weak_segmentation.photos import SIDE
from keras_xmap import ops
from keras_xmap import segmentation

THRESHOLDS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7)
CRF_THRESHOLDS = (0.02, 0.07, 0.15, 0.3, 0.5, 0.7)


def crf_parameters(side):
    """The published parameters, for photos of another size.

    They are told in pixels; here those of photos of `common.labelled.SIZE`.
    """
    parameters = ops.crf_parameters("paper")
    for name in ("position_stddev", "smoothness_stddev"):
        parameters[name] *= side / SIZE
    return parameters


# Of long range, and of short.
PARAMETERS = {"paper": crf_parameters(SIDE), "sec": ops.crf_parameters("sec")}


def cut(setting, row, maps, threshold):
    """Returns the label map of a photo: a class where its map is highest."""
    return segmentation.pseudo_labels(
        maps,
        classes=setting.classes(row).tolist(),
        threshold=threshold,
        overlap="highest",
        unclaimed="background",
        size=(SIDE, SIDE),
    )


def refined(setting, row, maps, option):
    """Returns the same, drawn to the edges by a dense CRF."""
    threshold, parameters = option
    with_none = segmentation.to_probabilities(maps, threshold)
    return likeliest(setting, row, with_none, parameters)


def likeliest(setting, row, probabilities, parameters):
    """Returns labels by the CRF of a photo's background and its classes."""
    found = segmentation.refine_with_crf(
        setting.photos[row], probabilities, PARAMETERS[parameters]
    )
    labels = np.concatenate([[0], setting.classes(row) + 1])
    return labels[found.argmax(0)]


class Found:
    """What a method finds in the photos of each fold.

    Attributes:
        counts: Dictionary from ways to label, `"map"` and `"CRF"`, to arrays
            `(photos, 1 + classes, 3)`, see `common.counts`.
        options: Dictionary from ways to lists: what was chosen for each fold.
    """

    def __init__(self, setting, crf_thresholds, every):
        self._setting = setting
        self._every = every
        self._ways = {
            "map": (cut, THRESHOLDS),
            "CRF": (refined, [*itertools.product(crf_thresholds, PARAMETERS)]),
        }
        shape = len(setting.photos), 1 + setting.num_classes, 3
        self.counts = {way: np.zeros(shape, "int64") for way in self._ways}
        self.options = {way: [None] * FOLDS for way in self._ways}

    def add(self, fold, maps):
        """Chooses on the photos of the other folds, and judges this one.

        Args:
            maps: `(photos, classes at most, rows, columns)`.
        """
        setting = self._setting
        for way, (label, options) in self._ways.items():
            rows = setting.train(fold)
            rows = rows[:: self._every] if way == "CRF" else rows
            option = best(
                options,
                lambda row, option, label=label: self._of(
                    row, label, maps, option
                ),
                rows,
            )
            self.options[way][fold] = option
            for row in setting.held_out(fold):
                self.counts[way][row] = self._of(row, label, maps, option)

    def agreed(self, fold, maps):
        """Returns what a network trains on, `(photos to train on, h, w)`.

        Labels by the map and by its CRF, both with the threshold that was
        chosen for the CRF; 255 where the two differ.
        """
        option = self.options["CRF"][fold]
        found = []
        for row in self._setting.train(fold):
            of_photo = of_classes(self._setting, row, maps)
            plain = cut(self._setting, row, of_photo, option[0])
            drawn = refined(self._setting, row, of_photo, option)
            found.append(np.where(plain == drawn, plain, 255))
        return np.stack(found).astype("uint8")

    def _of(self, row, label, maps, option):
        setting = self._setting
        labels = label(setting, row, of_classes(setting, row, maps), option)
        return counts(labels, setting.truth(row), setting.num_classes)


def of_classes(setting, row, maps):
    """Returns the maps of the classes of a photo, float32."""
    found = maps[row][: len(setting.classes(row))]
    return np.maximum(found, 0).astype("float32")
