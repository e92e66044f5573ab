import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

from keras_xmap.engine.tensorflow._evaluation import evaluate
from keras_xmap.explainers import GuidedBackprop
from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow

X = np.array([[-1.0, 0.0, 2.0, 3.0]], "float32")
UPSTREAM = np.array([1.0, 1.0, -5.0, 4.0], "float32")


class Call(layers.Layer):
    """A layer whose `call` is the given function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


class Compiled(layers.Layer):
    @tf.function
    def call(self, x):
        return tf.nn.relu(x)


def nested(layer):
    return keras.Sequential([keras.Input((4,)), layer])


SPELLINGS = {
    "layers.ReLU": lambda: layers.ReLU(),
    "Activation": lambda: layers.Activation("relu"),
    "activation=": lambda: identity_dense(activation="relu"),
    "activation=tf.nn.relu": lambda: identity_dense(activation=tf.nn.relu),
    "activation=lambda": lambda: identity_dense(
        activation=lambda x: ops.relu(x)
    ),
    "keras.ops.relu": lambda: Call(ops.relu),
    "tf.nn.relu": lambda: Call(tf.nn.relu),
    "keras.activations.relu": lambda: Call(keras.activations.relu),
    "nested": lambda: nested(layers.ReLU()),
    "nested twice": lambda: nested(nested(layers.Activation("relu"))),
    "tf.function": lambda: Compiled(),
}


def identity_dense(activation):
    return layers.Dense(
        4, activation, use_bias=False, kernel_initializer="identity"
    )


def model_with(layer, activation=None):
    """`sum(UPSTREAM * layer(x))`, so that UPSTREAM is what comes back."""
    head = layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((4,)), layer, head])
    model(X)
    head.kernel.assign(UPSTREAM[:, None])
    return model


def guided(model, x=X):
    return GuidedBackprop(model, "sum").explain(x, 0)[0]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_guided_gradients_pass_where_input_and_gradient_are_positive(spelling):
    model = model_with(SPELLINGS[spelling]())
    np.testing.assert_array_equal(guided(model), [0, 0, 0, 4])
    plain = Saliency(model, "sum").explain(X, 0)[0]
    np.testing.assert_array_equal(plain, [0, 0, -5, 4])


def rule_on(model, rule):
    @tf.function(autograph=False)
    def step(x):
        evaluation = evaluate(model, x)
        score = evaluation.scores[:, 0]
        return evaluation.gradients(score, [evaluation.inputs], rule)[0]

    return step(X).numpy()[0]


def test_the_three_rules_in_closed_form():
    model = model_with(layers.ReLU())
    np.testing.assert_array_equal(rule_on(model, "standard"), [0, 0, -5, 4])
    np.testing.assert_array_equal(rule_on(model, "guided"), [0, 0, 0, 4])
    np.testing.assert_array_equal(rule_on(model, "deconvnet"), [1, 1, 0, 4])


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.ReLU(6.0),
        lambda: layers.Activation("relu6"),
        lambda: Call(ops.relu6),
        lambda: layers.ReLU(4.0),
    ],
)
def test_nothing_passes_a_relu_at_its_maximum(layer):
    x = np.array([[-1.0, 2.0, 7.0, 6.5]], "float32")
    model = model_with(layer())
    model.layers[-1].kernel.assign([[1.0], [1.0], [1.0], [-1.0]])
    np.testing.assert_array_equal(guided(model, x), [0, 1, 0, 0])


def test_with_positive_weights_guided_gradients_are_plain_gradients():
    inputs = keras.Input((5,))
    x = layers.Dense(6, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    model.set_weights([np.abs(w) for w in model.get_weights()])
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    np.testing.assert_array_equal(
        GuidedBackprop(model).explain(x, 1), Saliency(model).explain(x, 1)
    )


def test_both_rules_serve_one_forward_pass():
    model = model_with(layers.ReLU())

    @tf.function(autograph=False)
    def step(x):
        evaluation = evaluate(model, x)
        score = evaluation.scores[:, 0]
        return [
            evaluation.gradients(score, [evaluation.inputs], rule)[0]
            for rule in ("standard", "guided", "standard")
        ]

    plain, guided_, again = (g.numpy()[0] for g in step(X))
    np.testing.assert_array_equal(guided_, [0, 0, 0, 4])
    np.testing.assert_array_equal(plain, [0, 0, -5, 4])
    np.testing.assert_array_equal(again, plain)


def test_a_model_without_relu_is_refused():
    model = model_with(layers.Activation("gelu"))
    with pytest.raises(ValueError, match="needs a ReLU.*Received: .*Erf"):
        guided(model)
    with pytest.raises(ValueError, match="no activation at all"):
        guided(model_with(layers.Identity()))


@pytest.mark.parametrize("activation", ["elu", "tanh", "silu", "leaky_relu"])
def test_other_activations_are_named_in_a_warning(activation):
    mixed = keras.Sequential(
        [
            keras.Input((4,)),
            layers.ReLU(),
            layers.Activation(activation, name="different"),
        ]
    )
    with pytest.warns(UserWarning, match="ordinary gradient: .*different"):
        guided(model_with(mixed))


def test_gates_built_on_relu6_keep_their_gradient_and_are_named():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.ReLU(),
            layers.Activation("hard_sigmoid", name="gate"),
        ]
    )
    x = np.array([[-1.0, 0.0, 2.0, 1.0]], "float32")
    with pytest.warns(UserWarning, match="gate.*Relu6"):
        maps = guided(model_with(model), x)
    # The gate is linear here, slope 1/6; only the ReLU before it filters.
    np.testing.assert_allclose(maps, [0, 0, 0, 4 / 6], rtol=1e-6)


def test_the_negative_half_of_prelu_is_no_relu():
    prelu = layers.PReLU(alpha_initializer=keras.initializers.Constant(0.5))
    model = model_with(keras.Sequential([keras.Input((4,)), prelu]))
    x = np.array([[-1.0, -1.0, 2.0, 3.0]], "float32")
    with pytest.warns(UserWarning, match="ordinary gradient: Relu"):
        maps = guided(model, x)
    np.testing.assert_allclose(maps, [0.5, 0.5, 0, 4])


def test_a_relu_in_a_compiled_function_that_cannot_be_reached_is_refused():
    model = model_with(
        keras.Sequential(
            [keras.Input((4,)), layers.ReLU(), Call(tf.function(tf.nn.relu))]
        )
    )
    with pytest.raises(ValueError, match="cannot reach a ReLU inside"):
        guided(model)


def test_a_loop_without_relu_is_no_obstacle():
    inputs = keras.Input((5, 4))
    x = layers.Dense(4, activation="relu")(layers.SimpleRNN(3)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert GuidedBackprop(model).explain(x, 0).shape == (2, 5)
