"""The predictor on a frozen network, its map, and their training."""

import keras
import numpy as np
from keras import layers

import keras_xmap
from benchmarks.pixel_attention.crops import OUTPUTS
from benchmarks.pixel_attention.crops import SIZE
from keras_xmap import models

# Of pixel values from 0 to 255, whose own deviation is about 60.
NOISE = 16.0
AREA_RATIO = 0.8


def make_head(shape):
    return keras.Sequential(
        [
            # Features of the trunk reach hundreds.
            keras.Input(shape),
            layers.LayerNormalization(),
            layers.Conv2D(96, 1, activation="relu"),
            layers.Dropout(0.2),
            layers.Conv2D(96, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(128, activation="relu"),
            layers.Dense(4),
        ],
        name="head",
    )


def make_attention():
    """A map of blocks of 4 x 4 pixels: the box has no finer edge."""
    small = models.attention_network(
        (SIZE // 4, SIZE // 4, 3), AREA_RATIO, name="small"
    )
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 128),
            layers.AveragePooling2D(4),
            small,
            layers.UpSampling2D(4, interpolation="bilinear", dtype="float32"),
        ],
        name="attention",
    )


def features(trunk, crops, prepare):
    """What the trunk says of every crop, in half precision to fit."""
    parts = [
        trunk.predict_on_batch(prepare(crops.images[k : k + 64]))
        for k in range(0, len(crops.images), 64)
    ]
    return np.concatenate([part.astype("float16") for part in parts])


def decaying(learning_rate, num_steps):
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, num_steps)
    return keras.optimizers.Adam(schedule)


def fit_head(head, seen, crops, epochs):
    head.compile(decaying(1e-3, epochs * -(-len(seen) // 64)), "mse")
    head.fit(seen, crops.answers, batch_size=64, epochs=epochs, verbose=0)


def fit_with_map(predictor, attention, batches, epochs):
    model = models.pixel_attention(
        predictor,
        attention,
        AREA_RATIO,
        noise=keras_xmap.layers.MaskNoise(NOISE, seed=0),
        area_weight=50.0,
    )
    model.compile(
        decaying(1e-3, epochs * len(batches)),
        loss=dict.fromkeys(OUTPUTS, "mse"),
    )
    model.fit(batches, epochs=epochs, verbose=0)
    return model
