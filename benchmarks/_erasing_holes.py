"""Holes that say less of the label: do they mend the rounds that follow?

The regions of an image are mined by its label, so that a network may read
the label from the holes they leave. Here images have holes of others as well,
drawn anew in every epoch, and in part none of their own.
"""

import keras
import numpy as np
from _erasing_fills import EPOCHS
from _erasing_fills import boxes_of
from _erasing_fills import make_classifier
from _erasing_fills import make_scenes
from _erasing_photos import Photos
from _erasing_photos import report_of_rounds
from _erasing_scores import above
from _erasing_scores import rounded
from _erasing_scores import show
from _erasing_tiny import schedule
from _labelled import Labelled

from keras_xmap import explainers

THRESHOLD = 0.5  # of scenes


def others_too(masks, generator):
    """Masks `(images, h, w)`, each joined with that of another image."""
    return masks | masks[generator.permutation(len(masks))]


def half_own(masks, generator):
    """The same, but half of the images have no hole of their own."""
    own = masks & (generator.random(len(masks)) < 0.5)[:, None, None]
    return own | masks[generator.permutation(len(masks))]


HOLES = {"own": None, "others too": others_too, "half of own": half_own}


def holes(folder, arguments, save):
    _on_scenes(arguments, save)
    for dataset in arguments.datasets:
        photos = Photos(folder, Labelled(folder, dataset, arguments.photos))
        report = {}
        for name, draw in HOLES.items():
            report[name] = report_of_rounds(
                photos, f"{dataset}, {name}", draw=draw
            )
            save(dataset, report)


def _on_scenes(arguments, save):
    """Two rounds from scratch, and two in which the weights go on."""
    test = make_scenes(300, "test", 1)
    found = {}
    for seed in range(arguments.seeds):
        scenes = Scenes(make_scenes(arguments.hole_scenes, "train", 10 + seed))
        first = scenes.trained(None, None, seed)
        maps = scenes.maps(first, scenes.data.images)
        regions = _regions(maps)
        scores = scenes.scores(regions)
        known = {"held-out AUC, whole": auc(first, test.images, test.labels)}
        found.setdefault("round 1", []).append({**known, **scores})
        for goes_on in (False, True):
            for name, draw in HOLES.items():
                start = first.get_weights() if goes_on else None
                model = scenes.trained(regions, draw, seed + 100, start)
                erased = scenes.without(regions.any(-1))
                more = regions | _regions(scenes.maps(model, erased))
                scores = scenes.scores(more)
                title = f"{name}, {'weights go on' if goes_on else 'new'}"
                found.setdefault(title, []).append(
                    {
                        "held-out AUC, whole": auc(
                            model, test.images, test.labels
                        ),
                        "training AUC, erased": auc(
                            model, erased, scenes.data.labels
                        ),
                        **scores,
                        "precision of round 1 at this recall": (
                            scenes.precision_at(maps, scores["recall of ink"])
                        ),
                    }
                )
                show(f"scenes {seed}, {title}", found[title][-1])
        report = {name: _summary(rows) for name, rows in found.items()}
        save(f"scenes at {THRESHOLD}", report)


class Scenes:
    """Scenes of digits, and networks trained on them with holes."""

    def __init__(self, data):
        self.data = data
        self.boxes = boxes_of(data.masks)
        self.mean = data.images.mean()

    def without(self, masks):
        return np.where(masks[..., None], self.mean, self.data.images)

    def trained(self, regions, draw, seed, start=None):
        """A network, the holes of whose images are drawn in every epoch."""
        keras.utils.set_random_seed(seed)
        generator = np.random.default_rng(seed)
        model = make_classifier()
        if start is not None:
            model.set_weights(start)
        images = self.data.images
        for epoch in range(EPOCHS):
            if regions is not None:
                masks = regions.any(axis=-1)
                images = self.without(draw(masks, generator) if draw else masks)
            model.fit(
                images,
                self.data.labels,
                batch_size=32,
                initial_epoch=epoch,
                epochs=epoch + 1,
                callbacks=[schedule(EPOCHS)],
                verbose=0,
            )
        return model

    def maps(self, model, images):
        """CAM of the classes of each scene, `(n, h, w, classes)`, else 0."""
        labels = self.data.labels
        columns = int(labels.sum(axis=1).max())
        classes = np.argsort(-labels, axis=1, kind="stable")[:, :columns]
        maps = explainers.GradCAM(model).explain(images, classes, verbose=0)
        result = np.zeros((*images.shape[:3], labels.shape[1]), "float32")
        np.put_along_axis(
            result,
            classes[:, None, None, :],
            maps.transpose(0, 2, 3, 1),
            axis=-1,
        )
        return result * labels[:, None, None, :]

    def scores(self, regions):
        """Recall of the ink, precision and IoU by boxes, of all pixels."""
        ink, boxes = self.data.masks, self.boxes
        shared = (regions & boxes).sum()
        return rounded(
            {
                "recall of ink": (regions & ink).sum() / ink.sum(),
                "precision": shared / regions.sum(),
                "IoU": shared / (regions | boxes).sum(),
            }
        )

    def precision_at(self, maps, recall):
        """Of the highest threshold of maps that has this recall."""
        for threshold in np.arange(THRESHOLD, 0, -0.02):
            scores = self.scores(_regions(maps, threshold))
            if scores["recall of ink"] >= recall:
                break
        return scores["precision"]


def auc(model, images, labels):
    scores = model.predict(images, batch_size=100, verbose=0)
    metric = keras.metrics.AUC(from_logits=True)
    metric.update_state(labels, scores)
    return round(float(metric.result()), 3)


def _regions(maps, threshold=THRESHOLD):
    return np.moveaxis(above(np.moveaxis(maps, -1, 1), threshold), 1, -1)


def _summary(rows):
    """Means over the seeds, and behind them standard deviations."""
    return {
        name: [
            round(float(f([row[name] for row in rows])), 3)
            for f in (np.mean, np.std)
        ]
        for name in rows[0]
    }
