"""The segmentation network, and what it is trained with."""

import keras
import numpy as np
import tensorflow as tf

from keras_xmap import losses
from keras_xmap import models
from keras_xmap.datasets import read_label_map
from keras_xmap.ops import crf_parameters
from keras_xmap.weak_segmentation import _pseudo_labels
from keras_xmap.weak_segmentation._photos import loaded
from keras_xmap.weak_segmentation._training import load_weights
from keras_xmap.weak_segmentation._training import train

STAGE = "network"
WEIGHTS, MODEL = "network.weights.h5", "network.keras"


def make(run):
    """Returns the network, with new weights behind the backbone."""
    return models.segmentation_network(
        run.with_value_range(),
        run.num_classes,
        classify=run.settings.loss == "psl",
        seed=run.settings.seed,
        name=STAGE,
    )


def trained(run):
    """Returns the network, trained now or before."""
    if run.folder.is_done(STAGE):
        return _loaded(run)
    network = make(run)
    trainer = _TRAINERS[run.settings.loss](run, network)
    files = {WEIGHTS: network.save_weights, MODEL: network.save}
    train(trainer.model, STAGE, trainer.dataset, run, files)
    return network


def trained_before(run):
    """Returns the network of a run that has trained it."""
    run.read()
    if not run.folder.is_done(STAGE):
        raise ValueError(
            "`fit` must have trained the network. Received: directory="
            f"{run.folder.directory!r}, of a run that has not come to it. "
            "Call `fit` with the photos it was begun with."
        )
    return _loaded(run)


def _loaded(run):
    network = make(run)
    load_weights(network, run.folder.path(WEIGHTS))
    return network


class _Plain:
    """Trains on the labels of pixels, by cross-entropy.

    Args:
        run: `Run`.
        network: The network.

    Attributes:
        model: The compiled model to be fitted.
    """

    def __init__(self, run, network):
        self._run = run
        self._size = _masks(network.output).shape[1:3]
        self.model = keras.Model(network.input, self._outputs(network))
        self.model.compile(run.settings.optimizer(), self._losses())

    def dataset(self, order):
        """Returns single photos with what is known of them, in this order."""
        photos = self._run.photos
        shape = photos.resized(0).shape
        labels = {
            name: tf.TensorSpec(array.shape, array.dtype)
            for name, array in self._labels(0).items()
        }
        specs = tf.TensorSpec(shape, tf.float32), self._nested(labels)

        def load(row):
            labels = self._nested(self._labels(row))
            return photos.resized(row), labels

        return loaded(load, order, specs)

    def _labels(self, row):
        """Returns a dictionary of arrays: what is known of an image."""
        return {"masks": self._mask(row)}

    def _nested(self, labels):
        return labels

    def _outputs(self, network):
        return {"masks": network.output}

    def _losses(self):
        return {"masks": losses.SeedingLoss(data_format="channels_last")}

    def _mask(self, row):
        run = self._run
        folder, stage = run.folder, _pseudo_labels.STAGE
        labels = read_label_map(run.label_map(folder, stage, row))
        # What lies in the middle of a position of the map.
        rows, columns = (
            ((np.arange(n) + 0.5) * m / n).astype(int)
            for n, m in zip(self._size, labels.shape, strict=True)
        )
        return labels[rows[:, None], columns].astype("int32")

    def _classes(self, row):
        return self._run.images.labels[row].astype("float32")


class _SEC(_Plain):
    """Trains on labels of pixels, of images, and on the photo's edges."""

    def _labels(self, row):
        return {
            "boundary": self._run.photos.resized(row),
            "expansion": self._classes(row),
            "seeding": self._mask(row),
        }

    def _outputs(self, network):
        return dict.fromkeys(
            ("boundary", "expansion", "seeding"), network.output
        )

    def _losses(self):
        options = {"data_format": "channels_last"}
        return {
            "boundary": losses.ConstrainToBoundaryLoss(
                self._parameters(), **options
            ),
            "expansion": losses.ExpansionLoss(**options),
            "seeding": losses.SeedingLoss(**options),
        }

    def _parameters(self):
        """Returns those of the paper's CRF, in positions of the map."""
        stride = self._run.photos.size[0] / self._size[0]
        parameters = crf_parameters("paper")
        for name in ("position_stddev", "smoothness_stddev"):
            parameters[name] /= stride
        return parameters


class _PSL(_Plain):
    """Trains on labels of pixels, and on its own where these say nothing."""

    def _labels(self, row):
        return {"masks": self._mask(row), "classes": self._classes(row)}

    def _nested(self, labels):
        return {"segmentation": labels, "classes": labels["classes"]}

    def _outputs(self, network):
        return {
            "segmentation": network.output,
            "classes": network.output["classes"],
        }

    def _losses(self):
        return {
            "segmentation": losses.ProhibitiveSegmentationLoss(
                data_format="channels_last"
            ),
            "classes": "binary_crossentropy",
        }


_TRAINERS = {"plain": _Plain, "sec": _SEC, "psl": _PSL}
LOSSES = tuple(_TRAINERS)


def _masks(outputs):
    return outputs["masks"] if isinstance(outputs, dict) else outputs
