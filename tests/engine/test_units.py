"""How a single unit is read: by what squashes it, and by the loss."""

import functools
import types

import keras
import pytest
from keras import losses
from keras import ops

from keras_xmap.engine.units import units_of


def my_loss(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


class MyCrossentropy(losses.BinaryCrossentropy):
    pass


def compiled(loss, **attributes):
    return types.SimpleNamespace(loss=loss, compiled=True, **attributes)


def read(squashing, loss, score="logits"):
    (unit,) = units_of(compiled(loss), "output", [squashing], score)
    return unit


LOGITS = [
    losses.BinaryCrossentropy(from_logits=True),
    MyCrossentropy(from_logits=True),
    losses.BinaryFocalCrossentropy(from_logits=True),
    functools.partial(losses.binary_crossentropy, from_logits=True),
    losses.Hinge(),
    losses.SquaredHinge(),
    "hinge",
    losses.squared_hinge,
]
PROBABILITIES = [
    "binary_crossentropy",
    "bce",
    losses.binary_crossentropy,
    losses.BinaryCrossentropy(),
    losses.BinaryFocalCrossentropy(),
    "binary_focal_crossentropy",
]
NUMBERS = [
    "mse",
    "mean_squared_error",
    losses.MeanSquaredError(),
    losses.mean_absolute_error,
    "mape",
    losses.MeanSquaredLogarithmicError(),
    losses.Huber(0.5),
    losses.LogCosh(),
    "poisson",
]
UNKNOWN = [None, my_loss, "no such loss", losses.Dice(), object()]


@pytest.mark.parametrize("loss", LOGITS)
def test_a_loss_of_logits_makes_two_classes_around_zero(loss):
    for squashing in (None, "hidden"):
        unit = read(squashing, loss)
        assert (unit.meaning, unit.threshold) == ("classes", 0)
    assert read("sigmoid", loss, "output").threshold == 0.5


@pytest.mark.parametrize("loss", PROBABILITIES)
def test_a_loss_of_probabilities_makes_two_classes_around_a_half(loss):
    for squashing in (None, "hidden", "sigmoid"):
        unit = read(squashing, loss, "output")
        assert (unit.meaning, unit.threshold) == ("classes", 0.5)
    unit = read("sigmoid", loss, "logits")
    assert (unit.threshold, unit.output_threshold) == (0, 0.5)


@pytest.mark.parametrize("loss", NUMBERS)
def test_a_loss_of_numbers_makes_a_number_but_of_a_sigmoid(loss):
    assert read(None, loss).meaning == "number"
    unit = read("sigmoid", loss)
    assert unit.meaning is None
    assert "a sigmoid unit, in a model compiled with loss=" in unit.found


@pytest.mark.parametrize("loss", UNKNOWN)
def test_any_other_loss_tells_nothing(loss):
    assert read(None, loss).meaning is None
    assert read("sigmoid", loss).meaning == "classes"
    assert read("hidden", loss).threshold is None
    assert "no loss that tells" in read(None, loss).found


def test_a_model_that_is_not_compiled_has_no_loss():
    for model in (
        keras.layers.Dense(1),
        types.SimpleNamespace(loss="mse", compiled=False),
    ):
        (unit,) = units_of(model, "output", [None], "logits")
        assert unit.meaning is None


def meanings(loss, outputs, **attributes):
    flat = keras.tree.flatten(outputs)
    model = compiled(loss, **attributes)
    units = units_of(model, outputs, [None] * len(flat), "logits")
    return [unit.meaning for unit in units]


def test_every_output_has_its_own_loss():
    logits = losses.BinaryCrossentropy(from_logits=True)
    assert meanings("mse", [1, 2]) == ["number", "number"]
    assert meanings([logits, "mse"], [1, 2]) == ["classes", "number"]
    assert meanings([logits], 1) == ["classes"]
    by_name = {"z": logits, "a": "mse"}
    # As Keras flattens them: by name.
    assert meanings(by_name, {"z": 1, "a": 2}) == ["number", "classes"]
    assert meanings(by_name, [1, 2], output_names=["z", "a"]) == [
        "classes",
        "number",
    ]
    assert meanings({"z": logits}, {"z": 1, "a": 2}) == [None, "classes"]
    # What cannot be told apart is not known.
    assert meanings([logits, "mse"], {"z": 1, "a": 2}) == [None, None]
    assert meanings([logits, "mse"], 1) == [None]


def test_a_softmax_over_one_unit_is_constant():
    for loss in (None, "mse", "binary_crossentropy"):
        assert read("softmax", loss).meaning == "constant"


def test_what_comes_out_of_a_sigmoid_is_a_probability():
    assert read("sigmoid", None, "output").is_probability
    assert read("hidden", None, "output").is_probability
    assert not read("sigmoid", None, "logits").is_probability
    assert not read(None, None, "output").is_probability


def test_the_remark_says_which_class_is_which():
    assert read("sigmoid", None).remark == (
        ", for class 1; its negative for class 0"
    )
    assert read("sigmoid", None, "output").remark == (
        ", for class 1; 1 minus it for class 0"
    )
    assert read(None, "mse").remark == read(None, None).remark == ""
