"""The checks of arguments: what passes, as what, and what is refused."""

import keras
import numpy as np
import pytest

from keras_xmap import _axes
from keras_xmap import _checks

NAN, INFINITY = float("nan"), float("inf")
NUMBERS = {
    "positive": ([0.5, 3, np.int64(2)], [0, -1, NAN, INFINITY]),
    "non_negative": ([0, 0.5, np.float64(3)], [-0.1, NAN, INFINITY]),
    "fraction": ([0.5, np.float32(0.25)], [0, 1, NAN, -1]),
    "share": ([0, 1, 0.5, np.float32(0.25)], [-0.1, 1.1, NAN]),
    "threshold": ([0, 0.5, np.float32(0.25)], [-0.1, 1, NAN]),
}
INTEGERS = {
    "positive_integer": ([1, np.int64(7)], [0, -1]),
    "non_negative_integer": ([0, 1, np.uint8(7)], [-1]),
    "integer": ([-3, 0, np.int8(7)], []),
    "seed": ([0, 2**31 - 1, np.int64(7)], [-1, 2**31]),
}
NEITHER = ["1", None, True, np.True_, [1], 1j, np.ones(2)]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_in_its_range_becomes_a_float(name):
    check = getattr(_checks, f"check_{name}")
    good, bad = NUMBERS[name]
    for value in good:
        assert type(check("x", value)) is float and check("x", value) == value
    for value in [*bad, *NEITHER]:
        with pytest.raises(ValueError, match=r"`x` must be .*Received: x="):
            check("x", value)


@pytest.mark.parametrize("name", INTEGERS)
def test_an_integer_in_its_range_becomes_an_int(name):
    check = getattr(_checks, f"check_{name}")
    good, bad = INTEGERS[name]
    for value in good:
        assert type(check("x", value)) is int and check("x", value) == value
    for value in [*bad, 1.0, NAN, *NEITHER]:
        with pytest.raises(ValueError, match=r"must be an integer.*Received:"):
            check("x", value)


def test_the_range_of_an_integer_is_named():
    with pytest.raises(ValueError, match=r"from 2 to 4. Received: x=5. Less."):
        _checks.check_integer("x", 5, 2, 4, "Less.")
    with pytest.raises(ValueError, match=r"<= 4. Received: x=5"):
        _checks.check_integer("x", 5, high=4)


@pytest.mark.parametrize("value", [True, False, np.True_, np.bool_(0)])
def test_a_boolean_becomes_a_bool(value):
    assert _checks.check_boolean("x", value) is bool(value)


@pytest.mark.parametrize("value", [0, 1, "True", None, NAN, np.ones(1, "bool")])
def test_what_is_true_is_not_yet_a_boolean(value):
    with pytest.raises(ValueError, match="`x` must be True or False. Received"):
        _checks.check_boolean("x", value)


def test_one_of_several_options_is_taken_by_value_and_kind():
    assert type(_checks.check_one_of("x", np.str_("a"), ("a", "b"))) is str
    assert _checks.check_one_of("x", np.int64(-1), (1, -1)) == -1
    assert _checks.check_one_of("x", None, ("a", None)) is None
    for value in [True, "c", np.ones(2), [1]]:
        with pytest.raises(ValueError, match="one of 1, 'b'. Received: x="):
            _checks.check_one_of("x", value, (1, "b"))


def test_a_pair_is_one_value_or_two():
    check = _checks.check_positive_integer
    assert _checks.check_pair("x", 3, check) == (3, 3)
    assert _checks.check_pair("x", [3, np.int64(4)], check) == (3, 4)
    for value in [(1, 2, 3), [], ()]:
        with pytest.raises(ValueError, match=r"or two. Received: x=[(\[]"):
            _checks.check_pair("x", value, check)
    with pytest.raises(ValueError, match="Received: x=0"):
        _checks.check_pair("x", (1, 0), check)


def test_names_become_a_list():
    assert _checks.check_names("x", "a") == ["a"]
    assert _checks.check_names("x", ("a", "b")) == ["a", "b"]
    for value in [3, [], "", ["a", 1]]:
        with pytest.raises(ValueError, match="list of names. Received: x="):
            _checks.check_names("x", value)
    with pytest.raises(ValueError, match="different names. Received: x="):
        _checks.check_names("x", ["a", "a"])
    with pytest.raises(ValueError, match="a string. Received: x=3"):
        _checks.check_string("x", 3)


def test_models_layers_and_callables_are_told_by_their_type():
    model, layer = keras.Sequential(), keras.layers.ReLU()
    assert _checks.check_model("x", model) is model
    assert _checks.check_layer("x", layer) is layer
    assert _checks.check_callable("x", len) is len
    with pytest.raises(TypeError, match=r"Received: x=<ReLU .*type ReLU"):
        _checks.check_model("x", layer)
    with pytest.raises(TypeError, match=r"layer. Received: x=3 \(of type int"):
        _checks.check_layer("x", 3)
    with pytest.raises(TypeError, match="callable. Received: x='len'"):
        _checks.check_callable("x", "len")


def test_none_may_stand_for_an_argument_that_is_left_out():
    assert _checks.check_optional(_checks.check_seed, "x", None) is None
    assert _checks.check_optional(_checks.check_seed, "x", 3) == 3
    with pytest.raises(ValueError, match="Received: x=-1"):
        _checks.check_optional(_checks.check_seed, "x", -1)


def test_the_axes_of_both_data_formats():
    assert _axes.check_data_format("channels_first") == "channels_first"
    assert _axes.check_data_format(None) == keras.config.image_data_format()
    with pytest.raises(ValueError, match="Received: data_format='first'"):
        _axes.check_data_format("first")
    assert _axes.channel_axis("channels_first") == 1
    assert _axes.channel_axis("channels_last") == -1
    assert _axes.spatial_axes(5) == (1, 2, 3)
    assert _axes.spatial_axes(5, "channels_first") == (2, 3, 4)
    assert _axes.spatial_shape((2, 8, 6, 3)) == (8, 6)
    assert _axes.spatial_shape((2, 3, 8, 6), "channels_first") == (8, 6)
