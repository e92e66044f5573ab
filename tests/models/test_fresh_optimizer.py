"""The optimizer starts anew where the map joins in; its rate goes on."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops
from keras import optimizers

from keras_xmap.models import PixelAttention
from keras_xmap.models._fresh_optimizer import LaterSchedule
from keras_xmap.models._fresh_optimizer import start_anew

SHAPE = (4, 5, 1)


def arrays(count=32):
    x = np.random.default_rng(0).uniform(size=(count, *SHAPE))
    return x.astype("float32"), x.sum((1, 2))


def network(name, *last):
    return keras.Sequential(
        [keras.Input(SHAPE), layers.Flatten(), *last], name=name
    )


def made(optimizer, warm_up=3):
    keras.utils.set_random_seed(0)
    predictor = network("predictor", layers.Dense(1))
    free = layers.Dense(20, "sigmoid", kernel_initializer="zeros")
    attention = network("attention", free, layers.Reshape(SHAPE))
    model = PixelAttention(
        predictor, attention, area_ratio=0.9, noise=0.5, warm_up=warm_up
    )
    model.compile(optimizer, "mse")
    return model


def fit(model, epochs=1):
    """Four steps an epoch."""
    return model.fit(*arrays(), batch_size=8, epochs=epochs, verbose=0)


def of_attention(model):
    return [ops.convert_to_numpy(w) for w in model.attention.weights]


def rate(optimizer):
    return float(ops.convert_to_numpy(optimizer.learning_rate))


def check_first_step(model):
    """After three epochs alone, one step with the map, of Adam of .01."""
    fit(model, 3)
    bias = of_attention(model)[1]
    model.fit(*arrays(), batch_size=32, epochs=1, verbose=0)
    moved = np.abs(of_attention(model)[1] - bias)
    np.testing.assert_allclose(moved, 0.01, rtol=1e-3)


def test_the_first_step_of_the_map_is_as_long_as_the_learning_rate():
    # The first step of Adam is one of its rate, whatever the gradient. One
    # that counts steps before it, without a gradient, takes .1 / sqrt(.001)
    # of it, 3.16 times as much.
    check_first_step(made(optimizers.Adam(0.01)))


def test_the_predictor_forgets_the_small_gradients_of_its_own_training():
    model = made(optimizers.Adam(0.0))
    fit(model, 3)
    before = [ops.convert_to_numpy(w) for w in model.predictor.weights]
    model.optimizer.learning_rate = 0.01
    model.fit(*arrays(), batch_size=32, epochs=1, verbose=0)
    for old, new in zip(before, model.predictor.weights, strict=True):
        moved = np.abs(ops.convert_to_numpy(new) - old)
        np.testing.assert_allclose(moved, 0.01, rtol=1e-3)


def test_a_schedule_goes_on():
    schedule = optimizers.schedules.PolynomialDecay(1.0, 100, 0.0)
    model = made(optimizers.SGD(schedule))
    for epoch in range(1, 6):
        fit(model)
        taken = 4 * epoch
        assert rate(model.optimizer) == pytest.approx(1 - taken / 100)
    assert int(model.optimizer.iterations) == 8  # of the last two epochs
    # Compiled anew it starts with its first step.
    model.compile(optimizers.SGD(schedule), "mse")
    for epoch in range(1, 3):
        fit(model)
        assert rate(model.optimizer) == pytest.approx(1 - 4 * epoch / 100)


def test_a_rate_that_was_changed_stays():
    model = made(optimizers.Adam(0.1), warm_up=1)
    fit(model)
    model.optimizer.learning_rate = 0.03
    fit(model)
    assert rate(model.optimizer) == pytest.approx(0.03)


def test_a_file_holds_the_schedule(tmp_path):
    schedule = optimizers.schedules.PolynomialDecay(1.0, 100, 0.0)
    model = made(optimizers.SGD(schedule))
    fit(model, 4)
    model.save(tmp_path / "model.keras")
    read = keras.models.load_model(tmp_path / "model.keras")
    assert rate(read.optimizer) == pytest.approx(1 - 16 / 100)
    fit(read)
    assert rate(read.optimizer) == pytest.approx(1 - 20 / 100)
    assert int(read.optimizer.iterations) == 8


def test_a_predictor_that_is_trained_keeps_the_optimizer():
    model = made(optimizers.SGD(0.1, momentum=0.9), warm_up=0)
    fit(model, 2)
    assert int(model.optimizer.iterations) == 8


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.Adam(0.1),
        lambda: optimizers.Nadam(0.1),
        lambda: optimizers.Adagrad(0.1),
        lambda: optimizers.Ftrl(0.1),
        lambda: optimizers.SGD(0.1, momentum=0.9, use_ema=True),
        lambda: optimizers.Adam(0.1, gradient_accumulation_steps=2),
        lambda: optimizers.LossScaleOptimizer(optimizers.Adam(0.1)),
    ],
)
def test_all_that_is_kept_is_as_before_the_first_step(make):
    model = made(make())
    fit(model, 2)
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    steps = int(inner.iterations)
    assert steps == (4 if inner.gradient_accumulation_steps else 8)
    assert start_anew(model) == steps
    fresh = make()
    fresh.build(model.trainable_variables)
    fresh = getattr(fresh, "inner_optimizer", fresh)
    assert len(inner.variables) == len(fresh.variables) > 3
    for kept, first in zip(inner.variables, fresh.variables, strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(kept), ops.convert_to_numpy(first)
        )


@pytest.mark.tensorflow
def test_two_replicas_start_anew_as_one_device_does(strategy):
    with strategy.scope():
        check_first_step(made(optimizers.Adam(0.01)))


def test_a_later_schedule_by_hand():
    later = LaterSchedule(
        optimizers.schedules.PiecewiseConstantDecay([10], [1.0, 2.0]), 7
    )
    found = [float(ops.convert_to_numpy(later(step))) for step in (3, 4)]
    assert found == [1.0, 2.0]
    again = LaterSchedule.from_config(later.get_config())
    assert float(ops.convert_to_numpy(again(4))) == 2.0


class Nameless(optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1


class Named(Nameless):
    """As a user would write it, registered nowhere."""

    def get_config(self):
        return {}


def test_a_schedule_without_a_config_is_refused_before_anything_is_trained():
    model = made(optimizers.SGD(Nameless()), warm_up=1)
    with pytest.raises(NotImplementedError, match="Nameless"):
        fit(model, 2)
    assert int(model.optimizer.iterations) == 0
    # The remedy.
    model = made(optimizers.SGD(Named()), warm_up=1)
    fit(model, 2)
    assert rate(model.optimizer) == pytest.approx(0.1)
    assert int(model.optimizer.iterations) == 4
