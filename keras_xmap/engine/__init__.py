"""Any Keras model in, evidence out: scores, activations and gradients.

What is here is written for every backend; what a backend answers stands in
`contract`, and the answers of TensorFlow in `engine.tensorflow`, the only
folder of the explainers that imports it. It is loaded when first asked for.
"""

import importlib

from keras_xmap.engine._requirements import check_backend

# Answered by the backend.
_OF_BACKEND = (
    "Evaluation",
    "Runner",
    "evaluate",
    "mean_of_samples",
    "normal_noise",
    "require",
    "stack_of_samples",
    "uniform_noise",
)

__all__ = [*_OF_BACKEND, "check_backend"]


def __getattr__(name):
    if name in _OF_BACKEND:
        check_backend()
        return getattr(importlib.import_module(f"{__name__}.tensorflow"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
