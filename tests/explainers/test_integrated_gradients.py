import copy
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import NUMBER
from explainers.networks import CountsTraces
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import input_gradients
from explainers.networks import random_network
from explainers.networks import randomize
from keras import layers
from keras import ops
from reference.integrated_gradients import blurred
from reference.integrated_gradients import integrated_gradients
from reference.integrated_gradients import mean_colour

from keras_xmap.explainers import GradientInput
from keras_xmap.explainers import IntegratedGradients
from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow


def smooth_network(classes=4, seed=0):
    """Convolutions with `tanh`: the way to the baseline has no corners."""
    inputs = keras.Input((9, 7, 3))
    x = layers.Conv2D(5, 3, activation="tanh", name="first")(inputs)
    x = layers.Conv2D(6, 3, strides=2, activation="tanh", name="last")(x)
    outputs = layers.Dense(classes)(layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    randomize(model, 0.3, seed=seed)
    return model


def wide_relu_network():
    """Many corners on the way, each of little weight, as in real networks."""
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(4),
        ]
    )
    generator = np.random.default_rng(3)
    model.set_weights(
        [
            (
                generator.normal(size=w.shape)
                * (2 / np.prod(w.shape[:-1])) ** 0.5
                if w.ndim > 1
                else 0.05 * generator.normal(size=w.shape)
            ).astype("float32")
            for w in model.get_weights()
        ]
    )
    return model


def linear():
    model = keras.Sequential(
        [keras.Input((4, 4, 2)), layers.Flatten(), layers.Dense(3)]
    )
    model.layers[-1].bias.assign([1.0, -2.0, 3.0])
    return model


def product():
    """The score `x_1 * x_2`: on the way from 0, each gets half of it."""
    inputs = keras.Input((2,))
    model = keras.Model(inputs, ops.prod(inputs, axis=-1, keepdims=True))
    model.compile(loss="mse")  # the unit is a number
    return model


@pytest.mark.parametrize("num_steps", [1, 2, 50])
def test_a_product_is_shared_evenly(num_steps):
    x = np.array([[2.0, 3.0], [-1.0, 4.0]], "float32")
    maps = IntegratedGradients(product(), num_steps).explain(x, 0)
    np.testing.assert_allclose(maps, [[3, 3], [-2, -2]], rtol=1e-5)


def test_the_baseline_is_where_the_way_starts():
    """`x1 x2` from (1, 1) to (2, 3): gradients average to (2, 1.5)."""
    x = np.array([[2.0, 3.0]], "float32")
    maps = IntegratedGradients(product(), 4, baseline=1).explain(x, 0)
    np.testing.assert_allclose(maps, [[2, 3]], rtol=1e-5)
    baseline = np.array([2.0, 0.0])
    maps = IntegratedGradients(product(), 4, baseline).explain(x, 0)
    np.testing.assert_allclose(maps, [[0, 6]], rtol=1e-5)


@pytest.mark.parametrize("num_steps", [1, 50])
@pytest.mark.parametrize("baseline", ["zero", "mean", "blur", -0.5])
def test_a_linear_model_is_complete_with_any_number_of_steps(
    num_steps, baseline
):
    model, x = linear(), images(4, 4, 2)
    explainer = IntegratedGradients(model, num_steps, baseline)
    gaps = explainer.completeness_gap(x, 2)
    assert gaps.shape == (3,) and gaps.dtype == np.float32
    np.testing.assert_allclose(gaps, np.zeros(3), atol=2e-6)


def test_of_a_linear_model_it_is_gradient_times_difference():
    model, x = linear(), images(4, 4, 2)
    expected = Saliency(model, None).explain(x, 1) * (x - 0.5)
    explainer = IntegratedGradients(model, 3, 0.5, channel_reduction=None)
    assert_close(explainer.explain(x, 1), expected)


def test_without_biases_it_is_gradient_times_input():
    """On the ray from 0, the gradient of such a network does not change."""
    model, x = random_network(head="mlp"), images(9, 7, 3)
    model.set_weights([w * (w.ndim > 1) for w in model.get_weights()])
    assert_close(
        IntegratedGradients(model, 2).explain(x, 2),
        GradientInput(model).explain(x, 2),
    )


@pytest.mark.slow
def test_relu_networks_are_complete_within_a_hundredth():
    model, x = wide_relu_network(), images(12, 12, 3, count=6)
    classes = np.array([[0, 1, 2, 3]] * 6)
    gaps = {
        n: np.abs(IntegratedGradients(model, n).completeness_gap(x, classes))
        for n in (5, 50, 500)
    }
    start = model.predict(np.zeros_like(x[:1]), verbose=0)
    scale = np.abs(model.predict(x, verbose=0) - start)
    assert gaps[5].shape == (6, 4)
    assert np.linalg.norm(gaps[50]) < 1e-2 * np.linalg.norm(scale)
    assert gaps[50].mean() < gaps[5].mean() / 4
    assert gaps[500].mean() < gaps[50].mean() / 4


@pytest.mark.slow
def test_smooth_networks_are_complete_after_few_steps():
    model, x = smooth_network(), images(9, 7, 3)
    explainers = {n: IntegratedGradients(model, n) for n in (2, 4, 16)}
    scale = np.abs(explainers[16].explain(x, 2)).sum((1, 2))
    gaps = [
        np.abs(explainer.completeness_gap(x, 2)) / scale
        for explainer in explainers.values()
    ]
    assert gaps[0].max() > 10 * gaps[1].max() > 100 * gaps[2].max()
    assert gaps[2].max() < 1e-6


def test_the_gap_is_what_the_maps_lack():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    explainer = IntegratedGradients(model, 4, baseline="blur")
    baseline = np.stack([blurred(image, 0.1) for image in x])
    difference = (
        model.predict(x, verbose=0)[:, 1]
        - (model.predict(baseline, verbose=0)[:, 1])
    )
    gaps = explainer.completeness_gap(x, 1)
    expected = explainer.explain(x, 1).sum((1, 2)) - difference
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(gaps, expected, atol=1e-5)


@pytest.mark.parametrize(
    "baseline", ["zero", "mean", "blur", "number", "array"]
)
def test_smooth_networks_have_the_maps_of_the_reference(baseline):
    model, x = smooth_network(), images(9, 7, 3)
    array = images(9, 7, 3, seed=4, count=1)[0]
    given = {"number": 0.3, "array": array}.get(baseline, baseline)
    starts = {
        "zero": lambda image: np.zeros_like(image),
        "mean": mean_colour,
        "blur": lambda image: blurred(image, 0.1),
        "number": lambda image: np.full_like(image, 0.3),
        "array": lambda image: array,
    }

    def gradient_at(images):
        return input_gradients(model, images.astype("float32"), 2)

    expected = np.stack(
        [
            integrated_gradients(
                gradient_at, image, starts[baseline](image), 200
            )
            for image in x
        ]
    )
    explainer = IntegratedGradients(model, 20, given, channel_reduction=None)
    assert_close(explainer.explain(x, 2), expected, 1e-4)
    if baseline == "array":
        explainer = IntegratedGradients(model, 20, given)
        assert_close(explainer.explain(x, 2), expected.sum(-1), 1e-4)


@pytest.mark.parametrize("baseline", ["mean", "blur"])
def test_channels_may_come_first(baseline):
    model = keras.Sequential(
        [
            keras.Input((3, 6, 5)),
            layers.Flatten(data_format="channels_first"),
            layers.Dense(4, activation="tanh"),
            layers.Dense(2),
        ]
    )
    x = images(3, 6, 5)
    start = {"mean": mean_colour, "blur": lambda image: blurred(image, 0.1)}
    expected = np.stack(
        [
            integrated_gradients(
                lambda images: input_gradients(
                    model, images.astype("float32"), 1
                ),
                image,
                np.moveaxis(start[baseline](np.moveaxis(image, 0, -1)), -1, 0),
                200,
            )
            for image in x
        ]
    ).sum(1)
    maps = IntegratedGradients(model, 20, baseline).explain(x, 1)
    assert_close(maps, expected, 1e-4)


@pytest.mark.slow
def test_arrays_of_one_image_may_have_a_batch_axis_or_fewer_axes():
    model, x = smooth_network(), images(9, 7, 3)
    expected = IntegratedGradients(model, 3, 0.5).explain(x, 0)
    for array in (np.full((9, 7, 3), 0.5), np.full((1, 9, 7, 3), 0.5)):
        maps = IntegratedGradients(model, 3, array).explain(x, 0)
        assert_close(maps, expected)
    colour = np.array([0.1, 0.2, 0.3])
    maps = IntegratedGradients(model, 3, colour).explain(x, 0)
    full = np.broadcast_to(colour, (9, 7, 3))
    assert_close(maps, IntegratedGradients(model, 3, full).explain(x, 0))


def test_every_input_may_have_a_baseline_of_its_own():
    image, vector = keras.Input((3, 2, 1)), keras.Input((6,))
    x = layers.Multiply()([layers.Flatten()(image), vector])
    model = keras.Model([image, vector], layers.Dense(1)(x))
    data = [images(3, 2, 1), images(6)]
    explainer = IntegratedGradients(
        model, 8, ["mean", 2.0], channel_reduction=None
    )
    of_image, of_vector = explainer.explain(data, NUMBER)
    kernel = model.layers[-1].get_weights()[0][:, 0]
    flat, mean = data[0].reshape(3, 6), data[0].mean((1, 2, 3))[:, None]
    # The integral of a product of two straight ways.
    expected = kernel * (flat - mean) * (data[1] + 2.0) / 2
    assert_close(of_image.reshape(3, 6), expected, 1e-5)
    assert_close(of_vector, kernel * (data[1] - 2.0) * (flat + mean) / 2, 1e-5)
    gaps = explainer.completeness_gap(data, NUMBER)
    np.testing.assert_allclose(gaps, np.zeros(3), atol=1e-5)


@pytest.mark.slow
def test_the_class_is_that_of_the_image_all_the_way():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activation="tanh"), layers.Dense(5)]
    )
    model.layers[-1].bias.assign([0.0, 0.0, 0.0, 0.0, 0.7])
    x = images(4, count=12)
    top = model.predict(x, verbose=0).argmax(-1)
    assert (top != 4).any()  # the class of the baseline
    explainer = IntegratedGradients(model, 8)
    assert_close(explainer.explain(x), explainer.explain(x, top))
    np.testing.assert_allclose(
        explainer.completeness_gap(x),
        explainer.completeness_gap(x, top),
        atol=1e-6,
    )


def test_a_copy_tells_the_gap_of_its_own_model():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    explainer = IntegratedGradients(model, 2)
    explainer.completeness_gap(x, 1)
    other = copy.deepcopy(explainer)
    other.model.set_weights([3 * w for w in model.get_weights()])
    expected = IntegratedGradients(other.model, 2).completeness_gap(x, 1)
    gap = other.completeness_gap(x, 1)
    np.testing.assert_array_equal(gap, expected)
    assert not np.allclose(gap, explainer.completeness_gap(x, 1))


@pytest.mark.slow
def test_gaps_come_in_the_order_of_any_data(strategy):
    x = images(9, 7, 3, count=5)
    classes = np.array([0, 1, 2, 3, 0])
    explainer = IntegratedGradients(random_network(head="mlp"), 3)
    expected = explainer.completeness_gap(x, classes)
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(2)
    with strategy.scope():
        copy = random_network(head="mlp")
    for gaps in (
        explainer.completeness_gap(x, classes, batch_size=2, verbose=0),
        explainer.completeness_gap(dataset, classes, verbose=0),
        IntegratedGradients(copy, 3).completeness_gap(
            x, classes, batch_size=4, verbose=0
        ),
    ):
        np.testing.assert_allclose(gaps, expected, atol=1e-5)


def test_an_image_that_is_its_baseline_gets_nothing():
    model, x = smooth_network(), np.full((2, 9, 7, 3), 0.25, "float32")
    for baseline in (0.25, "mean", "blur"):
        maps = IntegratedGradients(model, 3, baseline).explain(x, 2)
        np.testing.assert_allclose(maps, np.zeros((2, 9, 7)), atol=1e-6)


@pytest.mark.parametrize("baseline", ["zero", "mean", "blur"])
def test_constant_and_large_images_have_finite_maps(baseline):
    explainer = IntegratedGradients(
        random_network(head="mlp"), 3, baseline=baseline
    )
    for value in (0.0, 1.0, 1e18, -1e18):
        x = np.full((2, 9, 7, 3), value, "float32")
        assert np.isfinite(explainer.explain(x, 2)).all()


def test_the_model_is_traced_no_more_often_for_more_steps():
    traces = []
    for num_steps in (1, 3, 200):
        counter = CountsTraces()
        model = keras.Sequential([keras.Input((4,)), counter, layers.Dense(2)])
        counter.count = 0
        IntegratedGradients(model, num_steps).explain(images(4), 0)
        traces.append(counter.count)
    assert len(set(traces)) == 1
    assert traces[0] <= 3


BAD = [
    ({"num_steps": 0}, ValueError, "Received: num_steps=0"),
    ({"num_steps": 2.5}, ValueError, "Received: num_steps=2.5"),
    ({"baseline": "black"}, ValueError, "Received: baseline='black'"),
    ({"baseline": None}, ValueError, "Received: baseline=None"),
    ({"baseline": True}, ValueError, "Received: baseline=True"),
    ({"baseline": math.nan}, ValueError, "Received: baseline=nan"),
    (
        {"baseline": np.full(3, np.nan)},
        ValueError,
        r"Received: baseline=array\(\[nan",
    ),
    ({"channel_reduction": "std"}, ValueError, "channel_reduction='std'"),
    ({"target_layer": 3}, TypeError, "Received: target_layer=3"),
]


@pytest.mark.parametrize("options, error, message", BAD, ids=lambda x: str(x))
def test_bad_arguments_are_refused_at_once(options, error, message):
    with pytest.raises(error, match=message):
        IntegratedGradients(random_network(), **options)


BAD_BASELINES = [
    (np.zeros((7, 9, 3)), r"Received: baseline.shape=\(7, 9, 3\)"),
    (np.zeros((3, 9, 7, 3)), r"Received: baseline.shape=\(3, 9, 7, 3\)"),
    (np.zeros((1, 1, 9, 7, 3)), r"baseline.shape=\(1, 1, 9, 7, 3\)"),
    (["zero", "mean"], "have their structure"),
]


@pytest.mark.parametrize("baseline, message", BAD_BASELINES)
def test_a_baseline_that_does_not_fit_is_refused(baseline, message):
    explainer = IntegratedGradients(random_network(), 2, baseline)
    with pytest.raises(ValueError, match=message):
        explainer.explain(images(9, 7, 3), 0)


@pytest.mark.parametrize("baseline", ["mean", "blur"])
def test_inputs_without_positions_have_no_mean_colour(baseline):
    explainer = IntegratedGradients(product(), 2, baseline)
    with pytest.raises(ValueError, match=f"Received: baseline='{baseline}'"):
        explainer.explain(images(2), 0)
