"""Arrays and tensors of numbers, of whatever a user passes for one.

Each library that makes them has errors of its own for text, ragged lists or
objects. Here they become one that says which argument it was, and what to do.
"""

import functools
import operator
import reprlib

import keras
import numpy as np
from keras import ops

_RAGGED = (
    "Rows of different lengths are no array: pad them, or pass each alone."
)


def as_array(name, value):
    """Returns `value` as a NumPy array of booleans, integers or floats."""
    try:
        if not isinstance(value, (np.ndarray, np.generic, list, tuple)):
            value = ops.convert_to_numpy(value)
        array = np.asarray(value)
    except Exception as error:
        raise _refusal(name, value) from error
    if array.dtype.name == "bfloat16":
        array = array.astype("float32")
    if array.dtype.kind not in "buif":
        raise _refusal(name, value, array.dtype)
    return array


def as_tensor(name, value, convert=None):
    """Returns `value` as a tensor of booleans, integers or floats.

    Args:
        name: String, what the argument is called.
        value: What was given.
        convert: Function that makes the tensor, where it is not one of the
            Keras backend. Defaults to `None`.
    """
    if isinstance(value, keras.KerasTensor) and convert is None:
        return ops.convert_to_tensor(value)  # Keras says what it is
    convert = convert or functools.partial(ops.convert_to_tensor, sparse=False)
    try:
        tensor = convert(value)
    except Exception as error:
        raise _refusal(name, value) from error
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if not _is_numeric(dtype) or _is_ragged(tensor):
        raise _refusal(name, value, dtype)
    return tensor


def of_each(reduce, tensor):
    """Returns what `ops.all` or `ops.any` says of each image, `(batch,)`.

    Up to Keras 3.13, they take several axes on PyTorch from the last one on.
    """
    return reduce(tensor, axis=tuple(range(len(tensor.shape) - 1, 0, -1)))


def known_integer(scalar):
    """Returns a scalar tensor as an int, or `None` while it is traced."""
    try:
        return operator.index(scalar)  # AutoGraph would leave int() a tensor
    except TypeError:
        return None


def check_numeric(name, tensor):
    """Returns a tensor, which must hold booleans, integers or floats."""
    if not hasattr(tensor, "dtype"):  # Keras hands `None` and lists on
        raise _refusal(name, tensor)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if not _is_numeric(dtype) or _is_ragged(tensor):
        raise _refusal(name, tensor, dtype)
    return tensor


def _is_numeric(dtype):
    return dtype != "string" and "complex" not in dtype


def _is_ragged(tensor):
    return type(tensor).__name__ == "RaggedTensor"


def _refusal(name, value, dtype=None):
    remedy = ""
    if _is_ragged(value):
        received = "a RaggedTensor"
        remedy = f" {_RAGGED}"
    elif dtype is not None:
        received = f"{name}.dtype={dtype}"
    else:
        received = f"{name}={reprlib.repr(value)}"
        if isinstance(value, (list, tuple)):
            remedy = f" {_RAGGED}"
    return TypeError(
        f"`{name}` must be an array or a tensor of real numbers. Received: "
        f"{received}.{remedy}"
    )
