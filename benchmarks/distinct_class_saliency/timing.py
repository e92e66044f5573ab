"""Nine layers, several classes and scales, against the passes they need."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.common.timing import ratios
from benchmarks.common.timing import table
from keras_xmap import explainers
from keras_xmap import models

NUM_CLASSES, BATCH = 3, 1
LAYERS = [
    f"block{block}_conv{number}" for block in (3, 4, 5) for number in (1, 2, 3)
]
BARE = "bare: scales x (forward + classes x backward)"


def timing(folder, arguments, save):
    """VGG-16, nine layers, 3 classes, 4 scales; weights do not matter."""
    del folder
    size, scales = arguments.size, arguments.scales
    layers = LAYERS[-arguments.layers :]
    model = make_model(size)
    images = np.random.default_rng(0).normal(size=(BATCH, size, size, 3))
    images = images.astype("float32")
    target = np.tile(np.arange(NUM_CLASSES), (BATCH, 1)).astype("int32")
    explainer = explainers.DistinctClassSaliency(
        model, layers, scales=scales, candidates="target"
    )
    sized = [
        tf.image.resize(images, (round(size * scale),) * 2) for scale in scales
    ]
    together, separate = bare_passes(model, layers)

    def run(steps):
        for x in sized:
            for step in steps:
                last = step(x)
        return last[-1][-1].numpy()

    report = ratios(
        {
            BARE: lambda: run([together]),
            "DistinctClassSaliency": lambda: explainer(images, target).numpy(),
            "one call for each layer and class": lambda: run(separate),
        },
        BARE,
        arguments.repeats,
    )
    print(table(report), flush=True)
    save(
        f"VGG-16, {size} px, batch {BATCH}, {len(layers)} layers, "
        f"{NUM_CLASSES} classes, {len(scales)} scales",
        report,
    )


def make_model(size):
    return models.fully_convolutional(
        keras.applications.VGG16(
            weights=None, input_shape=(size, size, 3), classes=20
        )
    )


def bare_passes(model, layers):
    """Returns a step of all layers and classes, and one for each of them."""
    # Logits and layers in one call; the head's softmax left out.
    model.get_layer("predictions").activation = keras.activations.linear
    outputs = [model.get_layer(name).output for name in layers]
    parts = keras.Model(model.input, [model.output, *outputs])

    def passes(chosen, classes):
        @tf.function(reduce_retracing=False)
        def run(x):
            with tf.GradientTape(persistent=True) as tape:
                scores, *outputs = parts(x, training=False)
                of_class = [tf.reduce_sum(scores[..., k]) for k in classes]
            return [
                tape.gradient(score, [outputs[k] for k in chosen])
                for score in of_class
            ]

        return run

    separate = [
        passes([layer], [number])
        for layer in range(len(layers))
        for number in range(NUM_CLASSES)
    ]
    return passes(range(len(layers)), range(NUM_CLASSES)), separate
