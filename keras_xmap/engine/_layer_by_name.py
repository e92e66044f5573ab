"""Which layer call of a model is meant by a name.

A layer is given as the object, by its name anywhere in the model, or by its
path such as `"base/Conv_1"`; `":0"` behind a name means the first call of a
layer that is called several times.
"""

import logging

import keras
from keras import ops

logger = logging.getLogger("keras_xmap")


def named_call(calls, target_layer):
    """Returns the call of `calls` that `target_layer` stands for.

    Of a layer that is called several times it is the last, unless the name
    ends in `":n"`.

    Raises:
        ValueError: If no layer, or more than one, fits.
        TypeError: If `target_layer` is neither layer nor name.
    """
    found = _fitting_calls(calls, target_layer)
    if len(found) > 1:
        logger.info(
            "Layer %r is called %d times; explaining the last call (append "
            "':0' to its name for the first).",
            found[-1].path,
            len(found),
        )
    call = found[-1]
    if not ops.is_tensor(call.outputs):
        shapes = keras.tree.map_structure(lambda x: x.shape, call.outputs)
        raise ValueError(
            "`target_layer` must be a layer that returns one tensor. "
            f"Received: target_layer={_describe(target_layer)}, which returns "
            f"{shapes}."
        )
    return call


def _fitting_calls(calls, target_layer):
    if isinstance(target_layer, keras.layers.Layer):
        found = [call for call in calls if call.layer is target_layer]
    else:
        name, index = _split_index(target_layer)
        named = [
            call
            for call in calls
            if call.path and f"/{call.path}".endswith(f"/{name}")
        ]
        found = [call for call in named if call.path == name] or named
        found = found if index is None else found[index : index + 1]
    if not found:
        known = dict.fromkeys(call.path for call in calls if call.path)
        raise ValueError(
            "`target_layer` must be a layer that runs when the model is "
            "called, given as the layer, its name or its path. Received: "
            f"target_layer={_describe(target_layer)}. Layers that run: "
            f"{', '.join(known) or 'none'}."
        )
    if len({id(call.layer) for call in found}) > 1:
        paths = dict.fromkeys(call.path for call in found)
        raise ValueError(
            "`target_layer` must name one layer. Received: target_layer="
            f"{target_layer!r}, which fits {', '.join(paths)}. Pass the path, "
            "or the layer itself."
        )
    return found


def _split_index(name):
    if not isinstance(name, str):
        raise TypeError(
            "`target_layer` must be a keras.layers.Layer, a name or None. "
            f"Received: target_layer={name!r} (of type {type(name).__name__})."
        )
    base, separator, index = name.rpartition(":")
    if separator and index.isdigit():
        return base, int(index)
    return name, None


def _describe(target_layer):
    return repr(getattr(target_layer, "name", target_layer))
