import keras
import numpy as np
import pytest

import keras_xmap
from keras_xmap.ops import gaussian_blur

RNG = np.random.default_rng(0)
SHAPES = {1: (2, 11, 3), 2: (2, 9, 14, 3), 3: (2, 5, 6, 7, 2)}


def blurred(x, stddev, axes):
    """A weighted mean over the positions of an axis, one by one, float64."""
    x = x.astype("float64")
    for axis, width in zip(axes, stddev, strict=True):
        rows = np.moveaxis(x, axis, 0)
        place = np.arange(len(rows))
        means = []
        for middle in place:
            weights = np.exp(-((place - middle) ** 2) / (2 * width**2))
            weights = weights / weights.sum()
            means.append(np.tensordot(weights, rows, 1))
        x = np.moveaxis(np.stack(means), 0, axis)
    return x


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", SHAPES)
@pytest.mark.parametrize("stddev", [0.3, 1.5, 10.0, 500.0])
def test_it_is_the_weighted_mean_of_the_positions(rank, stddev, data_format):
    x = RNG.normal(size=SHAPES[rank]).astype("float32")
    axes = tuple(range(1, rank + 1))
    expected = blurred(x, [stddev] * rank, axes)
    if data_format == "channels_first":
        x, expected = np.moveaxis(x, -1, 1), np.moveaxis(expected, -1, 1)
    y = np.asarray(gaussian_blur(x, stddev, data_format))
    np.testing.assert_allclose(y, expected, atol=2e-6)


def test_each_axis_can_have_a_width_of_its_own_and_0_leaves_it():
    x = RNG.normal(size=(1, 8, 9, 2)).astype("float32")
    y = np.asarray(gaussian_blur(x, (0, 2.0)))
    np.testing.assert_allclose(y, blurred(x, [2.0], [2]), atol=1e-6)
    assert (np.asarray(gaussian_blur(x, 0)) == x).all()
    tensors = [keras.ops.convert_to_tensor(w) for w in (0.0, 2.0)]
    same = np.asarray(gaussian_blur(x, tensors))
    np.testing.assert_allclose(same, y, atol=1e-6)


@pytest.mark.parametrize("stddev", [0.5, 3.0, 100.0])
def test_a_constant_stays_constant_up_to_the_border(stddev):
    x = np.full((1, 16, 20, 2), 117.3, "float32")
    y = np.asarray(gaussian_blur(x, stddev))
    np.testing.assert_allclose(y, x, rtol=2e-6)


def test_an_impulse_far_from_the_border_keeps_its_sum_place_and_spread():
    x = np.zeros((1, 101, 101, 1), "float32")
    x[0, 50, 50] = 1.0
    y = np.asarray(gaussian_blur(x, 5.0))[0, ..., 0].astype("float64")
    place = np.arange(101) - 50.0
    assert y.sum() == pytest.approx(1, abs=1e-5)
    assert (y.sum(0) * place).sum() == pytest.approx(0, abs=1e-4)
    assert (y.sum(0) * place**2).sum() == pytest.approx(25, rel=1e-4)
    np.testing.assert_allclose(y, y.T, atol=1e-8)


def test_a_width_far_above_the_size_gives_the_mean_and_two_blurs_are_one():
    x = RNG.normal(size=(2, 12, 15, 3)).astype("float32")
    y = np.asarray(gaussian_blur(x, 1e4))
    mean = np.broadcast_to(x.mean(axis=(1, 2), keepdims=True), x.shape)
    np.testing.assert_allclose(y, mean, atol=1e-5)
    inner = np.zeros((1, 121, 1), "float32")
    inner[0, 55:66, 0] = RNG.normal(size=11)
    twice = gaussian_blur(gaussian_blur(inner, 3.0), 4.0)
    np.testing.assert_allclose(twice, gaussian_blur(inner, 5.0), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_half_precision_is_rounded_at_the_end_only(dtype):
    x = RNG.uniform(size=(1, 64, 64, 1)).astype("float32")
    x = keras.ops.cast(x, dtype)
    y = gaussian_blur(x, 8.0)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    full = keras.ops.cast(x, "float32")
    expected = keras.ops.cast(gaussian_blur(full, 8.0), dtype)
    assert bool(keras.ops.all(y == expected))


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int32"])
def test_whole_numbers_become_floats(dtype):
    x = (RNG.uniform(size=(1, 8, 8, 1)) * 2).astype(dtype)
    y = gaussian_blur(x, 1.0)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_allclose(
        y, gaussian_blur(x.astype("float32"), 1.0), atol=1e-7
    )


def test_sizes_may_be_unknown_in_a_layer():
    class Blur(keras.layers.Layer):
        def call(self, x):
            height = keras.ops.cast(keras.ops.shape(x)[1], "float32")
            return gaussian_blur(x, [0.1 * height, 2.0])

        def compute_output_shape(self, input_shape):
            return input_shape

    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, Blur()(inputs))
    for height in (20, 35):
        x = RNG.normal(size=(2, height, 9, 2)).astype("float32")
        expected = blurred(x, [0.1 * height, 2.0], [1, 2])
        np.testing.assert_allclose(
            model.predict(x, verbose=0), expected, atol=1e-6
        )


@pytest.mark.parametrize(
    "shape, kwargs, received",
    [
        ((2, 3), {"stddev": 1}, r"Received: x.shape=\(2, 3\)"),
        ((1,) * 6, {"stddev": 1}, r"Received: x.shape=\(1, 1, 1, 1, 1, 1\)"),
        ((1, 4, 1), {"stddev": -1}, "Received: stddev=-1"),
        ((1, 4, 1), {"stddev": "wide"}, "Received: stddev='wide'"),
        ((1, 4, 1), {"stddev": (1, 2)}, r"stddev=\(1, 2\) for 1 axes"),
        (
            (1, 4, 1),
            {"stddev": 1, "data_format": "last"},
            "Received: data_format='last'",
        ),
    ],
)
def test_what_does_not_fit_is_named(shape, kwargs, received):
    with pytest.raises(ValueError, match=received):
        keras_xmap.ops.gaussian_blur(np.ones(shape), **kwargs)
