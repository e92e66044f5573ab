"""How public objects print: as the call that makes them."""

import inspect

import keras
import numpy as np

from keras_xmap._checks import is_number

_MOST_CHARACTERS = 60


def call_repr(instance, positional=(), without=()):
    """Returns the call that makes `instance`, without what is at its default.

    For classes that keep each argument of `__init__` as an attribute of the
    same name.

    Args:
        instance: The object.
        positional: Names of arguments that are shown without their name.
        without: Names of arguments that are not shown.
    """
    shown = {}
    for name, parameter in inspect.signature(type(instance)).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD or name in without:
            continue
        value = getattr(instance, name, parameter.default)
        if not _is_default(value, parameter.default):
            shown[name] = value
    return as_call(instance, positional, **shown)


def as_call(instance, positional=(), /, **arguments):
    """Returns text such as `RegionStore(directory='regions', worker=0)`."""
    shown = [
        _short(value) if name in positional else f"{name}={_short(value)}"
        for name, value in arguments.items()
    ]
    return f"{type(instance).__name__}({', '.join(shown)})"


def _is_default(value, default):
    # 0 is kept as 0.0 where a number is asked for; True is neither.
    alike = type(value) is type(default) or (
        is_number(value) and is_number(default)
    )
    try:
        return alike and bool(value == default)
    except ValueError:  # an array
        return False


def _short(value):
    if isinstance(value, keras.layers.Layer):
        return f"<{type(value).__name__} {value.name!r}>"
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"<array of shape {value.shape}>"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_short(entry) for entry in value)
        comma = "," if len(value) == 1 else ""
        is_list = isinstance(value, list)
        text = f"[{inner}]" if is_list else f"({inner}{comma})"
    elif callable(value) and hasattr(value, "__name__"):
        text = value.__name__
    else:
        text = repr(value)
    if len(text) > _MOST_CHARACTERS and not isinstance(value, str):
        text = f"{text[:_MOST_CHARACTERS]}..."
    return text


def with_shapes(arrays):
    """Returns what a named tuple of arrays is, without their numbers."""
    shapes = {
        name: f"<{array.dtype} {array.shape}>"
        for name, array in arrays._asdict().items()
    }
    text = ", ".join(f"{name}={shape}" for name, shape in shapes.items())
    return f"{type(arrays).__name__}({text})"
