"""Scenes of digits, and a small network to learn them from scratch."""

import keras
import numpy as np
from keras import layers

from keras_xmap import datasets

SCENE, NUM_CLASSES = 48, 5
RATE = 3e-3
THRESHOLD = 0.5


def make_scenes(count, split, seed):
    return datasets.handwritten_scenes(
        count, SCENE, NUM_CLASSES, multi_label=True, split=split, seed=seed
    )


def make_classifier(norm="batch"):
    inputs = x = keras.Input((SCENE, SCENE, 1))
    for number, filters in enumerate((24, 32, 32, 48)):
        size, strides = (3, 1) if number else (5, 2)
        x = layers.Conv2D(
            filters, size, strides, padding="same", use_bias=False
        )(x)
        if norm == "batch":
            x = layers.BatchNormalization(momentum=0.8)(x)
        else:
            x = layers.GroupNormalization(8)(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(NUM_CLASSES)(x))
    model.compile(
        keras.optimizers.Adam(RATE),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(from_logits=True, name="auc")],
    )
    return model


def falling(epochs):
    """The learning rate of a training, or of a round, that falls to zero."""
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: RATE * (1 - epoch / epochs)
    )


def boxes_of(masks):
    """The box around each mask `(n, h, w, ...)`, filled."""
    rows, columns = masks.any(axis=2), masks.any(axis=1)

    def span(x):
        after = np.maximum.accumulate(x, axis=1)
        return after & np.maximum.accumulate(x[:, ::-1], axis=1)[:, ::-1]

    return span(rows)[:, :, None] & span(columns)[:, None]
