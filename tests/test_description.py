"""What is described alike, and what is told apart."""

import functools
import json
import types

import keras
import numpy as np
import pytest
from callbacks import blobs

from keras_xmap import explainers
from keras_xmap._description import describe
from keras_xmap._description import describe_callbacks
from keras_xmap._description import describe_model
from keras_xmap._description import describe_training
from keras_xmap._description import differences
from keras_xmap._description import layer_names
from keras_xmap.callbacks import StopRule

pytestmark = pytest.mark.tensorflow

layers = keras.layers


def function_of(source, **others):
    scope = {"__name__": "__main__", "np": np, **others}
    exec(source, scope)
    return scope["f"]


def adding(number):
    return lambda labels: labels + number


class Callable:
    power = 2

    def __init__(self, by=1.0):
        self.by = by
        self.calls = 0

    def __call__(self, labels):
        self.calls += 1
        return labels


class Stronger(Callable):
    power = 3


ALIKE = [
    (lambda x: x + 1, lambda x: x + 1),
    (
        function_of("def f(x):\n  return x"),
        function_of("\n\n\ndef f(x):\n  return x"),
    ),
    (adding(2), adding(2)),
    (Callable(), Callable()),
    (np.arange(9), np.arange(9)),
    ({3, "a", 5}, {"a", 5, 3}),
    (keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)),
    (StopRule(tolerance=0.3), StopRule(tolerance=0.3)),
]
APART = [
    (lambda x: x + 1, lambda x: x + 2),
    (lambda x: x.max(), lambda x: x.min()),
    (lambda x, y=1: x, lambda x, y=2: x),
    (lambda x: lambda: x + 1, lambda x: lambda: x + 2),
    (adding(2), adding(3)),
    (adding(np.arange(9)), adding(np.arange(9)[::-1])),
    (
        function_of("def f(x):\n  return TABLE[x]", TABLE={0: 1}),
        function_of("def f(x):\n  return TABLE[x]", TABLE={0: 2}),
    ),
    (
        function_of("def f(x):\n  return g(x)", g=lambda x: x),
        function_of("def f(x):\n  return g(x)", g=lambda x: -x),
    ),
    (
        functools.partial(adding, 1),
        functools.partial(adding, 2),
    ),
    (Callable(), Callable(2.0)),
    (Callable(), Stronger()),
    (Callable(1.0).__call__, Callable(2.0).__call__),
    (np.arange(9), np.arange(9.0)),
    (np.arange(9), np.arange(9)[::-1]),
    (float("nan"), 0.0),
    (keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2)),
    (explainers.GradCAM, explainers.LayerCAM),
]


@pytest.mark.parametrize("one, other", ALIKE)
def test_what_does_the_same_is_described_alike(one, other):
    assert describe(one) == describe(other)
    assert json.loads(json.dumps(describe(one))) == describe(one)


@pytest.mark.parametrize("one, other", APART)
def test_what_does_something_else_is_told_apart(one, other):
    assert differences(describe(one), describe(other))
    assert describe(one) == describe(one)


def test_what_has_become_of_an_object_has_no_part_in_it():
    before, used = Callable(), Callable()
    used(3)
    assert describe(used) == describe(before)


def test_what_refers_to_itself_ends():
    ring = [1]
    ring.append(ring)
    assert describe(ring) == [1, "itself"]
    f = function_of("def f(x):\n  return f(x - 1) if x else 0")
    assert describe(f).startswith("f ")


def test_layers_of_explainers_are_known_by_their_place():
    found = []
    for _ in range(2):
        model = blobs.trained()
        explainer = explainers.GradCAM(model, model.layers[3].name)
        names = layer_names(model)
        found.append(describe(explainer, names))
        by_layer = explainers.GradCAM(model, model.layers[3])
        assert describe(by_layer, names) == found[-1]
    assert found[0] == found[1]
    other = describe(explainers.GradCAM(model, model.layers[0].name), names)
    (text,) = differences(found[0], other)
    assert text.startswith("target_layer='layer ")


def small(activation="relu", units=2, functional=True, **kwargs):
    inner = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, activation=activation)]
    )
    x = inputs = keras.Input((3,), **kwargs)
    x = layers.Lambda(lambda x: x * 2.0)(inner(x))
    return keras.Model(inputs, layers.Dense(units)(x))


def test_models_are_told_by_their_layers_not_by_names():
    expected = describe_model(small())
    assert (
        describe_model(small()) == expected == describe_model(small(name="a"))
    )
    (text, *_) = differences(expected, describe_model(small(units=3)))
    assert ", Dense=" in text
    other = small()
    other.layers[2].function = lambda x: x * 3.0
    (text,) = differences(expected, describe_model(other))
    assert ", Lambda=" in text
    frozen = small()
    frozen.layers[1].trainable = False
    for model in (small(activation="tanh"), frozen):
        assert differences(expected, describe_model(model))


def test_models_without_a_config_are_told_by_their_code():
    def make(gain):
        class Custom(keras.Model):
            def __init__(self, units):
                super().__init__()
                self.dense = layers.Dense(units)

            def call(self, inputs):
                return gain * self.dense(inputs)

        model = Custom(2)
        model(np.zeros((1, 3)))
        return describe_model(model)

    assert make(1) == make(1)
    (text,) = differences(make(1), make(2))
    assert text.startswith("class=")


def test_training_is_told_by_optimizer_and_losses():
    def described(optimizer="sgd", loss="mse", **kwargs):
        model = small()
        model.compile(optimizer, loss, **kwargs)
        return describe_training(model)

    expected = described()
    assert described() == expected
    for other, name in (
        (described(keras.optimizers.SGD(0.5)), "optimizer.learning_rate=0.5"),
        (described(loss="mae"), "loss='mae'"),
        (described(loss=lambda y, p: y - p), "loss='<lambda> "),
        (described(loss_weights=[2.0]), "loss_weights=[2.0]"),
        (described(metrics=["mae"]), "metrics=['mae']"),
    ):
        (text,) = differences(expected, other)
        assert text.startswith(name)
    decay = keras.optimizers.schedules.ExponentialDecay
    one, other = (
        described(keras.optimizers.Adam(decay(r, 9, 0.5))) for r in (1, 2)
    )
    (text,) = differences(one, other)
    assert "initial_learning_rate=2" in text


def test_callbacks_that_write_have_no_part_in_it():
    found = describe_callbacks(
        [
            keras.callbacks.CSVLogger("a"),
            keras.callbacks.EarlyStopping("loss", patience=3),
            types.SimpleNamespace(),
        ]
    )
    assert found[0]["class"] == "EarlyStopping" and found[0]["patience"] == 3
    assert len(found) == 2
