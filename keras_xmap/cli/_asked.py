"""What a command is asked about: a model in a file, and a class of it."""

import os
import typing

import keras

from keras_xmap._messages import said_by
from keras_xmap.cli._class_names import ClassNames
from keras_xmap.cli._model_inputs import ModelInputs
from keras_xmap.cli._model_outputs import ModelOutput
from keras_xmap.cli._pixels import Pixels

# What Keras says of a class that it does not know.
_UNKNOWN_LAYER = ("Could not locate class", "Unknown layer")


class Asked(typing.NamedTuple):
    """A model, and what is asked of it; `target` as of `ClassNames.index`."""

    class_names: ClassNames
    target: int | str | None
    model: keras.layers.Layer
    inputs: ModelInputs
    output: ModelOutput


def asked(arguments):
    """Returns the `Asked` of the arguments; mistakes that need no model first.

    Args:
        arguments: Those that `_add_what_is_asked`, `_add_pixels` and
            `_add_unsafe` of the command add, and `model`.
    """
    class_names = ClassNames(arguments.labels)
    target = class_names.index(arguments.target)
    pixels = Pixels(arguments.range, arguments.preprocess)
    model = load_model(arguments.model, safe=not arguments.unsafe)
    pixels.hint(model)
    inputs = ModelInputs(model, pixels)
    output = ModelOutput(model, arguments.output, inputs, arguments.class_axis)
    return Asked(class_names, target, model, inputs, output)


def load_model(path, safe):
    """Returns the model in a file; `safe` refuses one that holds code."""
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"A model must be a file. Received: {path}, which is not there."
        )
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=safe)
    except Exception as error:
        raise ValueError(
            f"A model must be a file that Keras can load. Received: {path}: "
            f"{said_by(error)} {_remedy(str(error), safe)}".rstrip()
        ) from error
    shapes = [tuple(x.shape) for x in keras.tree.flatten(model.outputs)]
    if not any(len(x) == 1 or 1 in x[1:] for x in shapes):
        return model
    try:
        # What a single unit means the loss may tell, which is loaded along.
        return keras.saving.load_model(path, safe_mode=safe)
    except Exception:
        # A loss, metric or optimizer that is not known here.
        return model


def _remedy(said, safe):
    """Returns what to do about an error of Keras that has a way out."""
    if safe and "safe_mode" in said:
        return "The model holds Python code; if you trust it, add `--unsafe`."
    if any(sign in said for sign in _UNKNOWN_LAYER):
        return (
            "A model with layers of your own must be explained in Python, "
            "where they are imported, by `keras_xmap.explainers`."
        )
    return ""
