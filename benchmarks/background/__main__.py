"""How well the background is told from one salient object.

`segmentation.DRFI`, of every third of its cuts, fitted on one half of the
photos, on the other half; beside it maps that learn nothing: a Gaussian about
the centre, and how far a pixel's colour (L*a*b*, blurred) is from the mean of
the image, or of its border. For each: the area under the ROC curve of the
pixels of a photo, and the mean absolute error from the mask, both as means over
photos; and the highest F-measure of precision and recall, each a mean over
photos, at the one threshold that is best for all (beta squared .3, as usual in
this field).
Brackets are 95 % of 2,000 draws of photos with replacement.

    python -m benchmarks.background --data DIR
"""

import os
import time
import zlib

import numpy as np
from scipy import ndimage
from skimage import color
from sklearn.metrics import roc_auc_score

from benchmarks.common import command
from benchmarks.common import images
from benchmarks.common.intervals import drawn
from benchmarks.common.intervals import ends
from benchmarks.common.intervals import of_mean
from keras_xmap import segmentation

THRESHOLDS = np.linspace(0, 1, 256)
BETA_SQUARED = 0.3


def ecssd(folder, arguments, save):
    train, test = halves(folder)
    seconds = [time.process_time()]
    levels = segmentation.DRFI().levels[:: arguments.step]
    model = segmentation.DRFI(levels, num_trees=arguments.trees, seed=0)
    model.fit(*zip(*train, strict=True), verbose=0)
    seconds.append(time.process_time())
    photos, masks = zip(*test, strict=True)
    found = {"DRFI": model.predict(list(photos), verbose=0)}
    seconds.append(time.process_time())
    save(
        "photos",
        {
            "fitted on": len(train),
            "judged on": len(test),
            "cuts": len(levels),
            "seconds of a core for a photo": {
                "to fit": round((seconds[1] - seconds[0]) / len(train), 1),
                "to predict": round((seconds[2] - seconds[1]) / len(test), 1),
            },
        },
    )
    for name, make in BASELINES.items():
        found[name] = [make(photo) for photo in photos]
    scores = {name: Scores(maps, masks) for name, maps in found.items()}
    report = {name: one.summary() for name, one in scores.items()}
    for name in BASELINES:
        gain = scores["DRFI"].auc - scores[name].auc
        report["DRFI"][f"AUC above {name}"] = of_mean(gain)
    for name, row in report.items():
        print(name, row, flush=True)
    save("maps", report)


def halves(folder):
    """Returns pairs of a photo and its mask, in two halves by name."""
    path = os.path.join(folder.path, "ecssd", "dev")
    pairs = [], []
    for name in folder.some(images.names_in(path, "images")):
        photo = images.read_photo(os.path.join(path, "images", f"{name}.jpg"))
        mask = images.read(os.path.join(path, "masks", f"{name}.png")) > 0
        pairs[zlib.crc32(name.encode()) % 2].append((photo, mask))
    return pairs


class Scores:
    """What is measured of each photo."""

    def __init__(self, maps, masks):
        pairs = list(zip(maps, masks, strict=True))
        self.auc = np.array(
            [roc_auc_score(mask.ravel(), m.ravel()) for m, mask in pairs]
        )
        self.mae = np.array([np.abs(m - mask).mean() for m, mask in pairs])
        curves = [precision_and_recall(*pair) for pair in pairs]
        self.precision, self.recall = np.moveaxis(np.array(curves), 1, 0)

    def summary(self):
        draws = drawn(len(self.auc))
        f = self.best_f(np.ones((1, len(self.auc))))[0]
        return {
            "AUC": of_mean(self.auc),
            "MAE": of_mean(self.mae),
            "F": [f, *ends(self.best_f(draws))],
        }

    def best_f(self, draws):
        draws = draws / draws.sum(1, keepdims=True)
        precision, recall = draws @ self.precision, draws @ self.recall
        below = BETA_SQUARED * precision + recall
        f = (1 + BETA_SQUARED) * precision * recall / np.maximum(below, 1e-9)
        return f.max(axis=1)


def precision_and_recall(heatmap, mask):
    """Returns both at each threshold; of nothing found, precision is 1."""
    steps = np.searchsorted(THRESHOLDS, heatmap.ravel(), side="right")
    size = len(THRESHOLDS) + 1
    found = np.bincount(steps, minlength=size)[::-1].cumsum()[::-1][1:]
    right = np.bincount(steps[mask.ravel()], minlength=size)
    right = right[::-1].cumsum()[::-1][1:]
    precision = np.where(found > 0, right / np.maximum(found, 1), 1)
    return precision, right / max(mask.sum(), 1)


def centre(photo):
    height, width = photo.shape[:2]
    y, x = np.mgrid[:height, :width]
    square = ((y + 0.5) / height - 0.5) ** 2 + ((x + 0.5) / width - 0.5) ** 2
    return np.exp(-square / (2 * 0.25**2))


def from_mean(photo):
    lab = _blurred_lab(photo)
    return _scaled(lab - lab.mean(axis=(0, 1)))


def from_border(photo):
    lab = _blurred_lab(photo)
    band = max(1, 15 * max(photo.shape[:2]) // 400)
    is_border = np.ones(photo.shape[:2], bool)
    is_border[band:-band, band:-band] = False
    return _scaled(lab - lab[is_border].mean(axis=0))


def _blurred_lab(photo):
    return ndimage.gaussian_filter(color.rgb2lab(photo), (3, 3, 0))


def _scaled(differences):
    far = np.linalg.norm(differences, axis=-1)
    return (far - far.min()) / max(far.max() - far.min(), 1e-9)


BASELINES = {
    "centre": centre,
    "colour from the mean": from_mean,
    "colour from the border": from_border,
}
PARTS = {"ecssd": ecssd}


def keep(title, rows):
    if title != "maps":
        return rows
    return {
        name: {
            key: [round(float(value), 4) for value in values]
            for key, values in row.items()
        }
        for name, row in rows.items()
    }


def main(argv=None):
    parser = command.make_parser(__doc__, PARTS)
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument(
        "--step", type=int, default=3, help="1 for all 15 cuts: slow"
    )
    return command.run(
        __package__,
        parser,
        PARTS,
        argv,
        photos=PARTS,
        smoke={"photos": 9, "trees": 5, "step": 8},
        keep={"ecssd": keep},
        fixed=("trees", "step"),
    )


if __name__ == "__main__":
    main()
