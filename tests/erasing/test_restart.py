"""What a round of erasing starts from."""

import random

import keras
import numpy as np
import pytest
from callbacks import blobs

from keras_xmap.erasing._restart import Restart

pytestmark = pytest.mark.tensorflow

to_numpy = keras.ops.convert_to_numpy


def started(model, how="new", seed=0):
    restart = Restart(model, how, seed)
    restart.keep(restart.values())
    return restart


def train(model):
    images, labels, _ = blobs.make_images(8, noise=0.5)
    model.fit(images, labels, batch_size=4, epochs=1, verbose=0)


def kernels(model):
    return [
        to_numpy(v.value)
        for v in model.trainable_variables
        if v.name == "kernel"
    ]


def state(model):
    return [to_numpy(v.value) for v in model.variables]


def test_the_first_round_starts_as_the_model_was():
    model = blobs.trained()
    restart = started(model)
    before = restart.values()
    train(model)
    changed = restart.values()
    assert not any(
        np.array_equal(a, b)
        for a, b in zip(before, changed, strict=True)
        if a.size > 1 and a.any()
    )
    restart.begin(1)
    for old, now in zip(before, restart.values(), strict=True):
        np.testing.assert_array_equal(now, old)


def test_networks_of_later_rounds_are_new_and_independent():
    model = blobs.trained()
    restart = started(model)
    rounds = [kernels(model)]
    for round_id in (2, 3):
        train(model)
        restart.begin(round_id)
        rounds.append(kernels(model))
    for a in range(3):
        for b in range(a):
            for one, other in zip(rounds[a], rounds[b], strict=True):
                assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.6
    # Glorot draws within the same bounds, around 0.
    for one, other in zip(rounds[0], rounds[2], strict=True):
        assert 0.7 < one.std() / other.std() < 1.4
    assert int(np.asarray(model.optimizer.iterations)) == 0
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)
    slots = [v for v in model.optimizer.variables if v.name.count("momentum")]
    assert slots and not any(to_numpy(v.value).any() for v in slots)
    (batch_norm,) = [x for x in model.layers if hasattr(x, "moving_mean")]
    assert not to_numpy(batch_norm.moving_mean).any()
    assert (to_numpy(batch_norm.moving_variance) == 1).all()


def test_new_weights_hang_on_seed_and_round_alone():
    draws = []
    for _ in range(2):
        model = blobs.trained()
        random.random()
        restart = started(model, seed=7)
        restart.begin(2)
        draws.append(state(model))
    for one, other in zip(*draws, strict=True):
        np.testing.assert_array_equal(one, other)
    started(model, seed=8).begin(2)
    assert not np.array_equal(kernels(model)[0], draws[0][0])


def test_drawing_leaves_the_programs_random_numbers_alone():
    model = blobs.trained()
    restart = started(model)
    random.seed(3)
    expected = random.random()
    random.seed(3)
    restart.begin(2)
    assert random.random() == expected


def test_what_is_frozen_stays():
    inner = keras.Sequential(
        [
            keras.Input((16, 16, 2)),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
        ]
    )
    head = keras.layers.Dense(2)
    inputs = keras.Input((16, 16, 2))
    x = keras.layers.GlobalAveragePooling2D()(inner(inputs))
    model = keras.Model(inputs, head(x))
    inner.layers[0].trainable = False
    blobs.compiled(model, keras.optimizers.SGD(0.1))
    restart = started(model)
    inner.layers[1].moving_mean.assign(np.full(4, 5.0))
    frozen, old = inner.get_weights()[0], head.get_weights()[0]
    restart.begin(2)
    np.testing.assert_array_equal(inner.get_weights()[0], frozen)
    assert not np.array_equal(head.get_weights()[0], old)
    assert not to_numpy(inner.layers[1].moving_mean).any()


def test_every_round_may_start_from_the_same_weights():
    model = blobs.trained()
    restart = started(model, "start")
    before = restart.values()
    for round_id in (2, 3):
        train(model)
        restart.begin(round_id)
        for old, now in zip(before, restart.values(), strict=True):
            np.testing.assert_array_equal(now, old)


def test_a_function_may_make_the_network_of_a_round():
    model = blobs.trained()
    made = []

    def make():
        made.append(blobs.trained())
        return made[-1]

    started(model, make).begin(2)
    for one, other in zip(kernels(model), kernels(made[0]), strict=True):
        np.testing.assert_array_equal(one, other)
    restart = started(model, blobs.brightest)
    with pytest.raises(ValueError, match="must have the weights of the one"):
        restart.begin(2)


def test_a_model_without_config_needs_a_function():
    class Custom(keras.Model):
        def __init__(self, units):
            super().__init__()
            self.dense = keras.layers.Dense(units)

        def call(self, inputs):
            return self.dense(inputs)

    model = Custom(2)
    with pytest.raises(ValueError, match="must be built before `fit`"):
        Restart(model, "new", 0)
    model(np.zeros((1, 3)))
    blobs.compiled(model, keras.optimizers.SGD(0.1))
    restart = started(model)
    with pytest.raises(ValueError, match="cannot be made anew"):
        restart.begin(2)


@pytest.mark.slow
def test_all_replicas_start_alike(strategy):
    with strategy.scope():
        model = blobs.trained()
    restart = started(model)
    train(model)
    restart.begin(2)
    for variable in (*model.variables, *model.optimizer.variables):
        first, second = strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first.numpy(), second.numpy())
    assert int(np.asarray(model.optimizer.iterations)) == 0


@pytest.mark.slow
def test_random_states_hang_on_seed_round_and_epoch():
    def states(seed, *places):
        model = blobs.trained()
        restart = started(model, seed=seed)
        found = []
        for place in places:
            train(model)
            restart.begin_epoch(*place)
            (state,) = (v.numpy() for v in restart._seeds)
            found.append(tuple(state.tolist()))
        return found

    first = states(0, (1, 0), (1, 1), (2, 0))
    assert len(set(first)) == 3
    assert states(0, (2, 0), (1, 0)) == [first[2], first[0]]
    assert states(1, (1, 0)) != first[:1]
