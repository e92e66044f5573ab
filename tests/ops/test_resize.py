import keras
import numpy as np
import pytest

from keras_xmap.ops import resize


def line(values):
    return np.reshape(np.asarray(values, "float32"), (1, -1, 1))


def linear_reference(x, size):
    """Half-pixel linear interpolation of each spatial axis, in float64."""
    x = np.asarray(x, "float64")
    for axis, new in enumerate(size, 1):
        old = x.shape[axis]
        centre = (np.arange(new) + 0.5) * old / new - 0.5
        columns = np.moveaxis(x, axis, -1)
        flat = [
            np.interp(centre, np.arange(old), row)
            for row in columns.reshape(-1, old)
        ]
        x = np.reshape(flat, (*columns.shape[:-1], new))
        x = np.moveaxis(x, -1, axis)
    return x


def test_pixels_are_areas_when_a_line_grows():
    y = np.ravel(resize(line([0, 1]), 4))
    np.testing.assert_allclose(y, [0, 0.25, 0.75, 1], atol=1e-7)


def test_pixels_are_areas_when_a_line_shrinks_without_antialiasing():
    y = np.ravel(resize(line(range(8)), 3))
    np.testing.assert_allclose(y, [0.83333, 3.5, 6.16667], atol=1e-5)


def test_nearest_repeats_pixels_by_hand():
    x = np.reshape([1.0, 2.0, 3.0, 4.0], (1, 2, 2, 1))
    y = np.asarray(resize(x, (4, 2), "nearest"))[0, :, :, 0]
    assert y.tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]


def test_nearest_has_no_rounding_where_a_position_meets_an_edge():
    x = line(range(6))
    y = np.ravel(resize(x, 37, "nearest"))
    assert y.tolist() == [(2 * i + 1) * 6 // 74 for i in range(37)]


@pytest.mark.parametrize(
    "shape, size",
    [((2, 5, 3), (7,)), ((2, 4, 5, 3), (9, 3)), ((2, 3, 4, 5, 2), (6, 2, 7))],
)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_every_rank_equals_interpolation_along_each_axis(
    shape, size, data_format
):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    expected = linear_reference(x, size)
    if data_format == "channels_first":
        x, expected = np.moveaxis(x, -1, 1), np.moveaxis(expected, -1, 1)
    y = np.asarray(resize(x, size, data_format=data_format))
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_scipy_agrees_in_its_half_pixel_mode():
    scipy_zoom = pytest.importorskip("scipy.ndimage").zoom
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    expected = scipy_zoom(x, 2, order=1, mode="nearest", grid_mode=True)
    y = np.asarray(resize(x[None, ..., None], (8, 12)))[0, ..., 0]
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_a_known_equal_size_returns_the_tensor_itself():
    x = keras.ops.ones((2, 3, 4, 1))
    assert resize(x, (3, 4)) is x
    assert resize(x, np.array([3, 4]).tolist()) is x


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_a_constant_stays_constant(interpolation):
    x = np.full((1, 3, 5, 7, 1), 2.5, "float32")
    y = np.asarray(resize(x, (5, 2, 9), interpolation))
    np.testing.assert_allclose(y, 2.5, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_float_dtype_is_kept(dtype, interpolation):
    x = keras.ops.cast(line([0, 1]), dtype)
    y = resize(x, 4, interpolation)
    assert keras.backend.standardize_dtype(y.dtype) == dtype


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64"])
def test_a_mask_of_whole_numbers_becomes_float(dtype):
    y = np.asarray(resize(np.array([[[0], [1]]], dtype), 4))
    np.testing.assert_allclose(y.ravel(), [0, 0.25, 0.75, 1], atol=1e-7)


@pytest.mark.tensorflow
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_sizes_and_shapes_may_be_tensors(interpolation):
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2))
    x = x.astype("float32")
    signature = [
        tf.TensorSpec((None,) * 4 + (2,)),
        tf.TensorSpec((3,), tf.int64),
    ]

    @tf.function(input_signature=signature)
    def traced(x, size):
        return resize(x, (size[0], size[1], size[2]), interpolation)

    @tf.function(input_signature=signature[:1])
    def unknown_shape(x):
        return resize(x, (6, 2, 7), interpolation)

    expected = np.asarray(resize(x, (6, 2, 7), interpolation))
    y = traced(x, tf.constant([6, 2, 7], tf.int64))
    np.testing.assert_allclose(y, expected, atol=1e-6)
    np.testing.assert_allclose(unknown_shape(x), expected, atol=1e-6)


@pytest.mark.tensorflow
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_compiling_changes_nothing(interpolation):
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=(2, 5, 4, 2)).astype("float32")
    plain = np.asarray(resize(x, (3, 9), interpolation))
    compiled = tf.function(
        lambda x: resize(x, (3, 9), interpolation), jit_compile=True
    )
    np.testing.assert_allclose(compiled(x), plain, atol=1e-6)


@pytest.mark.parametrize(
    "shape, size, received",
    [
        ((2, 3), 4, r"Received: x.shape=\(2, 3\)"),
        ((1,) * 6, (1,) * 4, r"Received: x.shape=\(1, 1, 1, 1, 1, 1\)"),
        ((1, 4, 4, 1), 8, r"Received: size=\(8,\) for"),
        ((1, 4, 4, 1), (8, 0), r"Received: size=\(8, 0\)"),
        ((1, 4, 4, 1), (8, 2.5), r"Received: size=\(8, 2.5\)"),
    ],
)
def test_a_wrong_shape_or_size_is_named(shape, size, received):
    with pytest.raises(ValueError, match=received):
        resize(np.zeros(shape, "float32"), size)


def test_unknown_options_are_named():
    with pytest.raises(ValueError, match="Received: interpolation='cubic'"):
        resize(line([0, 1]), 4, "cubic")
    with pytest.raises(ValueError, match="Received: data_format='last'"):
        resize(line([0, 1]), 4, data_format="last")
