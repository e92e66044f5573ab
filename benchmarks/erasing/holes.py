"""Holes that say less of the label: do they mend the rounds that follow?

The regions of an image are mined by its label, so that a network may read
the label from the holes they leave. Here images have holes of others as well,
drawn anew in every epoch, and in part none of their own.
"""

import keras
import numpy as np

from benchmarks.erasing.photos import Photos
from benchmarks.erasing.rounds import report_of_rounds
from benchmarks.erasing.scenes import THRESHOLD
from benchmarks.erasing.scenes import boxes_of
from benchmarks.erasing.scenes import falling
from benchmarks.erasing.scenes import make_classifier
from benchmarks.erasing.scenes import make_scenes
from benchmarks.erasing.scores import above
from benchmarks.erasing.scores import rounded
from benchmarks.erasing.scores import show
from keras_xmap import explainers


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
        photos = Photos(folder, dataset)
        for name in arguments.holes:
            title = f"{dataset}, {name}"
            report = report_of_rounds(
                photos, title, arguments, draw=HOLES[name]
            )
            save(dataset, {name: report})


def _on_scenes(arguments, save):
    """Two rounds from scratch, and two in which the weights go on."""
    test = make_scenes(arguments.test_scenes, "test", 1)
    found = {}
    for seed in range(arguments.seeds):
        data = make_scenes(arguments.hole_scenes, "train", 10 + seed)
        scenes = Scenes(data, arguments.scene_epochs)
        for title, row in _rounds_of(scenes, test, seed, arguments.holes):
            show(f"scenes {seed}, {title}", row)
            found.setdefault(title, []).append(row)
        report = {name: _summary(rows) for name, rows in found.items()}
        save(f"scenes at {THRESHOLD}", report)


def _rounds_of(scenes, test, seed, names):
    """Yields a title and scores of the first round, and of second ones."""
    first = scenes.trained(None, None, seed)
    maps = scenes.maps(first, scenes.data.images)
    regions = _regions(maps)
    known = {"held-out AUC, whole": auc(first, test.images, test.labels)}
    yield "round 1", {**known, **scenes.scores(regions)}
    for goes_on in (False, True):
        for name in names:
            start = first.get_weights() if goes_on else None
            model = scenes.trained(regions, HOLES[name], seed + 100, start)
            erased = scenes.without(regions.any(-1))
            scores = scenes.scores(
                regions | _regions(scenes.maps(model, erased))
            )
            row = {
                "held-out AUC, whole": auc(model, test.images, test.labels),
                "training AUC, erased": auc(model, erased, scenes.data.labels),
                **scores,
                "precision of round 1 at this recall": scenes.precision_at(
                    maps, scores["recall of ink"]
                ),
            }
            yield f"{name}, {'weights go on' if goes_on else 'new'}", row


class Scenes:
    """Scenes of digits, and networks trained on them with holes."""

    def __init__(self, data, epochs):
        self.data = data
        self.epochs = epochs
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
        for epoch in range(self.epochs):
            if regions is not None:
                masks = regions.any(axis=-1)
                images = self.without(draw(masks, generator) if draw else masks)
            model.fit(
                images,
                self.data.labels,
                batch_size=32,
                initial_epoch=epoch,
                epochs=epoch + 1,
                callbacks=[falling(self.epochs)],
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
