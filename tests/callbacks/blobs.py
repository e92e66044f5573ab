"""Images with two pieces of evidence, and networks that look for them."""

import types

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_xmap import explainers

NUM_CLASSES, SIZE = 2, 16
# How bright the squares of an image are: a strong and a weak one.
STRENGTHS = (3.0, 1.0)


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Raises once, at the end of an epoch or of a batch of it."""

    def __init__(self, epoch, batch=None):
        super().__init__()
        self.place = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise Killed

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, None) == self.place:
            raise Killed


def make_images(num_images=16, noise=0.0, seed=0):
    """Images, classes, and masks `(n, 2, h, w)` of strong and weak square.

    A class is told by the channel that its squares are in.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(num_images) % NUM_CLASSES
    images = rng.normal(0, 1, size=(num_images, SIZE, SIZE, 2)) * noise
    masks = np.zeros((num_images, 2, SIZE, SIZE), "bool")
    half, side = SIZE // 2, SIZE // 4
    for i, label in enumerate(labels):
        for j, quarter in enumerate(rng.permutation(4)[:2]):
            top = half * (quarter // 2) + 2
            left = half * (quarter % 2) + 2
            window = slice(top, top + side), slice(left, left + side)
            masks[i, j][window] = True
            images[i][(*window, label)] += STRENGTHS[j]
    return images.astype("float32"), labels.astype("int32"), masks


def make_dataset(images, labels):
    return tf.data.Dataset.from_tensor_slices((images, labels)).enumerate()


def peak(y_true, y_pred):
    """The brightest pixel of each image, as `brightest` lets it through."""
    return ops.max(y_pred, axis=-1)


class MayDie:
    """Explains as Grad-CAM does, or dies in the batch of mining set here.

    The first one is tried before training.
    """

    # No part of what the explainer is, and of the run.
    fate = types.SimpleNamespace(batch=None)

    def __init__(self, model):
        self._explainer = explainers.GradCAM(model)
        self._batch = 0

    def explain_batches(self, *args, **kwargs):
        self._batch += 1
        if self._batch == self.fate.batch:
            self.fate.batch = None
            raise Killed
        return self._explainer.explain_batches(*args, **kwargs)


def brightest(num_classes=NUM_CLASSES, learning_rate=0.0):
    """A network whose scores are the brightest pixels of the channels.

    Its map of a class is the channel itself: what it mines is known.
    """
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, num_classes)),
            keras.layers.Dense(
                num_classes, kernel_initializer="identity", name="channels"
            ),
            keras.layers.ReLU(),
            keras.layers.GlobalMaxPooling2D(),
        ]
    )
    return compiled(model, keras.optimizers.SGD(learning_rate), peak)


def brighter(loss="binary_crossentropy"):
    """`brightest` of two classes as one unit, class 1 against class 0."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 2)),
            layers.Dense(2, kernel_initializer="identity", name="channels"),
            layers.ReLU(),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.layers[-1].set_weights([np.array([[-1.0], [1.0]]), np.zeros(1)])
    sgd = keras.optimizers.SGD(0.0)
    model.compile(sgd, loss, metrics=["accuracy"])
    return model


def trained(optimizer=None, seed=None, dropout=0.2):
    """A small network that learns."""
    if seed is not None:
        keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, NUM_CLASSES)),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.Dropout(dropout),
            layers.BatchNormalization(momentum=0.8, synchronized=True),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(NUM_CLASSES),
        ]
    )
    return compiled(model, optimizer or keras.optimizers.Adam(0.02))


class CountedModel(keras.Model):
    """Counts how often its step is traced."""

    num_traces = 0

    def train_step(self, data):
        CountedModel.num_traces += 1
        return super().train_step(data)


def compiled(model, optimizer, *metrics):
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy", *metrics],
    )
    return model


def regions_of(store, num_images, **kwargs):
    """The regions of all images `(n, h, w)`."""
    known = set(store.image_ids)
    return np.stack(
        [
            store.region(i, **kwargs)
            if i in known
            else np.zeros((SIZE, SIZE), "bool")
            for i in range(num_images)
        ]
    )
