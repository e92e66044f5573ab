"""Models and targets that stop: the error names them, not an operation."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import input_gradients
from explainers.networks import randomize
from keras import layers
from keras import ops

from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow

X = images(6, 6, 2, count=2)


class Stops(keras.Model):
    """A head behind a function that may stop."""

    def __init__(self, function):
        super().__init__(name="patient")
        self.function = function
        self.head = layers.Dense(3, name="head")
        self.head.build((None, 2))
        self.built = True

    def call(self, x):
        return self.head(self.function(ops.mean(x, (1, 2))))


@pytest.fixture(scope="module")
def model():
    model = Stops(lambda x: x)
    randomize(model)
    return model


def function_of(explainer, target):
    """The explanation in a function of the user's, of any batch."""
    spec = [tf.TensorSpec((None, *X.shape[1:]))]
    return tf.function(
        lambda x: explainer(x, target), input_signature=spec, autograph=False
    )


# What is wrong in Python stops the model while the step is traced.
TRACED = {
    "AttributeError": lambda x: x.numpy(),
    "KeyError": lambda x: {}["name"],
    "ZeroDivisionError": lambda x: x / (1 // 0),
    "a bool of a tensor": lambda x: x if x[0, 0] > 0 else -x,
}


@pytest.mark.parametrize("case", TRACED)
def test_a_model_that_stops_in_python_is_named(case):
    error = "" if case.startswith("a ") else case
    match = rf"The model 'patient' .* Received: shapes \(None, 6.*{error}"
    explainer = Saliency(Stops(TRACED[case]))
    for explain in (explainer.explain, function_of(explainer, 1)):
        args = (1,) if explain == explainer.explain else ()
        with pytest.raises(ValueError, match=match):
            explain(X, *args)


def test_what_keras_says_is_told_without_its_styles():
    """Keras makes the names of layers bold, by codes of terminals."""

    class Wrong(layers.Layer):
        def call(self, x):
            raise ValueError("It stops.")

    def stops_later(x):
        message = ["\x1b[1mWrong.call\x1b[0m"]
        with tf.control_dependencies(
            [tf.debugging.Assert(ops.sum(x) > 1e9, message)]
        ):
            return tf.identity(x)

    cases = [(Wrong(), 1), (stops_later, 1), (tf.identity, Wrong())]
    for function, target in cases:
        with pytest.raises(ValueError, match="Received") as caught:
            Saliency(Stops(function)).explain(X, target)
        assert "Wrong.call" in str(caught.value)
        assert "\x1b" not in str(caught.value)


def test_so_is_one_that_stops_where_its_weights_are_made():
    class Unbuilt(keras.Model):
        def call(self, x):
            return x.nothing

    with pytest.raises(ValueError, match="The model 'unbuilt' cannot be"):
        Saliency(Unbuilt(name="unbuilt")).explain(X, 1)


# What depends on values stops it while the step runs.
RUNNING = {
    "an index": lambda x: x + x[5, :],
    "an assertion": lambda x: (tf.debugging.assert_less(x, -9.0), x)[1],
    "a function of Python": lambda x: (
        x
        + tf.ensure_shape(
            tf.numpy_function(lambda _: 1 / 0, [x], tf.float32), (None, 2)
        )
    ),
}


@pytest.mark.parametrize("case", RUNNING)
def test_a_model_that_stops_while_the_step_runs_is_named(case):
    explainer = Saliency(Stops(RUNNING[case]))
    with pytest.raises(
        ValueError,
        match=r"The model 'patient' cannot be computed for these inputs\. "
        r"Received: target=Class\(index=1\) and inputs of shapes \(2, 6, 6, 2\)"
        r"\. The framework stopped at 'patient",
    ) as caught:
        explainer.explain(X, 1)
    assert isinstance(caught.value.__cause__, tf.errors.OpError)
    assert "node" not in str(caught.value)
    with pytest.raises(tf.errors.OpError, match="node patient"):
        function_of(explainer, 1)(X)


def test_so_is_an_id_without_an_embedding():
    inputs = keras.Input((4,), dtype="int32")
    x = layers.Embedding(3, 2, name="embedding")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)), name="of")
    with pytest.raises(ValueError, match="stopped at 'of.*/embedding.*/Gather"):
        Saliency(model, target_layer="embedding").explain(
            np.array([[0, 1, 2, 9]]), 1
        )


TARGETS_IN_PYTHON = {
    "TypeError": lambda outputs: outputs["name"],
    "AttributeError": lambda outputs: outputs.numpy()[:, 0],
    "ZeroDivisionError": lambda outputs: outputs[:, 0] / (1 // 0),
    "ValueError": lambda outputs: outputs[:, 7],
}


@pytest.mark.parametrize("case", TARGETS_IN_PYTHON)
def test_a_target_that_stops_in_python_is_named(case, model):
    target = TARGETS_IN_PYTHON[case]
    match = (
        r"The target cannot be computed .*: 0 \((None|2), 3\)\. Received: "
        rf"target={re.escape(repr(target))}, which stopped with {case}: "
    )
    explainer = Saliency(model)
    with pytest.raises(ValueError, match=match):
        explainer.explain(X, target)
    with pytest.raises(ValueError, match=match):
        function_of(explainer, target)(X)


TARGETS_RUNNING = {
    "an index": lambda outputs: tf.gather(outputs, [9], axis=1)[:, 0],
    "a place": lambda outputs: tf.gather_nd(outputs, [[0, 9], [1, 0]]),
    "a check": lambda outputs: tf.debugging.check_numerics(
        tf.math.log(-1 - outputs[:, 0] ** 2), "no logarithm"
    ),
}


@pytest.mark.parametrize("case", TARGETS_RUNNING)
def test_a_target_that_stops_while_the_step_runs_is_named(case, model):
    target, explainer = TARGETS_RUNNING[case], Saliency(model)
    with pytest.raises(
        ValueError,
        match="The target cannot be computed for these inputs. Received: "
        rf"target={re.escape(repr(target))} .* stopped at '.*target/",
    ):
        explainer.explain(X, target)
    with pytest.raises(tf.errors.OpError, match="node .*target/"):
        function_of(explainer, target)(X)


def test_a_layer_of_the_name_target_is_of_the_model():
    inputs = keras.Input((6, 6, 2))
    x = layers.Lambda(lambda x: x + x[5:6], name="target")(inputs)
    model = keras.Model(inputs, ops.mean(x, (1, 2)), name="patient")
    # Of two images none is the sixth, and nothing is added to none.
    with pytest.raises(ValueError, match="The model 'patient' cannot be"):
        Saliency(model).explain(X, 1)


def test_after_an_error_the_explainer_goes_on(model):
    explainer = Saliency(model, channel_reduction=None)
    with pytest.raises(ValueError, match="The target cannot be computed"):
        explainer.explain(X, TARGETS_RUNNING["an index"])
    expected = input_gradients(model, X, 1)
    assert_close(explainer.explain(X, 1), expected)
    assert np.abs(expected).max() > 0
