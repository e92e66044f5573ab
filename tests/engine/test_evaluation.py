import copy
import dataclasses
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from engine.graph_cases import traced
from keras import layers

from keras_xmap import targets
from keras_xmap.engine.tensorflow._evaluation import evaluate
from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def double():
    """Everything in float64, for finite differences."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


def test_gradients_are_those_of_finite_differences_in_float64(double):
    inputs = keras.Input((6, 6, 2), dtype="float64")
    x = layers.Conv2D(3, 3, activation="tanh", name="inner")(inputs)
    x = layers.Flatten()(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
    generator = np.random.default_rng(0)
    x = generator.normal(size=(1, 6, 6, 2))
    logits = keras.Model(inputs, model.layers[-2].output)
    kernel, bias = model.layers[-1].get_weights()

    def score(x):
        return (np.asarray(logits(x)) @ kernel + bias)[0, 1]

    def step(x):
        evaluation = evaluate(model, x)
        return evaluation.gradients(
            evaluation.scores[:, 1], [evaluation.inputs]
        )[0]

    gradient = traced(step, x)
    assert gradient.dtype == np.float64
    epsilon = 1e-5
    for index in generator.integers(0, x.size, 20):
        moved = np.zeros(x.size)
        moved[index] = epsilon
        moved = moved.reshape(x.shape)
        difference = (score(x + moved) - score(x - moved)) / (2 * epsilon)
        np.testing.assert_allclose(
            gradient.ravel()[index], difference, rtol=1e-7, atol=1e-9
        )


def test_gradients_at_a_hidden_layer_are_those_of_finite_differences(double):
    inputs = keras.Input((6, 6, 2), dtype="float64")
    hidden = layers.Conv2D(3, 3, activation="relu", name="hidden")(inputs)
    tail = keras.Sequential(
        [
            keras.Input((4, 4, 3), dtype="float64"),
            layers.Conv2D(2, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    model = keras.Model(inputs, tail(hidden))
    generator = np.random.default_rng(1)
    x = generator.normal(size=(1, 6, 6, 2))

    def step(x):
        evaluation = evaluate(model, x)
        score = evaluation.scores[:, 0]
        call = evaluation.layer_call("hidden", score)
        return call.outputs, evaluation.gradients(score, [call.outputs])[0]

    activations, gradient = traced(step, x)
    epsilon = 1e-6
    for index in generator.integers(0, activations.size, 20):
        moved = np.zeros(activations.size)
        moved[index] = epsilon
        moved = moved.reshape(activations.shape)
        up, down = tail(activations + moved), tail(activations - moved)
        difference = float(up[0, 0] - down[0, 0]) / (2 * epsilon)
        np.testing.assert_allclose(
            gradient.ravel()[index], difference, rtol=1e-6, atol=1e-8
        )


def test_the_model_runs_in_inference_mode():
    inputs = keras.Input((4,))
    x = layers.Dropout(0.9)(layers.BatchNormalization()(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    before = [w.copy() for w in model.get_weights()]
    outputs = traced(lambda x: evaluate(model, x).outputs, x)
    np.testing.assert_allclose(outputs, model(x, training=False), rtol=1e-6)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_symbolic_loss_is_left_on_the_model():
    inputs = keras.Input((4,))
    x = layers.ActivityRegularization(l2=0.1)(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    x = np.ones((1, 4), "float32")
    traced(lambda x: evaluate(model, x).outputs, x)
    assert model.losses == []
    model(x)
    np.testing.assert_allclose(float(model.losses[0]), 0.4)


def test_random_layers_of_the_model_keep_their_random_state():
    class Sampling(layers.Layer):
        def __init__(self):
            super().__init__()
            self.seed_generator = keras.random.SeedGenerator(3)

        def call(self, x):
            return x + keras.random.normal((1, 4), seed=self.seed_generator)

    layer = Sampling()
    model = keras.Sequential([keras.Input((4,)), layer, layers.Dense(1)])
    before = layer.seed_generator.state.numpy()
    traced(lambda x: evaluate(model, x).outputs, np.ones((2, 4), "float32"))
    np.testing.assert_array_equal(layer.seed_generator.state.numpy(), before)


def test_gradients_too_small_for_float16_survive():
    """2e-8 is below half of the smallest number of float16, 6e-8."""

    class Half(layers.Layer):
        def call(self, x):
            y = keras.ops.cast(x, "float16") * 2.0**-13
            return keras.ops.cast(y, "float32") * 2.0**-12.5

    model = keras.Sequential([keras.Input((1,)), Half()])

    def step(x):
        evaluation = evaluate(model, x)
        return evaluation.gradients(
            evaluation.scores[:, 0], [evaluation.inputs]
        )[0]

    gradient = traced(step, np.ones((1, 1), "float32"))
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, [[2.0**-25.5]], rtol=1e-2)


def test_a_model_without_weights_is_built_first():
    model = keras.Sequential([layers.Dense(2)])
    x = np.ones((3, 4), "float32")
    maps = Saliency(model).explain(x, 1)
    np.testing.assert_allclose(
        maps, np.abs(model.get_weights()[0][:, 1])[None].repeat(3, 0)
    )


def test_integer_inputs_have_no_gradient_but_are_passed_on():
    tokens, image = keras.Input((3,), dtype="int32"), keras.Input((4,))
    x = layers.Flatten()(layers.Embedding(5, 2)(tokens))
    outputs = layers.Dense(2)(layers.Concatenate()([x, image]))
    model = keras.Model([tokens, image], outputs)
    data = [np.zeros((2, 3), "int32"), np.ones((2, 4), "float32")]
    of_tokens, of_image = Saliency(model).explain(data, 0)
    assert of_tokens is None
    kernel = model.layers[-1].get_weights()[0]
    np.testing.assert_allclose(of_image[0], np.abs(kernel[6:, 0]), rtol=1e-6)


def test_a_model_that_cannot_be_called_says_what_keras_said():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(
        ValueError, match=r"shapes \(2, 5\)\. It stopped with V"
    ):
        traced(lambda x: evaluate(model, x).outputs, tf.ones((2, 5)))


def test_integers_that_the_model_asks_for_are_explained_without_gradient():
    inputs = keras.Input((12, 12, 3), dtype="uint8")
    x = layers.Conv2D(4, 3, name="conv")(layers.Rescaling(1 / 255)(inputs))
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    data = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3), "uint8")
    maps = HiResCAM(model).explain(data, 1)
    twin = keras.Sequential([keras.Input((12, 12, 3)), *model.layers[1:]])
    expected = HiResCAM(twin).explain(data.astype("float32"), 1)
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="target_layer='rescaling'"):
        Saliency(model).explain(data, 1)
    # What is explained there is moved by steps of 1 / 255.
    maps = Saliency(model, target_layer="rescaling").explain(data, 1) / 255
    expected = Saliency(twin).explain(data.astype("float32"), 1)
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-7)


def two_outputs():
    inputs = keras.Input((4,))
    clear = layers.Dense(3, activation="softmax", name="clear")(inputs)
    unclear = 16 * keras.ops.sigmoid(layers.Dense(2)(inputs))
    return keras.Model(inputs, {"clear": clear, "unclear": unclear})


@pytest.mark.parametrize(
    "target", [targets.Class(1, "clear"), lambda o: o["clear"][:, 1]]
)
def test_an_unclear_output_does_not_stand_in_the_way_of_another(target):
    model = two_outputs()
    x = np.ones((2, 4), "float32")
    maps = Saliency(model, "sum").explain(x, target)
    kernel = model.get_layer("clear").get_weights()[0]
    np.testing.assert_allclose(maps, [kernel[:, 1]] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    "target", [targets.Class(1, "unclear"), lambda o: o["unclear"][:, 1]]
)
def test_an_unclear_output_is_refused_when_it_is_asked_for(target):
    with pytest.raises(ValueError, match="cannot be found with certainty"):
        Saliency(two_outputs()).explain(np.ones((2, 4), "float32"), target)


def test_outputs_that_are_no_tensors_are_passed_on():
    class WithoutAttention(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x):
            return {"logits": self.dense(x), "attention": None}

    model = WithoutAttention()
    x = np.ones((2, 4), "float32")
    maps = Saliency(model, "sum").explain(x, targets.Class(2, "logits"))
    kernel = model.dense.get_weights()[0]
    np.testing.assert_allclose(maps, [kernel[:, 2]] * 2, rtol=1e-6)


def test_an_explainer_can_be_copied_and_pickled():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    explainer = Saliency(model)
    x = np.ones((2, 4), "float32")
    expected = explainer.explain(x, 1)
    for other in (
        copy.copy(explainer),
        copy.deepcopy(explainer),
        pickle.loads(pickle.dumps(explainer)),
    ):
        np.testing.assert_array_equal(other.explain(x, 1), expected)


def test_callables_that_compare_by_value_are_accepted():
    @dataclasses.dataclass
    class Score:
        index: int

        def __call__(self, outputs):
            return outputs[:, self.index]

    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    x = np.ones((2, 4), "float32")
    explainer = Saliency(model)
    for index in (0, 2):
        maps = explainer.explain(x, Score(index))
        np.testing.assert_array_equal(maps, explainer.explain(x, index))
