"""What the masks that are made of maps are worth."""

import numpy as np
import tensorflow as tf

from benchmarks.common.overlaps import Overlaps
from benchmarks.common.overlaps import divided
from keras_xmap import metrics
from keras_xmap import segmentation

THRESHOLDS = np.arange(0.0, 1.0, 0.05)
CRF_THRESHOLDS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def judged(
    photos, maps, rows, crf=None, grabcut=False, crf_thresholds=CRF_THRESHOLDS
):
    """Returns the scores of maps `(photos, classes, size, size)`.

    Args:
        crf: The CRF's parameters, or `None` for no CRF.
        grabcut: Whether GrabCut makes the masks, from no threshold.
        crf_thresholds: Of the background, with the CRF.
    """
    thresholds = crf_thresholds if crf else [0.0] if grabcut else THRESHOLDS
    shape = len(thresholds), len(photos.classes)
    overlaps, of_several = Overlaps(*shape), Overlaps(*shape)
    pairs = metrics.MeanIoU(num_thresholds=50)
    for row in rows:
        classes = photos.target[row][photos.target[row] >= 0]
        of_photo = np.maximum(maps[row][: len(classes)], 0)
        truth, known = photos.masks(row), photos.known[row]
        pairs.update_state(truth, of_photo * known)
        for number, threshold in enumerate(thresholds):
            if grabcut:
                masks = _cut(photos.images[row], of_photo)
            elif crf:
                masks = _refined(photos.images[row], of_photo, threshold, crf)
            else:
                masks = divided(of_photo, threshold)
            overlaps.add(number, masks, truth, known, classes)
            if len(classes) > 1:
                of_several.add(number, masks, truth, known, classes)
    miou, number = overlaps.best()
    scores = {"mIoU": miou, "several classes": of_several.best()[0]}
    if not grabcut:
        scores["threshold"] = float(round(thresholds[number], 2))
    if not (grabcut or crf):
        scores["IoU of pairs"] = round(float(pairs.result()), 3)
    return scores


def _cut(image, maps):
    """GrabCut of each class by itself; its seeds are of a smoothed map."""
    smooth = tf.nn.avg_pool2d(maps[..., None], 9, 1, "SAME")[..., 0].numpy()
    return segmentation.grabcut(np.stack([image] * len(maps)), smooth)


def _refined(image, maps, threshold, parameters):
    """Masks that the dense CRF makes of the maps and their background."""
    with_none = segmentation.to_probabilities(maps, threshold)
    refined = segmentation.refine_with_crf(image, with_none, parameters)
    chosen = refined.argmax(0)
    return chosen == np.arange(1, len(maps) + 1)[:, None, None]
