"""Insertion and Deletion: areas under the score as pixels come and go."""

import functools

import keras
import numpy as np
import pytest

import keras_xmap
from keras_xmap import metrics
from keras_xmap import targets

pytestmark = pytest.mark.tensorflow

NUMBER = targets.Component()


def linear(weights, shape):
    """Returns a model that sums `weights` times the input."""
    weights = np.asarray(weights, "float32").reshape(-1, 1)
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(1, use_bias=False),
    ]
    model = keras.Sequential([keras.Input(shape), *layers])
    model.set_weights([weights])
    return model


@functools.cache
def classifier():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6, 5, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@functools.cache
def made(kind, baseline="mean"):
    return getattr(metrics, kind)(classifier(), 6, baseline, batch_size=3)


def batch(seed=0, count=4):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, 6, 5, 3)).astype("float32")
    return images, rng.random((count, 6, 5)).astype("float32")


def reference_curve(model, image, heatmap, hidden, num_steps, target, shows):
    """Returns shares and scores of one image, pixel by pixel."""
    order = sorted(range(heatmap.size), key=lambda i: (-heatmap.flat[i], i))
    steps = min(num_steps, heatmap.size)
    shares, copies = [], []
    for step in range(steps + 1):
        count = step * heatmap.size // steps
        copy = hidden.copy() if shows else image.copy()
        source = image if shows else hidden
        for pixel in order[:count]:
            at = np.unravel_index(pixel, heatmap.shape)
            copy[at] = source[at]
        shares.append(count / heatmap.size)
        copies.append(copy)
    scores = model.predict(np.stack(copies), verbose=0)[:, target]
    return shares, scores


def test_the_golden_curve_and_its_area():
    model = linear([0.5, 0.25, 0.25], (1, 3, 1))
    metric = metrics.Deletion(model, baseline="zero")
    image, heatmap = np.ones((1, 1, 3, 1)), np.array([[[3, 2, 1]]])
    curves = metric.curves(image, heatmap, NUMBER)
    np.testing.assert_allclose(curves.scores, [[1, 0.5, 0.25, 0]])
    np.testing.assert_allclose(curves.shares, [0, 1 / 3, 2 / 3, 1])
    (score,) = metric.image_scores(image, heatmap, NUMBER)
    assert score == pytest.approx(0.4166667)


@pytest.mark.parametrize("kind", ["Deletion", "Insertion"])
@pytest.mark.parametrize("baseline", ["mean", "blur"])
def test_curves_are_those_of_the_reference(kind, baseline):
    images, maps = batch()
    classes = np.array([2, 0, 1, 1])
    curves = made(kind, baseline).curves(images, maps, classes)
    filled = {
        "mean": np.broadcast_to(
            images.mean((1, 2), keepdims=True), (4, 6, 5, 3)
        ),
        "blur": keras.ops.convert_to_numpy(
            keras_xmap.ops.gaussian_blur(images, [0.6, 0.5])
        ),
    }[baseline]
    for n in range(4):
        shares, scores = reference_curve(
            classifier(),
            images[n],
            maps[n],
            filled[n],
            6,
            classes[n],
            kind == "Insertion",
        )
        np.testing.assert_allclose(curves.shares, shares, rtol=1e-6)
        np.testing.assert_allclose(curves.scores[n], scores, rtol=1e-4)
    areas = made(kind, baseline).image_scores(images, maps, classes)
    heights = (curves.scores[:, 1:] + curves.scores[:, :-1]) / 2
    expected = (heights * np.diff(curves.shares)).sum(1)
    np.testing.assert_allclose(areas, expected, rtol=1e-5)


def test_of_a_linear_model_a_map_and_its_negative_sum_to_both_ends():
    rng = np.random.default_rng(0)
    model = linear(rng.normal(size=6), (2, 3, 1))
    metric = metrics.Deletion(model, num_steps=3, baseline=0.5)
    x = rng.normal(size=(5, 2, 3, 1)).astype("float32")
    maps = rng.random((5, 2, 3))
    both = metric.image_scores(x, maps, NUMBER)
    both = both + metric.image_scores(x, -maps, NUMBER)
    ends = model(x) + model(np.full((1, 2, 3, 1), 0.5, "float32"))
    np.testing.assert_allclose(both, ends[:, 0], atol=1e-5)


def test_insertion_is_deletion_from_the_other_end():
    images, maps = batch()
    classes = np.array([2, 0, 1, 1])
    shown = made("Insertion").curves(images, maps, classes).scores
    hidden = made("Deletion").curves(images, -maps, classes).scores
    # Of 30 pixels, which 6 steps divide.
    np.testing.assert_allclose(shown, hidden[:, ::-1], rtol=1e-5)


def test_the_target_is_what_the_model_answers_to_the_whole_image():
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, use_bias=False)]
    )
    model.set_weights([np.eye(2)])
    metric = metrics.Deletion(model, baseline="zero")
    # Without the first value the answer would be the other class.
    curves = metric.curves(np.array([[2, 1]]), np.array([[2, 1]]))
    np.testing.assert_array_equal(curves.scores, [[2, 0, 0]])


def test_equal_values_go_in_reading_order():
    model = linear([8, 4, 2, 1], (2, 2, 1))
    metric = metrics.Deletion(model, baseline="zero")
    maps = np.array([np.zeros((2, 2)), [[0.0, 1.0], [-0.0, 1.0]]])
    curves = metric.curves(np.ones((2, 2, 2, 1)), maps, NUMBER)
    np.testing.assert_array_equal(
        curves.scores, [[15, 7, 3, 1, 0], [15, 11, 10, 2, 0]]
    )


def test_more_steps_than_pixels_take_one_pixel_each():
    model = linear([1, 1], (1, 2, 1))
    metric = metrics.Insertion(model, num_steps=224, baseline="zero")
    curves = metric.curves(np.ones((1, 1, 2, 1)), np.ones((1, 1, 2)), NUMBER)
    np.testing.assert_array_equal(curves.shares, [0, 0.5, 1])
    assert repr(curves) == (
        "Curves(shares=<float32 (3,)>, scores=<float32 (1, 3)>)"
    )


def test_steps_that_do_not_divide_the_pixels_lie_where_they_are():
    # A map in the order of equal weights: the area is that of a straight line.
    model = linear(np.ones(7), (1, 7, 1))
    metric = metrics.Insertion(model, num_steps=4, baseline="zero")
    image, heatmap = np.ones((1, 1, 7, 1)), np.arange(7.0)[None, None]
    curves = metric.curves(image, heatmap, NUMBER)
    np.testing.assert_allclose(curves.shares * 7, [0, 1, 3, 5, 7])
    assert metric.image_scores(image, heatmap, NUMBER) == pytest.approx(3.5)


@pytest.mark.parametrize(
    "shape, kind", [((4, 2), "Conv1D"), ((3, 4, 2, 2), "Conv3D")]
)
def test_series_and_volumes_have_positions_too(shape, kind):
    convolution = getattr(keras.layers, kind)(
        1, 1, use_bias=False, kernel_initializer="ones"
    )
    inputs = keras.Input(shape)
    flat = keras.layers.Flatten()(convolution(inputs))
    model = keras.Model(inputs, keras.ops.sum(flat, axis=-1))
    x = np.random.default_rng(0).random((2, *shape)).astype("float32")
    maps = x.sum(-1)
    metric = metrics.Deletion(model, baseline="zero")
    scores = metric.curves(x, maps, NUMBER).scores
    ordered = -np.sort(-maps.reshape(2, -1), axis=1)
    left = maps.sum(axis=tuple(range(1, maps.ndim)))[:, None]
    left = left - np.cumsum(ordered, axis=1)
    np.testing.assert_allclose(scores[:, 1:], left, atol=1e-5)


def test_channels_first_and_rows_of_numbers():
    first = keras.Sequential(
        [
            keras.Input((2, 3, 4)),
            keras.layers.Permute((2, 3, 1)),
            keras.layers.Conv2D(1, 1, use_bias=False),
            keras.layers.Flatten(),
            keras.layers.Dense(1, use_bias=False),
        ]
    )
    x = np.random.default_rng(0).random((2, 2, 3, 4)).astype("float32")
    metric = metrics.Deletion(first, num_steps=2, baseline="mean")
    kept = first.predict(x, verbose=0)[:, 0]
    grey = np.broadcast_to(x.mean((2, 3), keepdims=True), x.shape)
    gone = first.predict(grey, verbose=0)[:, 0]
    scores = metric.curves(x, x.sum(1), NUMBER).scores
    np.testing.assert_allclose(scores[:, 0], kept, rtol=1e-4)
    np.testing.assert_allclose(scores[:, -1], gone, rtol=1e-4)

    rows = metrics.Deletion(linear([4, 2, 1], (3,)), baseline="zero")
    curves = rows.curves(np.ones((1, 3)), np.array([[1, 3, 2]]), NUMBER)
    np.testing.assert_array_equal(curves.scores, [[7, 5, 4, 0]])


@pytest.mark.parametrize(
    "arguments, received",
    [
        ({"num_steps": 0}, "num_steps=0"),
        ({"baseline": "grey"}, "baseline='grey'"),
        ({"score": "probability"}, "score='probability'"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
    ],
)
def test_what_is_out_of_range_is_told(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        metrics.Insertion(classifier(), **arguments)
