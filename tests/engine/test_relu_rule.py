import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import keras_xmap
from keras_xmap.engine.tensorflow._evaluation import evaluate
from keras_xmap.explainers import DeconvNet
from keras_xmap.explainers import GuidedBackprop
from keras_xmap.explainers import Saliency
from keras_xmap.targets import Component

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
    return GuidedBackprop(model, "sum").explain(x, Component())[0]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_guided_gradients_pass_where_input_and_gradient_are_positive(spelling):
    model = model_with(SPELLINGS[spelling]())
    np.testing.assert_array_equal(guided(model), [0, 0, 0, 4])
    plain = Saliency(model, "sum").explain(X, Component())[0]
    np.testing.assert_array_equal(plain, [0, 0, -5, 4])


def rule_on(model, rule):
    @tf.function(autograph=False)
    def step(x):
        evaluation = evaluate(model, x)
        score = evaluation.scores[:, 0]
        return evaluation.gradients(score, [evaluation.inputs], rule)[0]

    return step(X).numpy()[0]


def half(x):
    return (x + ops.abs(x)) / 2


# What is a ReLU by what it computes, whatever it is called.
WRITTEN_OUT = {
    "maximum": lambda x: ops.maximum(x, 0),
    "maximum of 0": lambda x: ops.maximum(0.0, x),
    "maximum of zeros": lambda x: ops.maximum(x, ops.zeros_like(x)),
    "where x > 0": lambda x: ops.where(x > 0, x, 0),
    "where x >= 0": lambda x: ops.where(x >= 0, x, ops.zeros_like(x)),
    "where 0 < x": lambda x: ops.where(0 < x, x, 0.0),  # noqa: SIM300
    "where x < 0": lambda x: ops.where(x < 0, 0.0, x),
    "where not x <= 0": lambda x: ops.where(ops.logical_not(x <= 0), x, 0.0),
    "where x > 0 else 0 x": lambda x: ops.where(x > 0, x, 0 * x),
    "x times its sign": lambda x: x * ops.cast(x > 0, x.dtype),
    "x times a constant sign": lambda x: (
        x * ops.stop_gradient(ops.cast(x > 0, x.dtype))
    ),
    "half of x + |x|": half,
    "half of each": lambda x: 0.5 * x + 0.5 * ops.abs(x),
    "half of x + root of square": lambda x: (x + ops.sqrt(x * x)) / 2,
    "x (sign + 1) / 2": lambda x: x * (ops.sign(x) + 1) / 2,
    "x - minimum": lambda x: x - ops.minimum(x, 0),
    "-minimum of -x": lambda x: -ops.minimum(-x, 0),
    "x + relu(-x)": lambda x: x + ops.relu(-x),
    "leaky with slope 0": lambda x: tf.nn.leaky_relu(x, 0.0),
    "clip without end": lambda x: ops.clip(x, 0, np.inf),
    "relu with a threshold": layers.ReLU(threshold=0.5),
    "threshold": lambda x: keras.activations.threshold(x, 0.5, 0.0),
    "maximum of a stack": lambda x: ops.max(ops.stack([x, 0 * x]), 0),
    "maximum of a stack behind": lambda x: ops.max(
        ops.stack([ops.zeros_like(x), x, -ops.ones_like(x)], -1), -1
    ),
    "-minimum of a stack": lambda x: -ops.min(ops.stack([-x, 0 * x]), 0),
    "mean of a stack": lambda x: ops.mean(ops.stack([x, ops.abs(x)], 1), 1),
    "sum of a stack": lambda x: ops.sum(ops.stack([x, ops.abs(x)]), 0) / 2,
    "product of a stack": lambda x: ops.prod(
        ops.stack([x, ops.cast(x > 0, x.dtype)]), 0
    ),
    "x times its sign by ceil": lambda x: x * ops.clip(ops.ceil(x), 0, 1),
    "clip far away": lambda x: ops.clip(x, 0, 1e9),
    "GuidedReLU": keras_xmap.layers.GuidedReLU(),
    "maximum as a layer": lambda x: layers.Maximum()([x, ops.zeros_like(x)]),
}
CAPPED = {
    "clip": lambda x: ops.clip(x, 0, 2.5),
    "tf.clip_by_value": lambda x: tf.clip_by_value(x, 0.0, 2.5),
    "minimum of maximum": lambda x: ops.minimum(ops.maximum(x, 0), 2.5),
    "maximum of minimum": lambda x: ops.maximum(ops.minimum(x, 2.5), 0),
    "minimum of relu": lambda x: ops.minimum(ops.relu(x), 2.5),
    "ReLU(2.5)": layers.ReLU(2.5),
    "GuidedReLU(2.5)": keras_xmap.layers.GuidedReLU(max_value=2.5),
    "relu6 scaled": lambda x: tf.nn.relu6(2.4 * x) / 2.4,
}


@pytest.fixture(scope="module")
def written_out():
    """Gradients of `sum(UPSTREAM * f(X))` by both rules, in one graph."""

    @tf.function(autograph=False)
    def step(x):
        found = {}
        for name, function in {**WRITTEN_OUT, **CAPPED}.items():
            if not isinstance(function, layers.Layer):
                function = Call(function)
            evaluation = evaluate(function, x)
            score = tf.reduce_sum(UPSTREAM * evaluation.outputs, axis=-1)
            found[name] = [
                evaluation.gradients(score, [evaluation.inputs], rule)[0]
                for rule in ("guided", "deconvnet", "guided")
            ]
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return step(X)


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_relu_is_known_by_what_it_computes(name, written_out):
    guided, deconvnet, again = written_out[name]
    np.testing.assert_allclose(guided, [[0, 0, 0, 4]])
    np.testing.assert_allclose(deconvnet, [[1, 1, 0, 4]])
    np.testing.assert_array_equal(again, guided)


@pytest.mark.parametrize("name", CAPPED)
def test_so_is_one_with_a_ceiling(name, written_out):
    guided, deconvnet, _ = written_out[name]
    np.testing.assert_allclose(guided, [[0, 0, 0, 0]])
    np.testing.assert_allclose(deconvnet, [[1, 1, 0, 4]], rtol=1e-6)


def two_layers(activation, dtype=None):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((4,))
    x = inputs
    for _ in range(2):
        x = layers.Dense(6, dtype=dtype)(x)
        if isinstance(activation, str):
            x = layers.Activation(activation, dtype=dtype)(x)
        else:
            x = activation(x)
    block = keras.Model(inputs, x)
    return keras.Sequential([keras.Input((4,)), block, layers.Dense(2)])


def average(x):
    return layers.Average()([x, ops.abs(x)])


def half_of_sum(x):
    return layers.Add()([x, ops.abs(x)]) / 2


@pytest.mark.parametrize("method", [GuidedBackprop, DeconvNet])
def test_half_precision_models_have_the_maps_of_their_relu(method):
    maps = [
        method(two_layers(how, "mixed_float16"), None).explain(X, 1)
        for how in ("relu", half, average, half_of_sum)
    ]
    assert np.abs(maps[0]).max() > 0.01
    for found in maps[1:]:
        np.testing.assert_allclose(found, maps[0], rtol=1e-6)


def test_two_replicas_have_the_maps_of_one(strategy):
    expected = GuidedBackprop(two_layers("relu"), None).explain(X, 1)
    with strategy.scope():
        model = two_layers(lambda x: ops.where(x > 0, x, 0))
    maps = GuidedBackprop(model, None).explain(np.tile(X, (2, 1)), 1)
    np.testing.assert_allclose(maps, np.tile(expected, (2, 1)), rtol=1e-6)


def exp_in_a_function():
    return tf.function(tf.exp, autograph=False)


BENT = {
    "absolute": (ops.abs, "Abs"),
    "celu": ("celu", "Maximum, Minimum, Expm1"),
    "clip to both sides": (lambda x: ops.clip(x, -1, 1), "Minimum, Maximum"),
    "compiled": (exp_in_a_function(), "PartitionedCall"),
    "elu": ("elu", "Elu"),
    "exponential": (ops.exp, "Exp"),
    "gate": (lambda x: x * ops.mean(x, -1, keepdims=True), "Mul"),
    "gelu": ("gelu", "Erfc?, Mul"),
    "hard shrink": ("hard_shrink", "SelectV2"),
    "hard sigmoid": ("hard_sigmoid", "Relu6"),
    "hard sigmoid by clip": (
        lambda x: ops.clip(0.2 * x + 0.5, 0, 1),
        "Minimum, Maximum",
    ),
    "hard silu": ("hard_silu", "Relu6, Mul"),
    "layer normalization": (
        layers.LayerNormalization(),
        "(SquaredDifference|Square), Rsqrt, Mul",
    ),
    "leaky relu": ("leaky_relu", "LeakyRelu"),
    "log": (lambda x: ops.log(1 + ops.abs(x)), "Abs, Log"),
    "log sigmoid": ("log_sigmoid", "Softplus"),
    "maximum of branches": (
        lambda x: ops.maximum(x, 2 * ops.flip(x, -1)),
        "Maximum",
    ),
    # As Keras takes a mean in half precision.
    "mean of a stack in another precision": (
        lambda x: ops.cast(
            ops.mean(ops.cast(ops.stack([x, ops.abs(x)]), "float64"), 0),
            "float32",
        ),
        "Abs",
    ),
    "maxout": (lambda x: ops.max(ops.stack([x, 2 * x]), 0), "Max"),
    "maxout by sorting": (
        lambda x: ops.top_k(ops.stack([x, 0 * x], -1), 1)[0][..., 0],
        "TopKV2",
    ),
    "maxout in windows": (
        lambda x: ops.max_pool(
            ops.reshape(ops.stack([x, 0 * x], -1), (-1, 8, 1)), 2, 2
        )[..., 0],
        "MaxPool",
    ),
    "maxout with padding": (
        lambda x: ops.max(
            ops.pad(x[..., None], ((0, 0), (0, 0), (0, 1))), axis=-1
        ),
        "Max",
    ),
    "mish": ("mish", "Softplus, Tanh, Mul"),
    "power": (lambda x: x**3, "Pow"),
    "prelu": (layers.PReLU(), "Relu"),
    "relu with both": (layers.ReLU(6.0, 0.1), "Relu, Relu6"),
    "selected by itself": (
        lambda x: x * ops.one_hot(ops.argmax(x, -1), 4),
        "Mul",
    ),
    "silu": ("silu", "Sigmoid, Mul"),
    "sine": (ops.sin, "Sin"),
    "soft shrink": ("soft_shrink", "SelectV2"),
    "softmax": ("softmax", "Softmax"),
    "softplus": ("softplus", "Softplus"),
    "sparse plus": ("sparse_plus", "Pow, SelectV2"),
    "square": (ops.square, "Square"),
    "squareplus": ("squareplus", "Square, Sqrt"),
    "tanh": ("tanh", "Tanh"),
    "threshold": (
        lambda x: keras.activations.threshold(x, 0.5, -1.0),
        "SelectV2",
    ),
}
STRAIGHT = {
    "a selection of one tensor": lambda x: ops.max(
        ops.reshape(x, (-1, 2, 2)), axis=1
    ),
    "affine": lambda x: ops.concatenate([2 * x + 1, -x / 3], axis=-1),
    "a selection of joined branches": lambda x: ops.max(
        ops.stack([x, -x], -1), axis=1
    ),
    "batch normalization": layers.BatchNormalization(),
    "concatenated relu": lambda x: ops.concatenate(
        [ops.relu(x), ops.relu(-x)], axis=-1
    ),
    "dropout": layers.Dropout(0.5),
    "moved": lambda x: ops.cumsum(ops.flip(ops.roll(x, 1, -1), -1), -1),
    "residual": lambda x: (
        x + ops.matmul(ops.relu(x), np.eye(4, dtype="float32"))
    ),
    "weighed": lambda x: x * np.arange(4, dtype="float32"),
}


def as_named_layer(activation):
    if isinstance(activation, layers.Layer):
        return activation
    if isinstance(activation, str):
        return layers.Activation(activation, name="other")
    return Call(activation)


def warnings_of(activation):
    """What is said of an activation between layers with ReLU."""
    inputs = keras.Input((4,))
    x = layers.Dense(4, activation="relu")(inputs)
    layer = as_named_layer(activation)
    outputs = layers.Dense(2)(layer(layers.Dense(4, activation="relu")(x)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rule_on(keras.Model(inputs, outputs), "guided")
    return layer.name, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("name", BENT)
def test_all_else_that_is_not_linear_is_named_in_one_warning(name):
    activation, types = BENT[name]
    layer, (message,) = warnings_of(activation)
    # TensorFlow 2.18 has another operation for the same function of error.
    assert re.search(
        rf"keeps its ordinary gradient: layer '{layer}' \({types}\)\.$", message
    )


@pytest.mark.parametrize("name", STRAIGHT)
def test_what_is_linear_or_selects_is_not_named(name):
    assert warnings_of(STRAIGHT[name])[1] == []


def test_a_relu_with_a_gradient_that_hides_it_is_refused():
    eye = tf.eye(4)
    hidden = Call(tf.recompute_grad(lambda x: tf.nn.relu(x @ eye) @ eye))
    model = model_with(
        keras.Sequential([keras.Input((4,)), layers.ReLU(), hidden])
    )
    match = "did not reach these ReLUs. Received: layer .*Relu"
    with pytest.raises(ValueError, match=match):
        guided(model)


def test_a_relu_behind_which_no_gradient_comes_is_no_obstacle():
    inputs = keras.Input((4,))
    gate = ops.stop_gradient(layers.ReLU()(inputs))
    chosen = ops.argmax(layers.ReLU()(inputs), -1)
    x = layers.ReLU()(inputs) + gate + ops.one_hot(chosen, 4)
    model = model_with(keras.Model(inputs, x))
    np.testing.assert_array_equal(guided(model), [0, 0, 0, 4])


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


def test_neither_half_of_prelu_is_a_relu():
    prelu = layers.PReLU(alpha_initializer=keras.initializers.Constant(0.5))
    model = model_with(nested(prelu))
    with pytest.raises(ValueError, match="needs a ReLU.*p_re_lu' .Relu"):
        guided(model)


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
