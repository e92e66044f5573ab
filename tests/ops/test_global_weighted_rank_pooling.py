import numpy as np
import pytest
from backend_gradients import gradient
from reference import weak_segmentation as reference

from keras_xmap.ops import global_weighted_rank_pooling

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 7, 3)).astype("float32")


def pooled(x, *args):
    return np.asarray(global_weighted_rank_pooling(x, *args))


@pytest.mark.parametrize(
    "decay, value", [(0, 0.4), (0.5, 0.32666667), (0.996, 0.250501), (1, 0.25)]
)
def test_four_values_by_hand(decay, value):
    x = np.reshape([0.1, 0.4, 0.2, 0.3], (1, 2, 2, 1)).astype("float32")
    np.testing.assert_allclose(pooled(x, decay), [[value]], rtol=1e-6)


@pytest.mark.parametrize("reference_size", [None, 35, 1681])
@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.996, 1.0])
def test_it_is_the_weighted_mean_of_the_sorted_values(decay, reference_size):
    y = pooled(X, decay, reference_size)
    power = 1 if reference_size is None else reference_size / 35
    for image in range(2):
        for channel in range(3):
            expected = reference.rank_pooling(
                X[image, ..., channel], decay**power
            )
            assert y[image, channel] == pytest.approx(expected, 1e-5, 1e-6)


def test_the_weight_reaches_the_same_share_of_any_map():
    """Half of the weight lies in the top tenth at 41 x 41, as published."""
    for size in (41, 123, 321):
        x = np.zeros((1, size, size, 1), "float32")
        x.reshape(-1)[: round(0.1 * size * size)] = 1
        y = pooled(x, 0.996, 41 * 41)
        np.testing.assert_allclose(y, [[0.491]], atol=2e-3)


def test_a_decay_near_1_keeps_its_digits_on_a_large_map():
    x = RNG.uniform(size=(1, 321, 321, 1)).astype("float32")
    decay = 0.999 ** (1681 / 321**2)
    weights = decay ** np.arange(321**2)
    expected = (np.sort(x.ravel())[::-1] * weights).sum() / weights.sum()
    np.testing.assert_allclose(pooled(x, 0.999, 1681), [[expected]], rtol=1e-5)


def test_limits_and_order():
    values = [pooled(X, decay) for decay in (0, 0.2, 0.8, 0.99, 1)]
    np.testing.assert_allclose(values[0], X.max((1, 2)))
    np.testing.assert_allclose(values[-1], X.mean((1, 2)), atol=1e-6)
    assert (np.diff(values, axis=0) < 0).all()
    flat = np.full((1, 3, 4, 2), 7.0, "float32")
    np.testing.assert_allclose(pooled(flat, 0.7), [[7, 7]], rtol=1e-6)
    mixed = RNG.permuted(X.reshape(2, 35, 3), axis=1).reshape(X.shape)
    np.testing.assert_allclose(pooled(mixed, 0.8), values[2], rtol=1e-5)


def test_the_gradient_is_the_weight_of_the_rank():
    x = np.reshape([0.1, 0.4, 0.2, 0.3], (1, 2, 2, 1)).astype("float32")
    found = gradient(
        lambda x: global_weighted_rank_pooling(x, 0.5),
        x,
        np.ones((1, 1), "float32"),
    )
    expected = np.array([1, 8, 2, 4]) / 15
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6)


def test_half_precision_is_summed_in_float32():
    x = np.full((1, 64, 64, 1), 0.1, "float16")
    y = global_weighted_rank_pooling(x, 0.999)
    assert "float16" in str(y.dtype)
    np.testing.assert_allclose(np.asarray(y), [[x[0, 0, 0, 0]]], rtol=1e-3)


def test_integers_are_pooled_as_floats():
    x = np.arange(4, dtype="uint8").reshape(1, 2, 2, 1)
    np.testing.assert_allclose(pooled(x, 1.0), [[1.5]])


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan"), "mean", True])
def test_a_decay_out_of_range_is_named(decay):
    with pytest.raises(ValueError, match=f"Received: decay={decay!r}. 0 is"):
        global_weighted_rank_pooling(X, decay)


def test_other_shapes_are_named():
    with pytest.raises(ValueError, match=r"Received: maps.shape=\(5, 7, 3\)"):
        global_weighted_rank_pooling(X[0], 0.5)
    with pytest.raises(ValueError, match="Received: reference_size=0"):
        global_weighted_rank_pooling(X, 0.5, 0)
