"""The backend in use, and its answers as functions."""

import functools
import importlib
import importlib.util

import keras

_REMEDY = (
    '`pip install "keras-xmap[cpu]"` adds TensorFlow for a CPU, '
    '`pip install "keras-xmap[gpu]"` for GPUs; any TensorFlow >= 2.18 of your '
    "own is as good."
)


def backend():
    """Returns the `Backend` for the models of this process.

    Raises:
        ImportError: If models of this Keras backend cannot be explained, or
            if what explains them is not installed.
    """
    name = keras.backend.backend()
    if name != "tensorflow":
        raise ImportError(
            "The explainers of keras_xmap explain models that run on "
            "TensorFlow. Expected: the Keras backend 'tensorflow'. Received: "
            f"keras.backend.backend()={name!r}. Set the environment variable "
            f"KERAS_BACKEND=tensorflow before Keras is imported. {_REMEDY}"
        )
    return _tensorflow()


@functools.cache
def _tensorflow():
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            "The explainers of keras_xmap need TensorFlow. Received: a Python "
            f"without the package tensorflow. {_REMEDY}"
        )
    module = importlib.import_module("keras_xmap.engine.tensorflow")
    return module.TensorFlow()


def evaluate(model, inputs, score="logits", replacement=None):
    """Calls `model` once; see `contract.Backend.evaluate`."""
    return backend().evaluate(model, inputs, score, replacement)


def require(condition, message, *values):
    """Stops with `message` unless the scalar `condition` holds.

    Where its value is known this is a plain check, which needs no backend;
    while a step is traced see `contract.Backend.require`.

    Args:
        condition: Scalar boolean, or tensor.
        message: String.
        *values: What is printed behind the message.

    Raises:
        ValueError: If `condition` is known to be false.
    """
    try:
        holds = bool(condition)
    except TypeError:  # a tensor that is traced has no value
        return backend().require(condition, message, *values)
    if not holds:
        raise ValueError(" ".join([message, *map(str, values)]))
    return None


def after(done, structure):
    """Lets tensors wait for others; see `contract.Backend.after`."""
    return backend().after(done, structure)


def normal_noise(shape, seed, index):
    """Draws noise; see `contract.Backend.normal_noise`."""
    return backend().normal_noise(shape, seed, index)


def uniform_noise(shape, seed, index):
    """Draws noise; see `contract.Backend.uniform_noise`."""
    return backend().uniform_noise(shape, seed, index)


def mean_of_samples(function, num_samples, like):
    """Averages samples; see `contract.Backend.mean_of_samples`."""
    return backend().mean_of_samples(function, num_samples, like)


def stack_of_samples(function, num_samples):
    """Stacks samples; see `contract.Backend.stack_of_samples`."""
    return backend().stack_of_samples(function, num_samples)
