"""Evidence for any Keras model, at training time and after it.

`keras_xmap.layers`, `losses`, `metrics`, `models` and `ops` are there after
`import keras_xmap`, so that `keras.models.load_model` knows every class that
a file may hold. The other sub-packages load when they are first used, as does
`keras_xmap.compare` and `report`, which stand in `keras_xmap.comparison`. All
but `keras_xmap.distribution`, `keras_xmap.erasing` and
`keras_xmap.weak_segmentation` import on every Keras backend; making an
explainer needs TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING

from keras_xmap._installation import explain_what_is_missing
from keras_xmap._installation import is_run_as_a_command

# `python -m keras_xmap` imports this package first of all. Its command loads
# these when it needs them, without what frameworks print meanwhile.
if not is_run_as_a_command():
    try:
        from keras_xmap import layers
        from keras_xmap import losses
        from keras_xmap import metrics
        from keras_xmap import models
        from keras_xmap import ops
    except ModuleNotFoundError as error:
        explain_what_is_missing(error)
        raise

# Editors and type checkers see the imports; if they saw `__getattr__`, any
# name would be one of ours.
if TYPE_CHECKING:
    from keras_xmap import callbacks
    from keras_xmap import comparison
    from keras_xmap import datasets
    from keras_xmap import distribution
    from keras_xmap import erasing
    from keras_xmap import explainers
    from keras_xmap import regions
    from keras_xmap import segmentation
    from keras_xmap import targets
    from keras_xmap import visualization
    from keras_xmap import weak_segmentation
    from keras_xmap.comparison import compare as compare
    from keras_xmap.comparison import report as report
else:
    _FUNCTIONS = ("compare", "report")

    def __getattr__(name):
        if name in _FUNCTIONS:
            return getattr(__getattr__("comparison"), name)
        if name not in __all__:
            raise AttributeError(
                f"module {__name__!r} has no attribute {name!r}"
            )
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            explain_what_is_missing(error, f"{__name__}.{name}")
            raise

    def __dir__():
        return sorted({*globals(), *__all__, *_FUNCTIONS})


__version__ = "0.1.0"

__all__ = [
    "__version__",
    "callbacks",
    "comparison",
    "datasets",
    "distribution",
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
    "weak_segmentation",
]
