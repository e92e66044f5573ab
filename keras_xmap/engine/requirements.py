"""Says what is missing, before anything here is imported without it."""

_REMEDY = (
    '`pip install "keras-xmap[cpu]"` adds TensorFlow for a CPU, '
    '`pip install "keras-xmap[gpu]"` for GPUs; any TensorFlow >= 2.18 of your '
    "own is as good."
)

try:
    import keras
except ImportError as error:
    raise ImportError(
        f"The explainers of keras_xmap need TensorFlow. {_REMEDY}"
    ) from error

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "The explainers of keras_xmap explain models that run on TensorFlow. "
        "Expected: the Keras backend 'tensorflow'. Received: "
        f"keras.backend.backend()={keras.backend.backend()!r}. Set the "
        "environment variable KERAS_BACKEND=tensorflow before Keras is "
        f"imported. {_REMEDY}"
    )
