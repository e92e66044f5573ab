"""Which layer call of a model is meant by a name.

A layer is given as the object, by its name anywhere in the model, or by its
path such as `"base/Conv_1"`; `":0"` behind a name means the first call of a
layer that is called several times. The operations between layers have names
likewise: those of a functional model as Keras names them, `"base/add_3"`,
and `"block/add"` for the first sum in the `call` of the layer `block`.
"""

import difflib

import keras
from keras import ops

from keras_xmap.engine._inputs import input_names
from keras_xmap.engine._inputs import made_from

_MOST_NAMES = 8  # calls that a message lists


def named_call(evaluation, target_layer, score=None, inputs=None):
    """Returns the call that `target_layer` stands for.

    A layer that is called several times needs the number of the call, unless
    only one of them has a part in `score`, or is made from `inputs`.

    Args:
        evaluation: `Evaluation`.
        target_layer: `keras.layers.Layer`, name or path.
        score: Tensor, or `None`: every call counts.
        inputs: List of those inputs from which the call has to be made;
            `None` where the caller cannot choose between them.

    Raises:
        ValueError: If no call, or more than one, fits.
        TypeError: If `target_layer` is neither layer nor name.
    """
    found = _fitting_calls(evaluation.calls, target_layer)
    if score is not None and len(found) > 1:
        above = evaluation.ancestors(score)
        found = [x for x in found if _is_among(x.outputs, above)] or found
    if inputs is not None:
        found = _made_from_inputs(evaluation, target_layer, found, inputs)
    if len(found) > 1:
        raise _several_calls(evaluation, target_layer, found, inputs)
    call = found[0]
    if not ops.is_tensor(call.outputs):
        shapes = keras.tree.map_structure(lambda x: x.shape, call.outputs)
        raise ValueError(
            "`target_layer` must be a layer that returns one tensor. "
            f"Received: target_layer={_describe(target_layer)}, which returns "
            f"{shapes}."
        )
    return call


def name_of(calls, call):
    """Returns the path of a call, with its number if there are several."""
    same = [other for other in calls if other.path == call.path]
    if len(same) == 1 and not _may_mean_a_layer(calls, call):
        return call.path
    return f"{call.path}:{[other is call for other in same].index(True)}"


def _is_among(outputs, container):
    return any(
        x in container for x in keras.tree.flatten(outputs) if ops.is_tensor(x)
    )


def _made_from_inputs(evaluation, target_layer, calls, inputs):
    """Returns the calls that are made from `inputs`, best from no others."""
    num_inputs = len(evaluation.given_inputs)
    sources = {
        id(call): made_from(evaluation, keras.tree.flatten(call.outputs)[0])
        for call in calls
    }
    if len(inputs) == num_inputs:
        return calls

    def is_chosen(x):
        return any(x is y for y in inputs)

    found = [x for x in calls if any(map(is_chosen, sources[id(x)]))]
    if not found:
        places = [
            f"{name_of(evaluation.calls, x)!r}, made from "
            f"{input_names(evaluation, sources[id(x)])}"
            for x in calls[:_MOST_NAMES]
        ]
        raise ValueError(
            "`target_layer` must be made from the input that `input_name` "
            f"names. Received: target_layer={_describe(target_layer)} for "
            f"{input_names(evaluation, inputs)}, but it is "
            f"{'; '.join(places)}. Name a layer on the way from this input, "
            "or another `input_name`."
        )
    alone = [x for x in found if all(map(is_chosen, sources[id(x)]))]
    return alone or found


def _several_calls(evaluation, target_layer, calls, inputs):
    sources = [
        input_names(evaluation, made_from(evaluation, x))
        for x in (keras.tree.flatten(call.outputs)[0] for call in calls)
    ]
    names = [name_of(evaluation.calls, call) for call in calls]
    listed = [
        f"{name!r} made from {source}"
        for name, source in zip(names, sources, strict=True)
    ][:_MOST_NAMES]
    more = ", ..." if len(calls) > _MOST_NAMES else ""
    remedy = f"Pass the call that is meant, as target_layer={names[0]!r}"
    num_inputs = len(evaluation.given_inputs)
    may_choose = inputs is not None and len(inputs) == num_inputs
    if may_choose and len(set(sources)) == len(sources):
        remedy += ", or the input that it is made from as `input_name`"
    return ValueError(
        "`target_layer` must name one call of a layer. Received: "
        f"target_layer={_describe(target_layer)}, which is called "
        f"{len(calls)} times: {', '.join(listed)}{more}. {remedy}."
    )


def _fitting_calls(calls, target_layer):
    if isinstance(target_layer, keras.Operation):
        found = [call for call in calls if call.layer is target_layer]
    else:
        name, index = _split_index(target_layer)
        found = _named(calls, name, is_exact=index is not None)
        if index is not None:
            found = _numbered_call(target_layer, found, index)
    if not found:
        raise ValueError(
            "`target_layer` must be a layer that runs when the model is "
            "called, given as the layer, its name or its path. Received: "
            f"target_layer={_describe(target_layer)}. "
            f"{_known(calls, target_layer)}"
        )
    if len({id(call.layer or call.path) for call in found}) > 1:
        paths = dict.fromkeys(name_of(calls, call) for call in found)
        raise ValueError(
            "`target_layer` must name one layer. Received: target_layer="
            f"{target_layer!r}, which fits {', '.join(paths)}. Pass the path, "
            "or the layer itself."
        )
    return found


def _named(calls, name, is_exact):
    """Returns the calls whose path is, or ends with, a name.

    Keras names operations by itself, so that a name may mean a layer further
    inside although it is the path of an operation.
    """
    fitting = [
        call
        for call in calls
        if call.path and f"/{call.path}".endswith(f"/{name}")
    ]
    exact = [call for call in fitting if call.path == name]
    layers = [call for call in fitting if call.is_layer]
    if exact and not is_exact and not exact[0].is_layer:
        return [*layers, *exact]
    return exact or layers or fitting


def _may_mean_a_layer(calls, call):
    """Whether the path of an operation is the end of that of a layer."""
    return not call.is_layer and any(
        other.is_layer and other.path.endswith(f"/{call.path}")
        for other in calls
    )


def _known(calls, target_layer):
    """Tells the names of layers, and of the operations that may be meant."""
    layers = list(dict.fromkeys(x.path for x in calls if x.path and x.is_layer))
    joins = list(dict.fromkeys(x.path for x in calls if x.is_join))
    close = _alike([*layers, *joins], target_layer)
    text = f"Did you mean {' or '.join(close)}? " if close else ""
    text += f"Layers that run: {_listed(layers)}."
    if joins:
        text += f" Operations that join branches: {_listed(joins)}."
    return text


def _alike(names, target_layer):
    """Returns the names most like the one that is not there."""
    name = getattr(target_layer, "name", target_layer).lower()
    by_end = {path.rpartition("/")[2].lower(): path for path in names}
    by_end |= {path.lower(): path for path in names}
    found = difflib.get_close_matches(name, by_end, n=3, cutoff=0.75)
    return list(dict.fromkeys(by_end[key] for key in found))


def _listed(names):
    """Returns the names, of many the last, which are asked for most."""
    if len(names) <= 2 * _MOST_NAMES:
        return ", ".join(names) or "none"
    return (
        f"{len(names)}, listed by `model.summary(expand_nested=True)`; the "
        f"last are {', '.join(names[-_MOST_NAMES:])}"
    )


def _numbered_call(target_layer, calls, index):
    if calls and index >= len(calls):
        raise ValueError(
            "`target_layer` must be a call of a layer that runs. Received: "
            f"target_layer={target_layer!r}, of a layer that is called "
            f"{len(calls)} time{'s' if len(calls) > 1 else ''}: the last is "
            f"':{len(calls) - 1}'."
        )
    return calls[index : index + 1]


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
