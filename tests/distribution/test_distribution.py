"""What Keras does under a strategy, and what is put right."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xmap.distribution import Workers
from keras_xmap.distribution import distribution_safe
from keras_xmap.distribution import global_mean
from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow


def make_model(optimizer=None, **kwargs):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((5,)), layers.Dense(4, activation="tanh"), layers.Dense(1)]
    )
    model.compile(
        optimizer or keras.optimizers.SGD(0.1, momentum=0.9),
        "mse",
        metrics=["mae"],
        **kwargs,
    )
    return model


def make_image_model():
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            layers.Conv2D(2, 3, activation="tanh"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def make_images():
    return np.random.default_rng(1).uniform(size=(2, 4, 4, 3))


def make_data(num_samples, batch_size, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_samples, 5)).astype("float32")
    y = rng.normal(size=(num_samples, 1)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size)


# If one of the next two tests fails, Keras has been mended: see whether
# `distribution_safe` is still needed for it.


def test_keras_itself_fails_on_a_first_batch_that_does_not_divide(strategy):
    with strategy.scope():
        model = make_model()
    with pytest.raises(tf.errors.InvalidArgumentError, match="same size"):
        model.fit(make_data(7, 8), verbose=0)


def test_keras_itself_fails_on_booleans(strategy):
    with strategy.scope():
        model = make_model()
    data = make_data(8, 8).map(lambda x, y: (x, y > 0))
    with pytest.raises((TypeError, ValueError, tf.errors.OpError)):
        model.fit(data, verbose=0)


@pytest.mark.slow
def test_batches_that_do_not_divide_and_booleans_train(strategy):
    with strategy.scope():
        model = distribution_safe(make_model())
    for size in (7, 9):
        history = model.fit(make_data(size, 8), epochs=2, verbose=0)
        assert np.isfinite(history.history["loss"]).all()
    data = make_data(7, 8).map(lambda x, y: (x, y > 0))
    assert np.isfinite(model.evaluate(data, verbose=0)).all()
    assert np.isfinite(model.fit(data, verbose=0).history["loss"]).all()
    assert model.predict(make_data(7, 8), verbose=0).shape == (7, 1)


@pytest.mark.slow
def test_what_is_learned_is_what_one_replica_learns(strategy):
    with strategy.scope():
        several = distribution_safe(make_model())
    one = make_model()
    for model in (one, several):
        model.fit(make_data(16, 8), epochs=3, verbose=0)
    for a, b in zip(one.get_weights(), several.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_without_a_strategy_nothing_changes():
    plain, safe = make_model(), distribution_safe(make_model())
    histories = [
        m.fit(make_data(7, 4), epochs=2, verbose=0).history
        for m in (plain, safe)
    ]
    assert histories[0] == histories[1]


def test_only_the_model_that_is_handed_over_is_changed(tmp_path):
    before = dict(vars(keras.Model))
    model = make_model()
    config = model.get_config()
    assert distribution_safe(model) is model
    assert distribution_safe(model) is model  # twice is once
    assert dict(vars(keras.Model)) == before
    assert model.get_config() == config
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert "_maybe_symbolic_build" in vars(model)
    assert "_maybe_symbolic_build" not in vars(loaded)
    assert "_maybe_symbolic_build" not in vars(make_model())


def test_another_keras_is_noticed(monkeypatch):
    monkeypatch.setattr(
        keras.Model, "_maybe_symbolic_build", lambda self, batch: None
    )
    with pytest.raises(RuntimeError, match="another way than"):
        distribution_safe(make_model())


def test_only_models_are_taken():
    with pytest.raises(TypeError, match="Received: model=<Dense"):
        distribution_safe(layers.Dense(1))


class GlobalMean(keras.Model):
    def compute_loss(self, x, y, y_pred, sample_weight, training=True):
        return global_mean(tf.square(y - y_pred)[:, 0])


@pytest.mark.parametrize(
    "num_samples",
    [15, 9, *(pytest.param(x, marks=pytest.mark.slow) for x in (16, 7))],
)
def test_the_global_mean_weighs_all_samples_alike(strategy, num_samples):
    def trained():
        keras.utils.set_random_seed(3)
        inputs = keras.Input((5,))
        model = GlobalMean(inputs, layers.Dense(1)(inputs))
        model.compile(keras.optimizers.SGD(0.1))
        distribution_safe(model).fit(make_data(num_samples, 8), verbose=0)
        return model.get_weights()

    with strategy.scope():
        several = trained()
    for a, b in zip(trained(), several, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_global_mean_of_nothing_is_zero():
    assert float(global_mean(tf.zeros((0,)))) == 0
    assert float(global_mean(tf.constant([1.0, 4.0]))) == 2.5


def test_the_global_mean_of_whole_numbers_is_refused():
    with pytest.raises(TypeError, match="Received: per_sample of dtype int32"):
        global_mean([1, 4])
    for values in (None, [[1.0], [1.0, 2.0]], ["a"]):
        with pytest.raises(TypeError, match="Received: per_sample"):
            global_mean(values)


def test_one_process_is_its_own_chief(strategy):
    for of in (strategy, tf.distribute.get_strategy()):
        workers = Workers(of)
        assert (workers.count, workers.index, workers.is_chief) == (1, 0, True)
        assert workers.sum([1.5, 2]) == [1.5, 2.0]
        assert repr(workers) == f"Workers(strategy={type(of).__name__}())"


def test_what_is_no_list_of_numbers_has_no_sum():
    workers = Workers(tf.distribute.get_strategy())
    for values in (None, "ab", ["a"], {1: 2}, [None], [[1], [2, 3]]):
        with pytest.raises(TypeError, match="Received: values"):
            workers.sum(values)
    for values in (3, np.float32(3), np.ones((2, 2))):
        with pytest.raises(ValueError, match="Received: values of shape"):
            workers.sum(values)
    assert workers.sum(np.array([1, 2])) == [1.0, 2.0]
    assert workers.sum([]) == []


def test_workers_are_those_of_a_strategy():
    with pytest.raises(TypeError, match="Received: strategy='workers'"):
        Workers("workers")


WORKER = pathlib.Path(__file__).with_name("distribution_worker.py")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_workers(script, *arguments, count=2):
    """Starts processes that train together, and returns them."""
    cluster = {"worker": [f"localhost:{p}" for p in free_ports(count)]}
    processes = []
    for index in range(count):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": cluster, "task": task})
        processes.append(
            subprocess.Popen(
                [sys.executable, str(script), *map(str, arguments)],
                env={**os.environ, "TF_CONFIG": config},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return processes


@pytest.mark.slow
def test_two_workers_learn_what_one_process_learns(tmp_path):
    processes = start_workers(WORKER, tmp_path)
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [p.returncode for p in processes] == [0, 0], outputs[0][1][-3000:]
    losses, weights = zip(
        *(json.loads(out.splitlines()[-1]) for out, _ in outputs), strict=True
    )
    assert losses[0] == losses[1] and weights[0] == weights[1]
    model = make_model()
    history = model.fit(make_data(16, 8), epochs=3, verbose=0)
    np.testing.assert_allclose(losses[0], history.history["loss"], rtol=1e-5)
    total = [float(np.abs(w).sum()) for w in model.get_weights()]
    np.testing.assert_allclose(weights[0], total, rtol=1e-5)
    # Keras itself fails; if it does not any more, see what is still needed.
    assert all("stock fit failed" in out for out, _ in outputs)
    # The first worker has logged what the network looks at, and no other.
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    images, model = make_images(), make_image_model()
    data = tf.data.Dataset.from_tensor_slices((images, [0, 1])).batch(2)
    model.fit(data, epochs=2, verbose=0)
    np.testing.assert_allclose(
        np.load(tmp_path / "0" / "maps.epoch-00002.npy")[:, 0],
        Saliency(model).explain(images, 0),
        rtol=1e-4,
    )
