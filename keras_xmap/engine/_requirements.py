"""Says what is missing, before anything is explained without it."""

import importlib.util

import keras

_REMEDY = (
    '`pip install "keras-xmap[cpu]"` adds TensorFlow for a CPU, '
    '`pip install "keras-xmap[gpu]"` for GPUs; any TensorFlow >= 2.18 of your '
    "own is as good."
)


def check_backend():
    """Raises an `ImportError` unless models can be explained here."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ImportError(
            "The explainers of keras_xmap explain models that run on "
            "TensorFlow. Expected: the Keras backend 'tensorflow'. Received: "
            f"keras.backend.backend()={backend!r}. Set the environment "
            "variable KERAS_BACKEND=tensorflow before Keras is imported. "
            f"{_REMEDY}"
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            "The explainers of keras_xmap need TensorFlow. Received: a Python "
            f"without the package tensorflow. {_REMEDY}"
        )
