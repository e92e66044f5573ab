"""Evidence for any Keras model, at training time and after it.

The sub-packages load when they are first used: `keras_xmap.layers`,
`keras_xmap.losses`, `keras_xmap.models`, `keras_xmap.metrics` and
`keras_xmap.ops` run on every Keras backend; `keras_xmap.explainers`,
`keras_xmap.targets`, `keras_xmap.segmentation` and `keras_xmap.callbacks` work
on TensorFlow models and need TensorFlow.
"""

import importlib

__version__ = "0.1.0"

_SUBPACKAGES = (
    "callbacks",
    "datasets",
    "distribution",
    "engine",
    "erasing",
    "explainers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "regions",
    "segmentation",
    "targets",
    "visualization",
)

__all__ = [*_SUBPACKAGES, "__version__"]


def __getattr__(name):
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_SUBPACKAGES})
