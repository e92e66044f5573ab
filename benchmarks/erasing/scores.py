"""What rounds of erasing have found, held against masks."""

import numpy as np

from keras_xmap import explainers
from keras_xmap import ops

THRESHOLDS = np.arange(0.0, 0.95, 0.05).round(2)


class Kept(explainers.GradCAM):
    """Grad-CAM that keeps the maps it has made, in their order."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.kept = []

    def explain_batches(self, *args, **kwargs):
        for maps in super().explain_batches(*args, **kwargs):
            self.kept.append(maps.astype("float16"))
            yield maps

    def take(self, count):
        """Returns the maps of the last images; others are forgotten.

        They are of one class an image. Those before them are of the batch that
        erasing tries its explainer on before it trains.
        """
        maps = np.concatenate(self.kept)[-count:, 0].astype("float32")
        self.kept = []
        return maps


def above(maps, threshold):
    """Where maps `(..., h, w)` exceed a share of their maximum."""
    return np.asarray(ops.above_threshold(maps, threshold))


def scaled(maps):
    """Maps `(..., h, w)` of maximum 1, or 0."""
    return np.asarray(ops.normalize(maps, "max", axis=(-2, -1)))


def boxed_scores(masks, truth, labels):
    """Scores of masks `(images, h, w)`, one class an image.

    Returns:
        Dictionary of means over classes: `mIoU`, `recall`, `precision`, of
        pixels summed over the images of a class.
    """
    classes = np.unique(labels)
    shared, found, true = (
        np.array([x[labels == k].sum() for k in classes])
        for x in (masks & truth, masks, truth)
    )
    return rounded(
        {
            "mIoU": (shared / (found + true - shared)).mean(),
            "recall": (shared / true).mean(),
            "precision": (shared / np.maximum(found, 1)).mean(),
        }
    )


def at_best_threshold(maps, truth, labels):
    """`boxed_scores` of maps at the one threshold that suits them best."""
    found = [
        {"threshold": float(t), **boxed_scores(above(maps, t), truth, labels)}
        for t in THRESHOLDS
    ]
    return max(found, key=lambda scores: scores["mIoU"])


def rounded(scores):
    return {name: round(float(value), 3) for name, value in scores.items()}


def show(name, scores):
    numbers = "  ".join(f"{k} {v}" for k, v in scores.items())
    print(f"  {name}: {numbers}", flush=True)
