"""Small networks with an independent way to their activations and gradients.

The independent way is the one an engine must not take: a second functional
model on the same tensors, and an eager `GradientTape`.
"""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_xmap.targets import Component

# What is explained of a single unit that is no class: the number it gives.
NUMBER = Component()

# The golden example: two feature maps, the weights of class 1, and its bias.
A1 = [[1.0, 2.0], [3.0, 4.0]]
A2 = [[4.0, 0.0], [0.0, 0.0]]
GOLDEN = np.stack([A1, A2], axis=-1)[None].astype("float32")
WEIGHTS = np.array([[0.3, 2.0], [0.7, -1.0]], "float32")
BIAS = np.array([-1.0, 0.5], "float32")


def golden(pool=None):
    """A model whose layer `"maps"` puts out its input: `S_1(GOLDEN) = 4.5`."""
    inputs = keras.Input((2, 2, 2))
    identity = np.eye(2, dtype="float32")[None, None]
    maps = layers.Conv2D(2, 1, use_bias=False, name="maps")
    dense = layers.Dense(2, name="dense")
    x = (pool or layers.GlobalAveragePooling2D())(maps(inputs))
    model = keras.Model(inputs, dense(x))
    maps.set_weights([identity])
    dense.set_weights([WEIGHTS, BIAS])
    return model


SIZES = (20,), (9, 7), (7, 8, 9)


def sizes_and(name, values, sizes=SIZES):
    """Gives a test all sizes with all values.

    Images of two dimensions have every value from day to day, others one; the
    rest is slow.
    """
    rows = []
    for place, size in enumerate(sizes):
        for number, value in enumerate(values):
            daily = len(size) == 2 or number == place % len(values)
            marks = () if daily else (pytest.mark.slow,)
            rows.append(pytest.param(size, value, marks=marks))
    return pytest.mark.parametrize(("size", name), rows, ids=str)


def images(*shape, seed=0, count=3):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, *shape)).astype("float32")


CONVOLUTIONS = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
# Sizes and strides of the windows of `random_network`, see `reference.laid`.
WINDOWS = {"first": [(3, 1)], "last": [(3, 1), (3, 2)]}
AVERAGES = {
    1: layers.GlobalAveragePooling1D,
    2: layers.GlobalAveragePooling2D,
    3: layers.GlobalAveragePooling3D,
}


def randomize(model, stddev=1.0, mean=0.0, seed=0):
    """Gives a model weights that are drawn from a normal distribution."""
    generator = np.random.default_rng(seed)
    model.set_weights(
        [
            (stddev * generator.normal(size=w.shape) + mean).astype("float32")
            for w in model.get_weights()
        ]
    )


def random_network(size=(9, 7), head="average", classes=4, seed=0):
    """Two convolutions (`"first"`, `"last"`) and a head, with random weights.

    `head` is `"average"` (global pooling + dense), `"flatten"` (flatten +
    dense) or `"mlp"` (flatten + dense + ReLU + dense).
    """
    convolution = CONVOLUTIONS[len(size)]
    inputs = keras.Input((*size, 3))
    x = convolution(5, 3, activation="relu", name="first")(inputs)
    x = convolution(6, 3, strides=2, activation="relu", name="last")(x)
    if head == "average":
        x = AVERAGES[len(size)]()(x)
    else:
        x = layers.Flatten()(x)
    if head == "mlp":
        x = layers.Dense(8, activation="relu", name="hidden")(x)
    model = keras.Model(inputs, layers.Dense(classes, name="dense")(x))
    randomize(model, 0.4, 0.05, seed=seed)
    return model


def activations_and_gradients(model, x, target, layer="last"):
    """Returns both as arrays; `target` is one class or one per image."""
    hidden = model.get_layer(layer).output
    bottom = keras.Model(model.inputs[0], hidden)
    top = keras.Model(hidden, model.outputs[0])
    activations = ops.convert_to_tensor(bottom(x))
    gradients = _derivatives(
        lambda a: class_scores(top(a), target), activations
    )
    return activations.numpy(), gradients


def input_gradients(model, x, target):
    """Returns the derivatives of one score per image, of the shape of `x`."""
    return _derivatives(
        lambda x: class_scores(model(x, training=False), target),
        ops.convert_to_tensor(x),
    )


def _derivatives(scores_of, x):
    import tensorflow as tf  # is not there wherever this file is imported

    with tf.GradientTape() as tape:
        tape.watch(x)
        scores = scores_of(x)
    return tape.gradient(scores, x).numpy()


def class_scores(outputs, target):
    index = np.broadcast_to(target, len(outputs))
    return ops.stack([outputs[i, k] for i, k in enumerate(index)])


def assert_close(actual, expected, tolerance=1e-6):
    """Compares maps relative to the largest value, which must not be 0."""
    expected = np.asarray(expected)
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(
        np.asarray(actual) / scale, expected / scale, atol=tolerance
    )


class CountsTraces(layers.Layer):
    """Passes its input on and counts how often it was traced."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def call(self, x):
        self.count += 1
        return x


def perceptron(widths=(7, 6, 5), features=8, seed=0):
    """Dense layers that end in a ReLU, and a linear head of 3 classes."""
    model = keras.Sequential(
        [
            keras.Input((features,)),
            *[layers.Dense(width, activation="relu") for width in widths],
            layers.Dense(3),
        ]
    )
    randomize(model, seed=seed)
    return model
