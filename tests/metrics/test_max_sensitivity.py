"""MaxSensitivity: how far maps move when the image hardly does."""

import copy
import functools

import keras
import numpy as np
import pytest

from keras_xmap import engine
from keras_xmap import explainers
from keras_xmap import metrics
from keras_xmap import targets

pytestmark = pytest.mark.tensorflow

NUMBER = targets.Component()


class Constant(explainers.PerturbationExplainer):
    """Says the same of every image."""

    value = 2.0

    def maps_of_input(self, x, clean, scores, layout):
        shape = (keras.ops.shape(x)[0], 1, *layout.size)
        return self.value * keras.ops.ones(shape)


class FirstPixel(Constant):
    """Is flat at the image itself, whose first value is 0."""

    def maps_of_input(self, x, clean, scores, layout):
        first = keras.ops.sign(x[:, :1, :1, 0])
        return first[:, None] + 0.0 * super().maps_of_input(
            x, clean, scores, layout
        )


@functools.cache
def linear():
    model = keras.Sequential(
        [
            keras.Input((4, 3, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(1, use_bias=False),
        ]
    )
    weights = np.random.default_rng(0).normal(size=(4, 3, 2)).astype("float32")
    model.set_weights([weights.reshape(-1, 1)])
    return model, weights


@functools.cache
def made():
    explainer = explainers.GradientInput(linear()[0])
    return metrics.MaxSensitivity(explainer, 0.1, 5, seed=7, batch_size=2)


def images(count=3):
    rng = np.random.default_rng(1)
    return rng.normal(size=(count, 4, 3, 2)).astype("float32")


def test_it_is_the_furthest_map_over_the_length_of_the_own():
    x, weights = images(), linear()[1]
    fields = [
        keras.ops.convert_to_numpy(
            engine.uniform_noise(
                (1, 4, 3, 2), 7, keras.ops.convert_to_tensor(n)
            )
        )
        for n in range(5)
    ]
    found = made().image_scores(x, NUMBER)
    for image, score in zip(x, found, strict=True):
        own = (weights * image).sum(-1)
        moved = [
            (weights * 0.1 * np.ptp(image) * (2 * field[0] - 1)).sum(-1)
            for field in fields
        ]
        furthest = max(np.linalg.norm(difference) for difference in moved)
        assert score == pytest.approx(furthest / np.linalg.norm(own), rel=1e-4)
    metric = made()
    metric.reset_state()
    metric.update_state(x, NUMBER, [1, 0, 3])
    expected = (found[0] + 3 * found[2]) / 4
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_what_never_changes_is_not_sensitive():
    for explainer in (
        Constant(linear()[0]),
        explainers.Saliency(linear()[0]),
    ):
        metric = metrics.MaxSensitivity(explainer, num_samples=2)
        np.testing.assert_array_equal(metric.image_scores(images(), NUMBER), 0)


def test_without_noise_nothing_moves():
    explainer = explainers.GradientInput(linear()[0])
    metric = metrics.MaxSensitivity(explainer, radius=0, num_samples=2)
    np.testing.assert_array_equal(metric.image_scores(images(), NUMBER), 0)


def test_a_map_of_zeros_that_moves_has_no_length():
    x = images(2)
    x[:, 0, 0, 0] = 0.0
    flat = Constant(linear()[0])
    flat.value = 0.0
    for explainer, expected in ((flat, 0.0), (FirstPixel(linear()[0]), np.inf)):
        metric = metrics.MaxSensitivity(explainer, num_samples=3)
        assert (metric.image_scores(x, NUMBER) == expected).all()


def test_copies_are_explained_for_the_class_of_the_image():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, use_bias=False)]
    )
    # Noise turns the answer, and the gradient is that of the class: constant.
    model.set_weights([np.array([[1.0, 0], [0, 1.0], [0, 0]])])
    x = np.array([[1.0, 1.001, 5.0]])
    saliency = explainers.Saliency(model)
    metric = metrics.MaxSensitivity(saliency, radius=0.5, num_samples=9)
    assert metric.image_scores(x) == 0


def test_it_prints_copies_and_has_no_config():
    metric = made()
    assert repr(metric) == (
        f"MaxSensitivity({metric.explainer!r}, radius=0.1, num_samples=5, "
        "seed=7, batch_size=2)"
    )
    again = copy.deepcopy(metric)
    assert repr(again.explainer) == repr(metric.explainer)
    assert float(again.result()) == float(metric.result())
    with pytest.raises(NotImplementedError, match="Received: get_config"):
        metric.get_config()


def test_what_is_no_explainer_and_several_classes_are_told():
    with pytest.raises(TypeError, match="Received: explainer=<Sequential"):
        metrics.MaxSensitivity(linear()[0])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    metric = metrics.MaxSensitivity(explainers.Saliency(model))
    with pytest.raises(ValueError, match="Received: a target of shape"):
        metric.image_scores(np.ones((2, 3)), np.array([[0, 1]] * 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GradCAM", "ScoreCAM", "SmoothGrad", "RISE"])
def test_every_kind_of_explainer_is_taken(name):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    few = {"SmoothGrad": {"num_samples": 3}, "RISE": {"num_masks": 20}}
    explainer = getattr(explainers, name)(model, **few.get(name, {}))
    x = np.random.default_rng(0).random((2, 8, 8, 3)).astype("float32")
    scores = metrics.MaxSensitivity(explainer, num_samples=2).image_scores(x)
    assert (scores > 0).all() and (scores < 1).all()
