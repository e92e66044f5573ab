"""Maps of several layers of a network by the packaged formulas."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.common.map_scores import BATCH
from keras_xmap import explainers
from keras_xmap import ops as xmap_ops

NETWORKS = ("squeezenet_v1_1", "mobilenet_v2")


def taps(model, names):
    """Returns a function of images, classes and a score: outputs, gradients.

    All layers are looked at in one forward and one backward pass.
    """
    outputs = [model.get_layer(name).output for name in names]
    tapped = keras.Model(model.input, [*outputs, model.output])

    @tf.function
    def run(images, classes, score):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            *outputs, logits = tapped(images, training=False)
            explained = SCORES[score](logits, classes)
        return outputs, tape.gradient(explained, outputs)

    return run


def _of_class(logits, classes):
    return tf.gather(logits, classes, batch_dims=1)


SCORES = {
    "logit": _of_class,
    "logit - mean of logits": lambda x, c: (
        _of_class(x, c) - tf.reduce_mean(x, -1)
    ),
    # Grad-CAM of the probability is this one's, times the probability.
    "log of probability": lambda x, c: _of_class(tf.nn.log_softmax(x), c),
}

PACKAGED = ("GradCAM", "GradCAMPlusPlus", "HiResCAM", "LayerCAM")


def formulas(model):
    """Maps of activations and gradients; the package's, and one more."""
    maps = {name: getattr(explainers, name)(model).map for name in PACKAGED}
    maps["sum of relu(g * A)"] = lambda a, g: tf.reduce_sum(
        tf.nn.relu(a * g), -1
    )
    return maps


def maps_of_layers(model, names, images, classes, score="logit"):
    """Returns a dict from (layer, formula) to maps of the layer's size."""
    run, maps = taps(model, names), {}
    methods = formulas(model)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        arguments = tf.constant(images[rows]), tf.constant(classes[rows])
        for name, *pair in zip(names, *run(*arguments, score), strict=True):
            for method, formula in methods.items():
                found = np.maximum(np.asarray(formula(*pair)), 0)
                maps.setdefault((name, method), []).append(found)
    return {key: np.concatenate(found) for key, found in maps.items()}


def enlarge(maps, size):
    maps = maps[..., None].astype("float32")
    return np.asarray(xmap_ops.resize(maps, (size, size)))[..., 0]


def peaked(maps):
    peak = maps.max((1, 2), keepdims=True)
    return maps / np.where(peak > 0, peak, 1)
