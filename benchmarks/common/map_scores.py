"""Scores of maps against the masks and boxes of photos."""

import numpy as np
from scipy import ndimage

from benchmarks.common.intervals import drawn_photos
from benchmarks.common.intervals import of_weighted_mean
from keras_xmap import metrics
from keras_xmap import ops

BATCH = 16


class Scores:
    """Scores of maps, one row per photo and class."""

    def __init__(self, photos, boxes=False):
        self.photos = photos
        self.boxes = boxes
        outside = [ndimage.distance_transform_edt(1 - m) for m in photos.masks]
        self.widened = (np.stack(outside) < 15).astype("float32")
        self._pointing = metrics.PointingGame()
        self._energy = metrics.EnergyInMask()
        self._iou = metrics.MeanIoU(num_thresholds=50)

    def of(self, maps):
        """Returns a dict of arrays `(n,)`; `iou` is `(n, thresholds)`."""
        parts = []
        for start in range(0, len(maps), BATCH):
            rows = slice(start, start + BATCH)
            masks = self.photos.masks[rows].astype("float32")
            some = np.maximum(maps[rows], 0).astype("float32")
            # Beyond six digits a plateau of equal values is not equal.
            peak = some.max((1, 2), keepdims=True)
            some = np.round(some / np.where(peak > 0, peak, 1), 6)
            parts.append(
                {
                    "pointing": self._pointing.image_scores(masks, some),
                    "pointing_15": self._pointing.image_scores(
                        self.widened[rows], some
                    ),
                    "energy": self._energy.image_scores(masks, some),
                    "iou": self._iou.image_scores(masks, some),
                }
            )
            parts[-1] = {k: np.asarray(v) for k, v in parts[-1].items()}
        scores = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        if self.boxes:
            pairs = zip(maps, self.photos.boxes, strict=True)
            scores["box"] = np.stack([self._boxed(*pair) for pair in pairs])
        return scores

    def _boxed(self, heatmap, boxes):
        # At half the resolution, which takes a quarter of the time.
        metric = metrics.MaxBoxAccuracy(num_thresholds=40)
        maps = np.maximum(heatmap, 0)[None, ::2, ::2]
        # From 0 to 1, as Choe et al. cut them.
        maps = ops.normalize(maps)
        metric.update_state(halved(boxes, maps.shape[1])[None], maps)
        return metric.accuracies

    def centre(self):
        """A bump in the middle, a quarter of the side wide."""
        size = self.photos.masks.shape[1]
        bump = np.exp(-((np.arange(size) - size // 2) ** 2) / (size / 4) ** 2)
        return np.tile(bump[:, None] * bump, (len(self.photos), 1, 1))

    def flat(self):
        return np.ones(self.photos.masks.shape, "float32")


def halved(boxes, side):
    """Boxes `(n, 4)` where every other pixel is left, at least one of each."""
    starts = (boxes[:, :2] // 2).clip(0, side - 1)
    ends = ((boxes[:, 2:] + 1) // 2).clip(starts + 1, side)
    return np.concatenate([starts, ends], axis=1)


def summary(scores, photos, rows=slice(None), against=None):
    """Means over rows with intervals; thresholds are of the whole set.

    Args:
        scores: What `Scores.of` returned.
        photos: `Photos` of the same rows.
        rows: Which rows to report.
        against: Scores of other maps; adds the paired difference in pointing.
    """
    names = photos.names[rows]
    weights = drawn_photos(names)
    report = {"n": len(names), "photos": len(set(names))}
    for key, values in scores.items():
        values = values[rows]
        if values.ndim == 2:
            values = values[:, values.mean(0).argmax()]
        report[key] = of_weighted_mean(values, weights)
    if against is not None:
        gain = scores["pointing"][rows] - against["pointing"][rows]
        report["pointing gain"] = of_weighted_mean(gain, weights)
    return report


def show(name, report, width=44):
    cells = [f"  {name:<{width}} n={report['n']:<4}"]
    for key in ("pointing", "pointing_15", "energy", "iou", "box"):
        if key in report:
            cells.append(f"{key} {report[key][0]:.3f}")
    low, high = report["pointing"][1:]
    cells.insert(2, f"[{low:.3f}, {high:.3f}]")
    if "pointing gain" in report:
        gain = report["pointing gain"]
        cells.append(f"gain {gain[0]:+.3f} [{gain[1]:+.3f}, {gain[2]:+.3f}]")
    print(" ".join(cells), flush=True)
