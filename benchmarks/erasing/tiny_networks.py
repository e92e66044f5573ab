"""Small networks for images of 64 x 64, from scratch."""

import keras
from keras import layers

from benchmarks.erasing.scenes import RATE

SIZE = 64


def features(hide_and_seek=None):
    inputs = x = keras.Input((SIZE, SIZE, 3))
    x = layers.RandomFlip("horizontal", seed=0)(x)
    x = x if hide_and_seek is None else hide_and_seek(x)
    x = layers.Conv2D(32, 5, strides=2, padding="same", use_bias=False)(x)
    x = layers.MaxPooling2D()(_active(x))
    for filters in (48, 64, 64):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = _active(x)
    return keras.Model(inputs, x)


def _active(x):
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def classifier(num_classes, hide_and_seek=None):
    of_image = features(hide_and_seek)
    x = layers.GlobalAveragePooling2D()(of_image.output)
    model = keras.Model(of_image.input, layers.Dense(num_classes)(x))
    return compiled(model, 1)


def compiled(model, num_outputs):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.Adam(RATE),
        [loss] * num_outputs,
        metrics=["accuracy"] if num_outputs == 1 else [["accuracy"]] * 2,
    )
    return model
