"""From what a classifier looks at to label maps."""

import os
import warnings

import keras
import numpy as np

from keras_xmap import segmentation
from keras_xmap import targets
from keras_xmap._files import make_directory
from keras_xmap.datasets import write_label_map
from keras_xmap.explainers import Saliency
from keras_xmap.weak_segmentation import _classifier

STAGE = "pseudo_labels"


def write(run):
    """Writes the label maps of all images that have none."""
    if run.folder.is_done(STAGE):
        return
    rows = run.missing(run.folder, STAGE)
    maps = _Maps(run) if rows else None
    count = len(run.images)
    bar = keras.utils.Progbar(count, verbose=run.verbose, unit_name="image")
    bar.update(count - len(rows), finalize=not rows)
    for part, photos, batch in run.photos.chunks(rows, run.batch_size):
        found = maps.of(part, batch)
        saliency = maps.saliency(photos, batch)
        for row, photo, one, salient in zip(
            part, photos, found, saliency, strict=False
        ):
            labels = _labels(run, row, photo, one, salient)
            path = run.label_map(run.folder, STAGE, row)
            make_directory(os.path.dirname(path))
            write_label_map(path, labels)
        bar.add(len(part))
    run.finish_label_maps(run.folder, STAGE, STAGE)


class _Maps:
    """The maps of the classes of images, and what is salient in them."""

    def __init__(self, run):
        settings = run.settings
        self._run = run
        self._store = self._classifier = None
        if settings.max_rounds > 1:
            self._store = _classifier.erased_regions(run)
            self._mined = set(self._store.image_ids)
        if self._store is None or settings.background == "gradient":
            self._classifier = _classifier.trained(run)
        if self._store is None:
            self._explainer = settings.explainer(self._classifier)
        if settings.background == "gradient":
            self._gradients = Saliency(self._classifier)

    def of(self, rows, batch):
        """Returns for each image the maps of its classes, in their order."""
        labels = self._run.images.labels[rows]
        if self._store is not None:
            return [self._regions(row, labels[i]) for i, row in enumerate(rows)]
        filled = np.repeat(labels[-1:], len(batch) - len(rows), axis=0)
        classes, is_class = targets.present_classes(
            np.concatenate([labels, filled]), self._run.most_classes
        )
        if self._run.num_classes == 1:
            classes = classes + 1  # of a single unit, the class that is there
        target = targets.of_classes(self._explainer, classes)
        maps = _explained(self._run, self._explainer, batch, target)
        return [of_image[n] for of_image, n in zip(maps, is_class, strict=True)]

    def saliency(self, photos, batch):
        """Returns for each image what is no background, or `None`."""
        background = self._run.settings.background
        if background == "unclaimed":
            return [None] * len(photos)
        if background != "gradient":
            return [background(photo) for photo in photos]
        gradients = next(
            self._gradients.explain_batches(
                batch, _of_all_classes, batch_size=len(batch)
            )
        )
        gradients = keras.ops.convert_to_numpy(gradients)
        return [~segmentation.background_cue(x) for x in gradients]

    def _regions(self, row, labels):
        height, width = self._run.photos.size
        if row not in self._mined:
            return np.zeros((int(labels.sum()), height, width), bool)
        found = [
            self._store.region(
                int(row), class_id=_classifier.class_in_store(self._run, c)
            )
            for c in np.flatnonzero(labels).tolist()
        ]
        return np.reshape(found, (-1, height, width)).astype(bool)


def check_views(run):
    """Raises if no view of photos can be explained, before any training."""
    if run.settings.views is not None:
        explainer = run.settings.explainer(_classifier.make(run))
        classes = np.full((1, 1), run.num_classes == 1, "int32")
        target = targets.of_classes(explainer, classes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a map that is empty yet
            _explained(run, explainer, run.photos.resized(0)[None], target)


def _explained(run, explainer, batch, target):
    views = run.settings.views
    options = {} if views is None else {"views": views}
    batches = explainer.explain_batches(
        batch, target, batch_size=len(batch), **options
    )
    return keras.ops.convert_to_numpy(next(batches))


def _of_all_classes(scores):
    return keras.ops.sum(scores, axis=-1)


def _labels(run, row, photo, maps, saliency):
    settings = run.settings
    classes = np.flatnonzero(run.images.labels[row]).tolist()
    by_absence = settings.background == "unclaimed"
    return segmentation.pseudo_labels(
        maps,
        saliency,
        classes=classes,
        threshold=settings.threshold,
        saliency_threshold=settings.saliency_threshold,
        unclaimed="background" if by_absence else "ignore",
        size=photo.shape[:2],
    )
