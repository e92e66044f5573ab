"""One run: what was asked for, on which images, and where it is kept."""

import inspect
import os

import keras
import numpy as np
import tensorflow as tf

from keras_xmap._description import describe
from keras_xmap._description import describe_model
from keras_xmap._description import layer_names
from keras_xmap._files import checksum
from keras_xmap._files import file_exists
from keras_xmap._run_folder import RunFolder
from keras_xmap.datasets import read_label_map
from keras_xmap.distribution import Workers
from keras_xmap.models import DataFormats
from keras_xmap.models import Recording
from keras_xmap.weak_segmentation._photos import Photos

# What a label map of a photo takes, about, and how often the weights of the
# backbone are on the disk at most, with those of an optimizer.
_BYTES_OF_A_MAP = 16 * 1024
_COPIES = 12
_NETWORK = "network"  # the stage whose files predictions depend on
# Arguments that say where, or that are described in a way of their own.
_NOT_DESCRIBED = ("backbone", "directory", "explainer", "optimizer")


class Run:
    """What all stages of a run share.

    Args:
        settings: `WeakSegmentation`.
        images: Reader of labelled images, all of which can be read.
        verbose: As of `fit`.

    Attributes:
        folder: `RunFolder`.
        photos: `Photos` of the images.
        num_classes: Integer.
        most_classes: Integer, the most classes that an image has.
        batch_size: Integer, images in a batch.
    """

    def __init__(self, settings, images, verbose):
        self.settings, self.images, self.verbose = settings, images, verbose
        self._names = images.names
        self.num_classes = len(images.class_names)
        self.most_classes = int(images.labels.sum(axis=1).max(initial=1))
        self.batch_size = min(settings.batch_size, len(images))
        self.photos = Photos(
            images, settings.image_size, channels_of(settings.backbone)
        )
        self.folder = RunFolder(settings.directory)

    def open(self):
        """Begins the run, or goes on with it."""
        self.folder.open(self._description())

    def with_value_range(self, any_size=False):
        """Returns the backbone behind what brings photos to its values.

        Args:
            any_size: Boolean: whether it takes what the backbone takes, or
                photos of `image_size` alone.
        """
        settings = self.settings
        shape = *settings.image_size, channels_of(settings.backbone)
        if any_size:
            shape = settings.backbone.inputs[0].shape[1:]
        inputs = keras.Input(shape, name="photos")
        black, white = settings.value_range
        x = inputs
        if (black, white) != (0.0, 255.0):
            scale = keras.layers.Rescaling(
                (white - black) / 255, black, name="value_range"
            )
            x = scale(x)
        features = settings.backbone(x)
        return keras.Model(inputs, keras.tree.flatten(features)[0])

    def label_map(self, folder, name, row):
        """Returns the path of the label map of an image.

        Args:
            folder: `RunFolder`.
            name: Text, the folder in it.
            row: Integer, which image.
        """
        return folder.path(name, f"{self._names[row]}.png")

    def missing(self, folder, name):
        """Returns the rows of the images without a label map that is whole.

        What a stage has left that was broken off is in no checksum yet.
        """
        return [
            row
            for row in range(len(self.images))
            if not self._is_whole(self.label_map(folder, name, row))
        ]

    def finish_label_maps(self, folder, name, stage):
        """Notes that every image has its label map."""
        files = [os.path.join(name, f"{one}.png") for one in self._names]
        folder.finish(stage, files, {})

    def folder_of_predictions(self, directory):
        """Returns the `RunFolder` of masks of these images."""
        folder = RunFolder(directory)
        weights = self.folder.files(_NETWORK)
        images = self._images()
        run = {"network": weights, "crf": self.settings.crf, "images": images}
        folder.open(run)
        return folder

    def read(self):
        """Reads what is done of a run of these arguments and classes."""
        run = self._description()
        classes = {"class_names": run["images"]["class_names"]}
        self.folder.read({**run, "images": classes})

    def _is_whole(self, path):
        if not file_exists(path):
            return False
        try:
            read_label_map(path, self.num_classes)
        except ValueError:
            return False
        return True

    def _description(self):
        settings = self.settings
        backbone = settings.backbone
        weights = [np.ascontiguousarray(w) for w in backbone.get_weights()]
        optimizer = settings.optimizer().get_config()
        optimizer.pop("name", None)
        return {
            "backbone": {
                **describe_model(backbone),
                "weights": describe([checksum(w.tobytes()) for w in weights]),
            },
            "explainer": describe(settings.explainer, layer_names(backbone)),
            "optimizer": describe(optimizer),
            **{
                name: describe(getattr(settings, name))
                for name in inspect.signature(type(settings)).parameters
                if name not in _NOT_DESCRIBED
            },
            "images": {**self._images(), "background": self._background()},
        }

    def _background(self):
        """Returns what a function says of the first image, or `None`.

        What a fitted object has learned shows nowhere else.
        """
        background = self.settings.background
        if not callable(background):
            return None
        return describe(np.asarray(background(self.images[0])))

    def _images(self):
        return {
            "number": len(self.images),
            "class_names": list(self.images.class_names),
            "names": checksum("\n".join(self._names).encode()),
            "labels": checksum(self.images.labels.tobytes()),
            "files": checksum(self.images.checksums.tobytes()),
        }


def check_beforehand(settings, images):
    """Raises if a run cannot be made, before any file is read."""
    strategy = tf.distribute.get_strategy()
    if Workers(strategy).count > 1:
        raise ValueError(
            "A run is made by one process, on any number of its devices. "
            f"Received: {type(strategy).__name__} with "
            f"{Workers(strategy).count} workers. Train under "
            "tf.distribute.MirroredStrategy."
        )
    replicas = strategy.num_replicas_in_sync
    size = min(settings.batch_size, len(images))
    if size < replicas:
        raise ValueError(
            "A batch must have an image for each replica. Received: batches "
            f"of {size} images for {replicas} replicas. Give a larger "
            "`batch_size`, or fewer devices."
        )
    weights = sum(w.size for w in settings.backbone.get_weights())
    maps = 2 * _BYTES_OF_A_MAP * len(images)
    RunFolder(settings.directory).check_usable(4 * _COPIES * weights + maps)


def check_directory(directory, images):
    """Raises if the masks of images cannot be written to a folder."""
    RunFolder(directory).check_usable(_BYTES_OF_A_MAP * len(images))


def channels_of(backbone):
    """Returns the number of channels of a backbone's images, 1 or 3."""
    recording = Recording(backbone)
    (image,) = keras.tree.flatten(recording.inputs)
    data_format = DataFormats(recording).of(image)
    channels = image.shape[-1]
    if data_format != "channels_last" or channels not in (1, 3):
        raise ValueError(
            "`backbone` must take images (height, width, channels), grey or "
            f"of three colours. Received: images of shape {image.shape[1:]}, "
            f"{data_format}."
        )
    return channels
