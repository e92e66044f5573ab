"""Leaves and error of quadtrees of photos, against the threshold."""

import numpy as np
import tensorflow as tf
from skimage import data

from benchmarks.common import timing
from keras_xmap import ops

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
RANGES = (16, 32, 48, 64, 96)
STANDARD_DEVIATIONS = (4, 8, 12, 16, 24)


def trees(folder, arguments, save):
    """Of each criterion and threshold, means over the photos."""
    del folder
    photos = {name: getattr(data, name)()[None] for name in PHOTOS}
    for criterion, thresholds in (
        ("range", RANGES),
        ("variance", [x**2 for x in STANDARD_DEVIATIONS]),
    ):
        for threshold in thresholds:
            rows = [_row(x, threshold, criterion) for x in photos.values()]
            shares, errors = np.transpose(rows)
            save(
                criterion,
                {
                    str(threshold): {
                        "leaves": [round(float(x), 4) for x in _spread(shares)],
                        "psnr": [round(float(x), 1) for x in _spread(errors)],
                    }
                },
            )
    save("milliseconds", _times(photos["astronaut"], arguments.repeats))


def _row(photo, threshold, criterion):
    """Returns the leaves a pixel, and the PSNR of the decoded photo in dB."""
    x = photo.astype("float32")
    levels = ops.quadtree(x, threshold, criterion=criterion)
    values = ops.quadtree_encode(x, levels)
    back = np.asarray(ops.quadtree_decode(values, levels), "float64")
    error = np.square(back - photo).mean()
    pixels = photo.shape[1] * photo.shape[2]
    return len(values) / pixels, 10 * np.log10(255**2 / error)


def _spread(values):
    return values.mean(), values.min(), values.max()


def _times(photo, repeats):
    x = tf.constant(photo, "float32")
    found = {}
    for criterion, threshold in (("range", 48.0), ("variance", 144.0)):

        @tf.function(autograph=False)
        def divide(x, criterion=criterion, threshold=threshold):
            return ops.quadtree(x, threshold, criterion=criterion)

        row = timing.alone(lambda divide=divide: divide(x).numpy(), repeats)
        found[criterion] = row
    return found
