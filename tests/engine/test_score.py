import keras
import numpy as np
import pytest
import tensorflow as tf
from engine.graph_cases import traced
from keras import layers
from keras import ops

from keras_xmap import engine
from keras_xmap import explainers
from keras_xmap.engine.tensorflow._score import find_logits

pytestmark = pytest.mark.tensorflow

Z = np.array([[0.5, -1.0, 2.0], [3.0, 0.0, -2.0]], "float32")


def logits_of(function, z=Z):
    """Logits that are found for `function(weights * z)`, weights being 1."""
    one = tf.Variable(np.eye(z.shape[-1], dtype="float32"))

    def step(z):
        linear = tf.tensordot(z, one, 1) if z.shape.rank > 2 else z @ one
        return find_logits(function(linear), "the output")

    return traced(step, z)[0]


SPELLINGS = {
    "keras.ops.softmax": ops.softmax,
    "keras.activations.softmax": keras.activations.softmax,
    "keras.layers.Softmax": lambda z: layers.Softmax()(z),
    "Activation": lambda z: layers.Activation("softmax")(z),
    "tf.nn.softmax": tf.nn.softmax,
    "log softmax": ops.log_softmax,
    "sigmoid": ops.sigmoid,
    "Activation sigmoid": lambda z: layers.Activation("sigmoid")(z),
    "softmax, then cast": lambda z: tf.cast(ops.softmax(z), tf.float64),
    "softmax in float16": lambda z: tf.cast(
        ops.softmax(tf.cast(z, tf.float16)), tf.float32
    ),
    "softmax, then identity": lambda z: tf.identity(ops.softmax(z)),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_input_of_the_softmax_is_found(spelling):
    np.testing.assert_allclose(logits_of(SPELLINGS[spelling]), Z, rtol=1e-3)


def test_moves_after_the_softmax_are_made_with_the_logits_too():
    def output(z):
        moved = tf.expand_dims(tf.reshape(ops.softmax(z), (3, 2)), 0)
        return tf.transpose(tf.squeeze(moved, 0))

    np.testing.assert_array_equal(logits_of(output), Z.reshape(3, 2).T)


def test_softmax_over_the_channels_of_a_channels_first_map():
    z = np.arange(24, dtype="float32").reshape(2, 3, 2, 2)
    found = logits_of(lambda z: ops.softmax(z, axis=1), z)
    np.testing.assert_array_equal(found, z)


@pytest.mark.parametrize(
    "output",
    [lambda z: z, ops.tanh, lambda z: 2 * z + 1, ops.relu, tf.nn.l2_normalize],
)
def test_an_output_that_nothing_squashes_is_its_own_score(output):
    np.testing.assert_allclose(
        logits_of(output), np.asarray(output(Z)), rtol=1e-6
    )


UNCERTAIN = {
    "temperature": lambda z: ops.softmax(z) / 2.0,
    "mean of two": lambda z: (ops.softmax(z) + ops.softmax(2 * z)) / 2,
    "clipped": lambda z: ops.clip(ops.softmax(z), 1e-3, 1.0),
    "complement": lambda z: 1 - ops.sigmoid(z),
    "by hand": lambda z: ops.exp(z) / ops.sum(ops.exp(z), -1, keepdims=True),
    "over two axes": lambda z: layers.Softmax(axis=(0, 1))(z),
    "compiled": lambda z: tf.function(tf.nn.softmax)(z),
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_where_the_score_is_uncertain_there_is_an_error_with_the_remedy(case):
    with pytest.raises(ValueError, match='Pass score="output"'):
        logits_of(UNCERTAIN[case])


def test_a_gate_inside_the_network_is_no_squashed_output():
    inputs = keras.Input((4,))
    gate = layers.Dense(4, activation="sigmoid")(inputs)
    outputs = layers.Dense(3)(layers.Multiply()([inputs, gate]))
    model = keras.Model(inputs, outputs)
    x = np.ones((1, 4), "float32")
    found = traced(lambda x: engine.evaluate(model, x).scores, x)
    np.testing.assert_allclose(found, model(x), rtol=1e-6)


def test_a_nested_softmax_is_found_and_named():
    head = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activation="softmax")], name="head"
    )
    model = keras.Sequential([keras.Input((4,)), head])
    saliency = explainers.Saliency(model)
    maps = saliency.explain(np.ones((1, 4), "float32"), 1)
    kernel = model.get_weights()[0]
    np.testing.assert_allclose(maps, np.abs(kernel[:, 1])[None], rtol=1e-6)
    assert "input of Softmax" in saliency.score_used
    assert "head" in saliency.score_used


def test_the_output_as_it_is_can_be_explained():
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(2, activation="softmax")]
    )
    model.set_weights([np.array([[1.0, 0], [0, 1]]), np.zeros(2)])
    saliency = explainers.Saliency(model, "sum", score="output")
    maps = saliency.explain(np.zeros((1, 2), "float32"), 0)
    # d softmax_0 / dz = p_0 (e_0 - p) = 0.5 * (0.5, -0.5)
    np.testing.assert_allclose(maps, [[0.25, -0.25]], rtol=1e-6)
