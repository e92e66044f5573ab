"""Scenes whose regions only their surroundings tell, and networks for them."""

import keras
import numpy as np

import keras_xmap
from benchmarks.regions.scores import Tested
from keras_xmap import datasets
from keras_xmap import segmentation

SIZE, NUM_CLASSES = 32, 6
SIZES = {"small, < 20 px": 0, "20 to 40 px": 20, "> 40 px": 40}
BATCH = 32
# On CPUs to compile these takes longer than to train them.
COMPILED = False
FLOOR = "multiply, first layer"
# Options of `roi_classifier`; or the margin of a crop about the region, as a
# share of its longer side, that a network without a mask is shown.
VARIANTS = {
    FLOOR: {"merge_layer": "first"},
    "add, first layer": {"merge": "add", "merge_layer": "first"},
    "multiply, higher layer": {"merge_layer": "third"},
    "multiply, both layers": {"merge_layer": ["first", "third"]},
    "hard, image": {"merge": "hard_image"},
    "hard, higher layer": {"merge": "hard_features", "merge_layer": "third"},
    "crop, 4 times its side": {"margin": 1.5},
    "no mask": {"margin": None},
}


def drawn(num_train, num_test):
    """Scenes to train on, and others to test."""
    return (
        datasets.context_scenes(num_train, SIZE, NUM_CLASSES, seed=1),
        datasets.context_scenes(num_test, SIZE, NUM_CLASSES, seed=2),
    )


def tested(scenes):
    areas = scenes.masks.sum(axis=(1, 2))
    return Tested(scenes.labels, areas, np.arange(len(areas)), SIZES)


def make_backbone():
    """Four convolutions that know nothing of regions."""
    inputs = keras.Input((SIZE, SIZE, 1))
    x = keras.layers.Rescaling(6.0, -3.0)(inputs)
    start = {"padding": "same", "kernel_initializer": "he_normal"}
    x = keras.layers.Conv2D(16, 5, name="first", **start)(x)
    for filters, name in ((24, "second"), (32, "third"), (48, "fourth")):
        x = keras.layers.ReLU()(x)
        if name != "fourth":
            x = keras.layers.MaxPooling2D()(x)
        x = keras.layers.Conv2D(filters, 3, name=name, **start)(x)
    return keras.Model(inputs, keras.layers.ReLU()(x))


def trained_backbone(scenes, seed, epochs):
    """A backbone that was trained to tell which classes a scene shows."""
    keras.utils.set_random_seed(seed)
    backbone = make_backbone()
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    outputs = keras.layers.Dense(NUM_CLASSES, activation="sigmoid")(x)
    model = keras.Model(backbone.input, outputs)
    model.compile(
        keras.optimizers.Adam(2e-3),
        "binary_crossentropy",
        jit_compile=COMPILED,
    )
    shown = np.stack(
        [(scenes.fields == k).any(axis=(1, 2)) for k in range(NUM_CLASSES)], 1
    )
    model.fit(
        scenes.images,
        shown.astype("float32"),
        batch_size=BATCH,
        epochs=epochs,
        verbose=0,
    )
    return backbone


def right(backbone, train, test, seed, epochs, optimizer="adam", **options):
    """Trains a variant; returns which test regions it tells rightly.

    Args:
        optimizer: Optimizer, or a string for one of Keras' defaults.
        options: See `VARIANTS`.
    """
    keras.utils.set_random_seed(seed)
    shown = [_shown(scenes, options) for scenes in (train, test)]
    options.pop("margin", None)
    # Of a crop or a whole scene every pixel is asked about.
    options = options or {"merge": "hard_image"}
    model = keras_xmap.models.roi_classifier(backbone, NUM_CLASSES, **options)
    model.compile(
        optimizer, "sparse_categorical_crossentropy", jit_compile=COMPILED
    )
    model.fit(
        shown[0], train.labels, batch_size=BATCH, epochs=epochs, verbose=0
    )
    told = model.predict(shown[1], verbose=0).argmax(-1)
    keras.backend.clear_session()
    return told == test.labels


def _shown(scenes, options):
    if "margin" not in options:
        return {"image": scenes.images, "mask": scenes.masks.astype("float32")}
    images = scenes.images
    if options["margin"] is not None:
        images = segmentation.crop(
            list(images), list(scenes.masks), 0.5, options["margin"], True
        )
        images = [keras_xmap.ops.resize(x[None], (SIZE, SIZE)) for x in images]
        images = np.concatenate([np.asarray(x) for x in images])
    return {"image": images, "mask": np.ones(images.shape[:3], "float32")}
