"""Photos, and heads on a frozen network.

Only a head is trained in each round, so that the features of the photos, as
they are then, are computed but once.
"""

import numpy as np
import tensorflow as tf

from benchmarks.common import heads
from benchmarks.common.labelled import SIZE
from benchmarks.common.labelled import Labelled
from benchmarks.common.overlaps import Overlaps
from benchmarks.common.overlaps import average_precision
from benchmarks.common.overlaps import divided
from benchmarks.erasing.scores import THRESHOLDS
from benchmarks.erasing.scores import rounded

NETWORK = "squeezenet_v1_1"
FOLDS = 5
BATCH = 16
EPOCHS = 100  # of a linear head


class Photos:
    """Photos with labels, as the frozen network takes them.

    Attributes:
        labelled: `common.labelled.Labelled`.
        images: What the network takes, float32.
        train: Numbers of the photos that are trained on, and mined.
        held_out: Numbers of those that a round is judged by.
    """

    def __init__(self, folder, dataset):
        labelled = Labelled(folder, dataset)
        self.labelled = labelled
        self.images = folder.prepared(NETWORK, labelled.images)
        fold = labelled.folds(FOLDS)
        self.train = np.flatnonzero(fold != 0)
        self.held_out = np.flatnonzero(fold == 0)
        self.trunk = heads.frozen_trunk(folder, NETWORK)

    @property
    def num_classes(self):
        return self.labelled.labels.shape[1]

    def features(self, images):
        return self.trunk.predict(images, batch_size=BATCH, verbose=0)

    def precision(self, logits):
        """Mean average precision on the held-out photos."""
        labels = self.labelled.labels[self.held_out]
        return round(average_precision(logits, labels), 3)

    def judge(self, masks, num_thresholds):
        """Returns scores of each threshold, three arrays.

        Args:
            masks: Function of a photo's number, its number of classes and
                the number of a threshold: masks of the classes.
        """
        overlaps = Overlaps(num_thresholds, self.num_classes)
        for row in self.train:
            target = self.labelled.target[row]
            classes = target[target >= 0]
            truth, known = self.labelled.masks(row), self.labelled.known[row]
            for number in range(num_thresholds):
                found = masks(row, len(classes), number)
                overlaps.add(number, found, truth, known, classes)
        return overlaps.scores()

    def at_best_threshold(self, maps):
        """Scores of maps that share out the pixels, at their threshold."""

        def masks(row, count, number):
            of_photo = maps[row, :count].astype("float32")
            return divided(of_photo, THRESHOLDS[number])

        scores = self.judge(masks, len(THRESHOLDS))
        best = scores[0].argmax()
        at_half = scores[0][np.searchsorted(THRESHOLDS, 0.5)]
        return rounded(
            {
                "threshold": THRESHOLDS[best],
                "mIoU": scores[0][best],
                "recall": scores[1][best],
                "precision": scores[2][best],
                "mIoU at .5": at_half,
            }
        )

    def of_regions(self, regions):
        """Scores of regions `(photos, classes at most, 224, 224)`."""
        scores = self.judge(lambda row, count, _: regions[row, :count], 1)
        names = ("mIoU", "recall", "precision")
        return rounded({n: x[0] for n, x in zip(names, scores, strict=True)})


def linear_head(photos, features, seed, epochs):
    """Trains a linear classifier of features, see `heads.linear_head`.

    Args:
        photos: `Photos`.
        features: `(variants, photos, h, w, channels)`.
        seed: Integer.
        epochs: Integer.
    """
    means = features[:, photos.train].mean((2, 3))
    labels = photos.labelled.labels[photos.train]
    return heads.linear_head(means, labels, seed, epochs)


def maps_of(photos, features, weights):
    """CAM of the classes of each photo: `(photos, classes, 224, 224)`."""
    target = photos.labelled.target
    maps = np.zeros((*target.shape, SIZE, SIZE), "float16")
    for row, classes in enumerate(target):
        classes = classes[classes >= 0]
        of_photo = np.maximum(features[row] @ weights[:, classes], 0)
        of_photo = tf.image.resize(of_photo, (SIZE, SIZE)).numpy()
        maps[row, : len(classes)] = of_photo.transpose(2, 0, 1)
    return maps
