"""Which input of a model is meant by a name or a number."""

import keras

from keras_xmap.engine.given import given


def chosen_inputs(model, inputs, input_name):
    """Returns the inputs that `input_name` means: a list, all for `None`.

    Args:
        model: The model, whose `keras.Input` layers have names.
        inputs: Structure of tensors, as the model takes it.
        input_name: Key of a dict, number in a list, or name of the
            `keras.Input`.

    Raises:
        ValueError: If it names no input, or one that is left out.
    """
    if input_name is None:
        return given(inputs)
    named = _by_place(inputs)
    for name, x in _by_layer(model, inputs).items():
        named.setdefault(name, x)
    is_name = isinstance(input_name, (str, int))
    if not is_name or isinstance(input_name, bool) or input_name not in named:
        known = [x for x in named if isinstance(x, str) or x >= 0]
        raise ValueError(
            "`input_name` must be the name or the number of an input of the "
            f"model. Received: input_name={input_name!r}. Inputs: "
            f"{', '.join(map(repr, known))}."
        )
    if named[input_name] is None:
        raise ValueError(
            "`input_name` must be an input that is given. Received: "
            f"input_name={input_name!r}, which is None in the data."
        )
    return [named[input_name]]


def _by_place(inputs):
    """Returns the tensors by their keys or numbers."""
    if isinstance(inputs, dict):
        entries = dict(inputs)
    elif isinstance(inputs, (list, tuple)):
        entries = dict(enumerate(inputs))
        entries.update({n - len(inputs): x for n, x in enumerate(inputs)})
    else:
        entries = {0: inputs, -1: inputs}
    return {
        name: x
        for name, x in entries.items()
        if not isinstance(x, (dict, list, tuple))
    }


def _by_layer(model, inputs):
    """Returns the tensors by the names of the model's `keras.Input`s."""
    declared = getattr(model, "inputs", None) or ()
    flat = keras.tree.flatten(inputs)
    if len(declared) != len(flat) or not _is_in_order(model, inputs):
        return {}
    return {x.name: y for x, y in zip(declared, flat, strict=True)}


def _is_in_order(model, inputs):
    """Whether inputs come in the order in which the model declares them.

    Dictionaries do if they have the model's own keys.
    """
    if not _holds_a_dict(inputs):
        return True
    try:
        keras.tree.assert_same_structure(model.input, inputs)
    except (AttributeError, TypeError, ValueError):
        return False
    return True


def _holds_a_dict(structure):
    if isinstance(structure, (list, tuple)):
        return any(map(_holds_a_dict, structure))
    return isinstance(structure, dict)
