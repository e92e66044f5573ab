"""The networks' layers, and maps of them by the packaged formulas."""

import keras
import numpy as np
import tensorflow as tf
from _map_scores import BATCH

from keras_xmap import explainers
from keras_xmap import ops as xmap_ops

NETWORKS = ("squeezenet_v1_1", "mobilenet_v2")

# From the last layer to the first; non-negative outputs, or sums of branches.
LAYERS = {
    "mobilenet_v2": [
        "conv_last_relu6",
        "block16_depthwise_relu6",
        "block16_expand_relu6",
        "block15_add",
        "block15_expand_relu6",
        "block13_expand_relu6",
        "block12_add",
        "block12_depthwise_relu6",
        "block10_expand_relu6",
        "block6_expand_relu6",
        "block3_expand_relu6",
    ],
    "mobilenet_v1_075_192": [
        "conv13_pointwise_relu6",
        "conv13_depthwise_relu6",
        "conv12_pointwise_relu6",
        "conv12_depthwise_relu6",
        "conv11_pointwise_relu6",
        "conv10_pointwise_relu6",
        "conv9_pointwise_relu6",
        "conv7_pointwise_relu6",
        "conv5_pointwise_relu6",
        "conv3_pointwise_relu6",
    ],
}

for _network in ("squeezenet_v1_0", "squeezenet_v1_1"):
    LAYERS[_network] = ["conv10_relu", "fire9_concat", "fire9_squeeze1x1_relu"]
    LAYERS[_network] += [f"fire{number}_concat" for number in range(8, 2, -1)]

# The input of the last layer that mixes neighbouring positions.
BEFORE_MIXING = {
    "mobilenet_v2": "block16_expand_relu6",
    "mobilenet_v1_075_192": "conv12_pointwise_relu6",
    "squeezenet_v1_0": "fire9_squeeze1x1_relu",
    "squeezenet_v1_1": "fire9_squeeze1x1_relu",
}


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


def coarsest(network, count, sizes=None):
    """The last layer of each size, `count` of them from the end."""
    sizes = sizes or SIZES[network]
    found, size = [], 0
    for name in LAYERS[network]:
        if sizes[name] > 1.5 * size:
            found.append(name)
            size = sizes[name]
    return found[:count]


# Heights of the layers' outputs at the network's own input size.
SIZES = {
    "mobilenet_v2": dict(
        zip(
            LAYERS["mobilenet_v2"],
            [7] * 5 + [14] * 4 + [28, 56],
            strict=True,
        )
    ),
    "mobilenet_v1_075_192": dict(
        zip(
            LAYERS["mobilenet_v1_075_192"],
            [6] * 4 + [12] * 4 + [24, 48],
            strict=True,
        )
    ),
    "squeezenet_v1_1": dict(
        zip(LAYERS["squeezenet_v1_1"], [14] * 6 + [28] * 2 + [56], strict=True)
    ),
    "squeezenet_v1_0": dict(
        zip(
            LAYERS["squeezenet_v1_0"],
            [15, 13, 13, 27, 27, 27, 27, 55, 55],
            strict=True,
        )
    ),
}
