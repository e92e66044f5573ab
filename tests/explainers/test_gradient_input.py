import keras
import numpy as np
import pytest
from explainers.networks import NUMBER
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import input_gradients
from explainers.networks import random_network
from keras import layers
from reference.gradient import reduce_channels

from keras_xmap.explainers import GradientInput
from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow


def without_biases(model):
    model.set_weights([w * (w.ndim > 1) for w in model.get_weights()])
    return model


def test_by_hand():
    model = keras.Sequential(
        [keras.Input((1, 2, 2)), layers.Flatten(), layers.Dense(1)]
    )
    model.layers[-1].kernel.assign([[3.0], [-4.0], [1.0], [2.0]])
    x = np.array([[[[1.0, 2.0], [-1.0, 0.5]]]], "float32")
    by_hand = {
        "sum": [3 - 8, -1 + 1],
        "max": [8, 1],
        "mean": [5.5, 1],
        "norm": [73**0.5, 2**0.5],
        None: [[3, -8], [-1, 1]],
    }
    for how, expected in by_hand.items():
        maps = GradientInput(model, how).explain(x, NUMBER)
        np.testing.assert_allclose(maps, [[expected]], rtol=1e-6)
    np.testing.assert_array_equal(
        GradientInput(model).explain(x, NUMBER), [[[-5, 0]]]
    )


@pytest.mark.parametrize(
    "size, reductions",
    [
        ((20,), ["norm"]),
        ((9, 7), ["max", "mean", "norm", "sum"]),
        ((7, 8, 9), ["norm"]),
    ],
)
def test_random_networks_have_the_maps_of_the_reference(size, reductions):
    model, x = random_network(size, head="mlp"), images(*size, 3)
    expected = np.float64(input_gradients(model, x, 2)) * x
    for how in (*reductions, None):
        maps = GradientInput(model, how).explain(x, 2)
        assert_close(maps, reduce_channels(expected, how) if how else expected)


@pytest.mark.parametrize("head", ["average", "flatten", "mlp"])
def test_without_biases_the_map_sums_to_the_score(head):
    model = without_biases(random_network(head=head))
    x, classes = images(9, 7, 3, count=5), np.array([[0, 1, 2, 3]] * 5)
    maps = GradientInput(model).explain(x, classes)
    assert_close(maps.sum((2, 3)), model.predict(x, verbose=0), 2e-6)


def test_a_bias_takes_its_share_of_the_score():
    model = random_network()
    x = images(9, 7, 3)
    maps = GradientInput(model).explain(x, 2)
    scores = model.predict(x, verbose=0)[:, 2]
    assert np.abs(maps.sum((1, 2)) - scores).max() > 0.01


def test_a_black_image_gets_nothing():
    x = np.zeros((2, 9, 7, 3), "float32")
    maps = GradientInput(random_network(head="mlp")).explain(x, 2)
    np.testing.assert_array_equal(maps, np.zeros((2, 9, 7)))


def test_it_is_the_gradient_times_the_image():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    gradients = Saliency(model, None).explain(x, 1)
    assert_close(GradientInput(model, None).explain(x, 1), gradients * x)


def test_each_input_is_multiplied_by_its_own_gradient():
    inputs = {
        "a": keras.Input((4,), name="a"),
        "b": keras.Input((4,), name="b"),
    }
    outputs = layers.Dense(1)(layers.Multiply()([inputs["a"], inputs["b"]]))
    model = keras.Model(inputs, outputs)
    data = {"a": images(4), "b": images(4, seed=1)}
    maps = GradientInput(model).explain(data, NUMBER)
    assert set(maps) == {"a", "b"}
    expected = model.layers[-1].get_weights()[0][:, 0] * data["a"] * data["b"]
    for values in maps.values():
        assert_close(values, expected)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_images_of_other_precision_have_float32_maps(dtype):
    model, x = random_network(), images(9, 7, 3).astype(dtype)
    maps = GradientInput(model).explain(x, 2)
    assert maps.dtype == np.float32
    expected = GradientInput(model).explain(x.astype("float32"), 2)
    assert_close(maps, expected, 2e-3 if dtype == "float16" else 1e-6)
