"""A classifier that learns which classes are in a photo."""

import numpy as np
import tensorflow as tf

from keras_xmap import models
from keras_xmap.callbacks import AdversarialErasing
from keras_xmap.callbacks import ChiefBackup
from keras_xmap.distribution import distribution_safe
from keras_xmap.weak_segmentation._photos import loaded
from keras_xmap.weak_segmentation._training import diverged
from keras_xmap.weak_segmentation._training import load_weights
from keras_xmap.weak_segmentation._training import train

STAGE, ERASING = "classifier", "erasing"
WEIGHTS = "classifier.weights.h5"


def make(run):
    """Returns the classifier, compiled, its weights those of a start."""
    settings = run.settings
    classifier = models.multi_label_classifier(
        run.with_value_range(any_size=settings.views is not None),
        run.num_classes,
        scale_range=None,
        pooling="average",
        seed=settings.seed,
        name=STAGE,
    )
    classifier.compile(settings.optimizer(), "binary_crossentropy")
    return classifier


def trained(run):
    """Returns the classifier, trained now or before."""
    classifier = make(run)
    if run.folder.is_done(STAGE):
        load_weights(classifier, run.folder.path(WEIGHTS))
    else:
        files = {WEIGHTS: classifier.save_weights}
        train(classifier, STAGE, lambda x: _labelled(run, x), run, files)
    return classifier


def erased_regions(run):
    """Returns the `RegionStore` of adversarial erasing, run now or before.

    Regions are those of images by their row.
    """
    settings = run.settings
    every = range(len(run.images))
    dataset = _labelled(run, lambda: every)
    erasing = AdversarialErasing(
        tf.data.Dataset.zip(tf.data.Dataset.range(len(every)), dataset),
        settings.classifier_epochs,
        settings.max_rounds,
        settings.erasing_threshold,
        settings.explainer,
        targets=_both_classes if run.num_classes == 1 else None,
        reset="start",
        directory=run.folder.path(ERASING),
        seed=settings.seed,
        mask_threshold=settings.threshold,
    )
    classifier = distribution_safe(make(run))
    classifier.fit(
        erasing.training_data(run.batch_size),
        epochs=erasing.num_epochs,
        shuffle=False,
        verbose=run.verbose,
        callbacks=[
            erasing,
            ChiefBackup(run.folder.path(f"backup-{ERASING}")),
        ],
    )
    if not erasing.rounds[0].get("area_share"):
        logs = erasing.rounds[0]["logs"]
        raise ValueError(f"{erasing.finished} {diverged(STAGE, logs)}")
    return erasing.mask_store


def class_in_store(run, number):
    """Returns what a class is called among regions: of one it is its 1."""
    return 1 if run.num_classes == 1 else number


def _both_classes(labels):
    """Returns labels of a single class as those of absent and present."""
    return np.concatenate([np.zeros_like(labels), labels], axis=1)


def _labelled(run, order):
    size, channels = run.photos.size, run.photos.resized(0).shape[-1]
    labels = run.images.labels.astype("float32")
    specs = (
        tf.TensorSpec((*size, channels), tf.float32),
        tf.TensorSpec((run.num_classes,), tf.float32),
    )
    return loaded(
        lambda row: (run.photos.resized(row), labels[row]), order, specs
    )
