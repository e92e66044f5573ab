"""Infidelity: what a map foretells of changes of the image."""

import functools

import keras
import numpy as np
import pytest

from keras_xmap import explainers
from keras_xmap import metrics
from keras_xmap import targets

pytestmark = pytest.mark.tensorflow

NUMBER = targets.Component()


@functools.cache
def linear():
    model = keras.Sequential(
        [
            keras.Input((6, 5, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(1, use_bias=False),
        ]
    )
    weights = np.random.default_rng(0).normal(size=(6, 5, 3)).astype("float32")
    model.set_weights([weights.reshape(-1, 1)])
    return model, weights


@functools.cache
def made(**arguments):
    return metrics.Infidelity(linear()[0], 20, **arguments)


def images():
    rng = np.random.default_rng(1)
    return rng.normal(size=(4, 6, 5, 3)).astype("float32")


@pytest.mark.parametrize(
    "arguments",
    [
        {"maps_of": "slopes", "perturbation": "noise"},
        {"maps_of": "slopes", "baseline": "blur"},
    ],
)
def test_the_gradient_of_a_linear_model_foretells_all(arguments):
    x = images()
    saliency = explainers.Saliency(linear()[0], channel_reduction=None)
    slopes = saliency.explain(x, NUMBER)
    assert slopes.shape == x.shape
    found = made(**arguments).image_scores(x, slopes, NUMBER)
    np.testing.assert_allclose(found, 0, atol=1e-9)
    wrong = made(**arguments).image_scores(x, -slopes, NUMBER)
    flat = made(**arguments).image_scores(x, 0 * slopes, NUMBER)
    np.testing.assert_allclose(wrong, 4 * flat, rtol=1e-4)


def test_contributions_foretell_windows_with_and_without_channels():
    x = images()
    product = explainers.GradientInput(linear()[0]).explain(x, NUMBER)
    parts = linear()[1] * x
    for maps in (product, parts):
        found = made().image_scores(x, maps, NUMBER)
        np.testing.assert_allclose(found, 0, atol=1e-9)


def test_it_is_the_mean_square_over_windows_of_all_sizes():
    x = np.ones((1, 6, 5, 3), "float32")
    model, weights = linear()
    metric = metrics.Infidelity(model, 200)
    zeros, ones = np.zeros((1, 6, 5)), np.ones((1, 6, 5))
    answers, _ = metric._answered(x, ones, NUMBER)
    areas = answers[0, :200]
    # Each axis has a width of its own number of sizes: 1 to 6, 1 to 5.
    assert areas.min() == 1 and areas.max() == 30
    assert len(set(areas)) >= 6
    (flat,) = metric.image_scores(x, zeros, NUMBER)
    assert flat == pytest.approx(np.mean(answers[0, 200:] ** 2), rel=1e-5)
    # A window is one block: its fall is a sum of weights over a block.
    table = weights.sum(-1)
    sums = {
        round(float(table[i:k, j:m].sum()), 3)
        for i in range(6)
        for k in range(i + 1, 7)
        for j in range(5)
        for m in range(j + 1, 6)
    }
    assert {round(float(f), 3) for f in answers[0, 200:]} <= sums


def test_rescaled_maps_are_judged_by_their_shape():
    x = images()
    metric = made(rescale=True)
    maps = (linear()[1] * x).sum(-1)
    np.testing.assert_allclose(
        metric.image_scores(x, 1e3 * maps, NUMBER), 0, atol=1e-6
    )
    flat = metric.image_scores(x, 0 * maps, NUMBER)
    rng = np.random.default_rng(0)
    assert (
        metric.image_scores(x, rng.random(maps.shape), NUMBER) <= flat
    ).all()
    np.testing.assert_array_equal(
        flat, made().image_scores(x, 0 * maps, NUMBER)
    )


def test_what_does_not_fit_is_told():
    model, _ = linear()
    with pytest.raises(ValueError, match="Received: perturbation='noise'"):
        metrics.Infidelity(model, perturbation="noise")
    with pytest.raises(ValueError, match="Received: maps_of='gradients'"):
        metrics.Infidelity(model, maps_of="gradients")
    slopes = metrics.Infidelity(model, maps_of="slopes")
    with pytest.raises(
        ValueError, match=r"Received: maps.shape=\(None, 6, 5\)"
    ):
        slopes.image_scores(images(), images().sum(-1), NUMBER)
    with pytest.raises(ValueError, match="Received: .* 2 3"):
        made().image_scores(images(), images()[..., :2], NUMBER)
