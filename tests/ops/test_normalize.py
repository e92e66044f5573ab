import keras
import numpy as np
import pytest

from keras_xmap.ops import normalize


def test_min_max_by_hand():
    y = np.asarray(normalize(np.array([[0.0, 1.0, 2.0, 4.0]])))
    assert y.tolist() == [[0, 0.25, 0.5, 1]]


def test_max_by_hand_keeps_zero_and_signs():
    y = np.asarray(normalize(np.array([[-2.0, 0.0, 2.0, 4.0]]), "max"))
    assert y.tolist() == [[-0.5, 0, 0.5, 1]]


@pytest.mark.parametrize("axis", [None, (1, 2), -1, (0, 1, 2)])
@pytest.mark.parametrize("method", ["min_max", "max"])
def test_the_formula_holds_in_float64(method, axis):
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    over = (1, 2) if axis is None else axis
    lower = x.min(over, keepdims=True) if method == "min_max" else 0.0
    expected = (x - lower) / (x.max(over, keepdims=True) - lower)
    y = np.asarray(normalize(x.astype("float32"), method, axis))
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-6)


def test_each_image_is_normalized_on_its_own():
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    x *= np.reshape([1.0, 100.0, 0.01], (3, 1, 1)).astype("float32")
    together = np.asarray(normalize(x))
    alone = [np.asarray(normalize(x[i : i + 1]))[0] for i in range(3)]
    assert (together == np.stack(alone)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("value", [0.0, -3.0, 7.0, 6e4])
def test_a_flat_map_gives_zeros(value, dtype):
    x = keras.ops.cast(np.full((2, 3, 3), value), dtype)
    y = keras.ops.cast(normalize(x), "float32")
    assert not np.asarray(y).any()


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_map_without_a_positive_value_gives_zeros_under_max(value):
    x = np.array([[value, -5.0]], "float32")
    assert not np.asarray(normalize(x, "max")).any()


@pytest.mark.parametrize(
    "values, dtype",
    [
        ([-3e38, 0.0, 3e38], "float32"),
        ([-6e4, 0.0, 6e4], "float16"),
        ([-1e-36, 0.0, 1e-36], "float32"),
        ([-6e-8, 0.0, 6e-8], "float16"),
    ],
)
def test_the_ends_of_the_number_range_keep_their_order(values, dtype):
    y = normalize(keras.ops.cast(np.array([values]), dtype))
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    y = np.asarray(keras.ops.cast(y, "float32"))
    np.testing.assert_allclose(y, [[0, 0.5, 1]], atol=1e-3)


@pytest.mark.parametrize("method", ["min_max", "max"])
def test_subnormal_values_never_give_nan(method):
    x = np.array([[0.0, 1e-45, 1e-40]], "float32")
    assert np.isfinite(np.asarray(normalize(x, method))).all()


def test_a_large_offset_does_not_cost_precision():
    x = np.array([[1e6, 1e6 + 0.5, 1e6 + 2]], "float32")
    assert np.asarray(normalize(x)).tolist() == [[0, 0.25, 1]]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32"])
def test_whole_numbers_become_float32(dtype):
    y = normalize(np.array([[0, 1]], dtype))
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    assert np.asarray(y).tolist() == [[0, 1]]


def test_an_empty_batch_stays_empty():
    assert np.asarray(normalize(np.zeros((0, 3, 3), "float32"))).size == 0


@pytest.mark.tensorflow
def test_a_flat_map_has_gradient_zero_and_compiles():
    import tensorflow as tf

    x = tf.constant([[2.0, 2.0], [0.0, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.function(normalize, jit_compile=True)(x)
    assert y.numpy().tolist() == [[0, 0], [0, 1]]
    assert np.isfinite(tape.gradient(y, x).numpy()).all()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="Received: method='l2'"):
        normalize(np.zeros((1, 2)), "l2")
    with pytest.raises(ValueError, match=r"Received: maps.shape=\(2,\)"):
        normalize(np.zeros(2))


@pytest.mark.parametrize(
    "axis", [2, -3, 0.5, "1", (), (0, 0), (1, -1), [0, None], True]
)
def test_axes_that_are_none_are_named(axis):
    with pytest.raises(ValueError, match=r"Received: axis=.* of 2 axes"):
        normalize(np.ones((2, 3)), axis=axis)


@pytest.mark.parametrize(
    "maps, received",
    [
        ([[1.0], [1.0, 2.0]], r"pad them, or pass each alone"),
        ([["a"]], "Received: maps"),
        (None, "Received: maps=None"),
        (np.array([{}, None]), "Received: maps="),
        ([[2**64]], "Received: maps="),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(maps, received):
    with pytest.raises(TypeError, match=received):
        normalize(maps)
