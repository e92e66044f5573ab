"""AverageDrop and IncreaseInConfidence: the image seen through its map."""

import keras
import numpy as np
import pytest

import keras_xmap
from keras_xmap import metrics
from keras_xmap import targets

pytestmark = pytest.mark.tensorflow

NUMBER = targets.Component()


def total():
    """Returns a model that sums its two pixels."""
    model = keras.Sequential(
        [keras.Input((1, 2, 1)), keras.layers.GlobalAveragePooling2D()]
    )
    return keras.Sequential([model, keras.layers.Rescaling(2.0)])


def pair(before, after):
    """Returns an image whose sum is `before`, and its first pixel `after`."""
    return np.stack([after, np.subtract(before, after)], -1)[:, None, :, None]


def test_the_golden_numbers():
    images = pair([0.8, 0.5, 0.9], [0.4, 0.6, 0.9])
    maps = np.array([[[1.0, 0.0]]] * 3)
    model = total()
    drop = metrics.AverageDrop(model)
    drop.update_state(images, maps, NUMBER)
    assert float(drop.result()) == pytest.approx(100 / 6, rel=1e-5)
    np.testing.assert_allclose(
        drop.image_scores(images, maps, NUMBER), [50, 0, 0], atol=1e-4
    )
    rise = metrics.IncreaseInConfidence(model)
    rise.update_state(images, maps, NUMBER)
    assert float(rise.result()) == pytest.approx(100 / 3, rel=1e-5)


def test_a_map_of_ones_changes_nothing():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    images = np.random.default_rng(0).random((5, 4, 4, 3)) * 255
    ones = np.ones((5, 4, 4))
    for kind in (metrics.AverageDrop, metrics.IncreaseInConfidence):
        metric = kind(model, baseline="blur")
        np.testing.assert_array_equal(metric.image_scores(images, ones), 0)


def test_the_image_fades_to_the_baseline():
    metric = metrics.AverageDrop(total(), baseline=4.0)
    (score,) = metric.image_scores(
        np.full((1, 1, 2, 1), 8.0), np.array([[[0.5, 0.0]]]), NUMBER
    )
    assert score == pytest.approx(100 * (16 - 6 - 4) / 16)


def test_an_image_of_score_zero_has_nothing_to_lose():
    metric = metrics.AverageDrop(total())
    maps = np.array([[[0.5, 0.5]]])
    assert metric.image_scores(np.zeros((1, 1, 2, 1)), maps, NUMBER) == 0


def test_a_negative_score_is_refused_and_the_remedy_has_probabilities():
    model = keras.Sequential(
        [keras.Input((1, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.set_weights([np.eye(2), np.zeros(2)])
    images, maps = np.array([[[[-3.0], [-1.0]]]]), np.array([[[1.0, 0.5]]])
    with pytest.raises(ValueError, match="Received: the score .* of -1.0"):
        metrics.AverageDrop(model).image_scores(images, maps)
    likely = keras.Sequential([model, keras.layers.Softmax()])
    (score,) = metrics.AverageDrop(likely).image_scores(images, maps)
    before, after = (1 / (1 + np.exp(-gap)) for gap in (2.0, 2.5))
    assert score == pytest.approx(100 * max(0, before - after) / before)


@pytest.mark.parametrize("kind", ["AverageDrop", "IncreaseInConfidence"])
def test_maps_of_another_range_are_refused_and_the_remedy_brings_them(kind):
    metric = getattr(metrics, kind)(total())
    images, maps = np.ones((1, 1, 2, 1)), np.array([[[-2.0, 6.0]]])
    with pytest.raises(ValueError, match="Received: maps from, to -2.0 6.0"):
        metric.update_state(images, maps, NUMBER)
    metric.update_state(images, keras_xmap.ops.normalize(maps), NUMBER)
    assert float(metric.result()) == (50 if kind == "AverageDrop" else 0)
