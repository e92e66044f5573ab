"""What is put in place of hidden pixels: its checks and its tensors."""

import keras
import numpy as np
import pytest

from keras_xmap import ops
from keras_xmap._fillings import as_config
from keras_xmap._fillings import check_filling
from keras_xmap._fillings import check_fits
from keras_xmap._fillings import filling

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(2, 6, 5, 3)).astype("float32")


def filled(x, value, data_format="channels_last", **kwargs):
    """The filling, spread over the images."""
    made = filling(x, check_filling("fill", value), data_format, **kwargs)
    return np.broadcast_to(np.asarray(made), x.shape)


@pytest.mark.parametrize("name", ["zero", "mean", "blur"])
def test_names_are_let_pass(name):
    assert check_filling("fill", name) == name
    with pytest.raises(ValueError, match=f"Received: fill='{name}'. Or not."):
        check_filling("fill", name, named=("noise",), remedy="Or not.")


@pytest.mark.parametrize("number", [-2, 0.5, np.float32(3), np.int64(1)])
def test_numbers_become_floats(number):
    assert type(check_filling("fill", number)) is float
    assert (filled(X, number) == number).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int32"])
def test_tensors_and_lists_become_arrays_of_floats(dtype):
    tensor = keras.ops.cast(keras.ops.convert_to_tensor([1, 2, 3]), dtype)
    for value in (tensor, [1, 2.0, 3], (1, 2, 3), np.array([1, 2, 3], "uint8")):
        array = check_filling("fill", value)
        assert array.dtype.kind == "f" and array.tolist() == [1, 2, 3]
    assert check_filling("fill", keras.ops.ones(())) == 1.0


@pytest.mark.parametrize(
    "value",
    [
        True,
        [True, 2.0],
        np.ones(3, "bool"),
        None,
        {},
        [],
        "white",
        ["a"],
        [[1], [1, 2]],
        1j,
        float("nan"),
        [1.0, float("inf")],
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_filling_is_named(value):
    expected = "'blur', a finite number, or an array .*Received: fill="
    with pytest.raises(ValueError, match=expected):
        check_filling("fill", value)


def test_the_config_holds_lists():
    assert as_config(check_filling("fill", [0.1, 0.2])) == [0.1, 0.2]
    assert as_config("mean") == "mean" and as_config(0.5) == 0.5


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_every_filling_by_its_definition(data_format):
    cases = {
        "zero": np.zeros_like(X),
        "mean": np.zeros_like(X) + X.mean((1, 2), keepdims=True),
        "blur": np.asarray(ops.gaussian_blur(X, (0.6, 0.5))),
        0.25: np.full_like(X, 0.25),
        (1, 2, 3): np.zeros_like(X) + np.array([1, 2, 3], "float32"),
    }
    first = data_format == "channels_first"
    x = np.moveaxis(X, -1, 1) if first else X
    for value, expected in cases.items():
        made = filled(x, value, data_format)
        made = np.moveaxis(made, 1, -1) if first else made
        np.testing.assert_allclose(made, expected, atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(6, 5, 3), (1, 6, 5, 3), (6, 5, 1), (5, 3), (1,), (1, 1, 3)]
)
def test_an_array_is_one_image_or_broadcasts_to_it(shape):
    value = RNG.normal(size=shape).astype("float32")
    made = filled(X, value)
    assert (made == np.broadcast_to(value, X.shape)).all()


def test_the_width_of_the_blur_can_be_given():
    made = filled(X, "blur", blur_stddev=2.0)
    np.testing.assert_allclose(made, ops.gaussian_blur(X, 2.0), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_dtype_is_that_of_the_images(dtype):
    x = keras.ops.cast(X, dtype)
    for value in ("zero", "mean", "blur", 0.5, [1, 2, 3]):
        made = filling(x, check_filling("fill", value), "channels_last")
        assert keras.backend.standardize_dtype(made.dtype) == dtype
    made = filling(np.ones((1, 2, 2, 1), "uint8"), "mean", "channels_last")
    assert keras.backend.standardize_dtype(made.dtype) == "float32"


def test_features_have_no_positions():
    x = RNG.normal(size=(2, 4)).astype("float32")
    assert (filled(x, [1, 2, 3, 4]) == [1, 2, 3, 4]).all()
    for name in ("mean", "blur"):
        with pytest.raises(ValueError, match=r"inputs of shape \(2, 4\)"):
            filling(x, name, "channels_last")


@pytest.mark.parametrize(
    "value, data_format, received",
    [
        ([1, 2], "channels_last", r"each of the 3 channels. Received: fill="),
        ([1, 2, 3], "channels_first", r"each of the 6 channels"),
        (np.ones((2, 6, 5, 3)), "channels_last", r"fill.shape=\(2, 6, 5, 3\)"),
        (np.ones((6, 4, 3)), "channels_last", r"fill.shape=\(6, 4, 3\)"),
    ],
)
def test_an_array_that_does_not_fit_is_named(value, data_format, received):
    value = check_filling("fill", value)
    with pytest.raises(ValueError, match=received):
        filling(X, value, data_format, name="fill")


def test_sizes_that_are_not_known_yet_fit():
    value = check_filling("fill", np.ones((6, 5, 3)))
    check_fits("fill", value, (None, None, None, 3), "channels_last")
    check_fits("fill", value[0, 0], (None, 3, None), "channels_first")
    with pytest.raises(ValueError, match="Received: fill.shape="):
        check_fits("fill", value, (None, None, None, 4), "channels_last")
