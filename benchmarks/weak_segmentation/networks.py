"""Segmentation networks on frozen features, trained in the three ways."""

import keras
import numpy as np

from benchmarks.weak_segmentation.choosing import crf_parameters
from benchmarks.weak_segmentation.photos import FEATURE_SIDE
from benchmarks.weak_segmentation.photos import SIDE
from benchmarks.weak_segmentation.photos import reduced
from keras_xmap import losses
from keras_xmap import models
from keras_xmap import ops

FILTERS = 32
LAST = {"data_format": "channels_last"}


def trained(kind, columns, setting, rows, masks, seed, epochs):
    """Trains a network of one of the `KINDS`.

    Args:
        columns: Features of all photos, see `Setting.columns`.
        rows: The photos to train on.
        masks: Their label maps, `(rows, SIDE, SIDE)`, 255 for doubt.

    Returns:
        The network.
    """
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(columns.shape[1:])
    network = models.segmentation_network(
        keras.Model(inputs, keras.layers.Identity()(inputs)),
        setting.num_classes,
        FILTERS,
        classify=kind == "psl",
        seed=seed,
    )
    outputs, functions, labels = KINDS[kind](
        network.output,
        # What lies in the middle of a position.
        masks[:, 2 :: SIDE // FEATURE_SIDE, 2 :: SIDE // FEATURE_SIDE],
        setting.labelled.labels[rows],
        reduced(setting.photos[rows].astype("float32"), FEATURE_SIDE, (1, 2)),
    )
    model = keras.Model(network.input, outputs)
    steps = epochs * -(-len(rows) // 16)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.AdamW(schedule), functions)
    model.fit(columns[rows], labels, batch_size=16, epochs=epochs, verbose=0)
    return network


def _plain(maps, masks, classes, photos):
    del classes, photos
    return maps, losses.SeedingLoss(**LAST), masks


def _sec(maps, masks, classes, photos):
    """Seeds, labels of the whole photo, and its edges."""
    parameters = crf_parameters(FEATURE_SIDE)
    functions = {
        "seeding": losses.SeedingLoss(**LAST),
        "expansion": losses.ExpansionLoss(**LAST),
        "boundary": losses.ConstrainToBoundaryLoss(parameters, 5, **LAST),
    }
    labels = {"seeding": masks, "expansion": classes, "boundary": photos}
    return dict.fromkeys(functions, maps), functions, labels


def _psl(outputs, masks, classes, photos):
    """Also what the network says, without what its branch says is absent."""
    del photos
    functions = {
        "segmentation": losses.ProhibitiveSegmentationLoss(**LAST),
        "classes": "binary_crossentropy",
    }
    labels = {
        "segmentation": {"masks": masks, "classes": classes},
        "classes": classes,
    }
    named = {"segmentation": outputs, "classes": outputs["classes"]}
    return named, functions, labels


KINDS = {"plain": _plain, "sec": _sec, "psl": _psl}


def predicted(network, features):
    """Returns maps of the background and the classes, `(n, rows, c, k)`."""
    maps = network.predict(features, verbose=0)
    if isinstance(maps, dict):
        maps = ops.suppress_classes(maps["masks"], maps["classes"])
    return np.asarray(maps)
