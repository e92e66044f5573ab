"""Ids of images, classes and rounds, as the files of a store can keep them."""

from collections.abc import Iterable

import numpy as np

from keras_xmap._checks import check_integer
from keras_xmap._checks import is_integer

# A column of a file holds ids of 64 bits, with a sign or without.
_LARGEST_SIGNED = 2**63 - 1
_LARGEST = 2**64 - 1


def as_ids(image_ids):
    """Returns ids as a list of Python integers or text.

    They are taken one by one where they do not come as an array, for which
    NumPy would write numbers as text, and large ones as floats.
    """
    if isinstance(image_ids, (list, tuple, range, set, frozenset)):
        ids = list(image_ids)
    else:
        array = _as_array(image_ids)
        if array.ndim != 1:
            raise ValueError(
                "`image_ids` must have one axis. Received: image_ids.shape="
                f"{array.shape}."
            )
        ids = array.tolist()
    return [as_id(image_id) for image_id in ids]


def as_id(image_id):
    """Returns an id as a Python integer or text that a file can keep."""
    if hasattr(image_id, "shape") and not isinstance(image_id, np.generic):
        image_id = _as_array(image_id)[()]
    if isinstance(image_id, bytes):
        return _as_text(image_id)
    if isinstance(image_id, str):
        _as_text(image_id.encode("utf-8", "surrogatepass"))
        return str(image_id)
    if not is_integer(image_id):
        raise TypeError(
            f"Image ids must be integers or text. Received: {image_id!r}."
        )
    if not -_LARGEST_SIGNED - 1 <= image_id <= _LARGEST:
        raise ValueError(
            "Image ids must be from -2**63 to 2**64 - 1. Received: "
            f"{image_id!r}. Write larger ones as text: str(image_id)."
        )
    return int(image_id)


def is_unsigned(image_id):
    """Returns whether an id is a number that needs all of 64 bits."""
    return not isinstance(image_id, str) and image_id > _LARGEST_SIGNED


def as_classes(class_ids):
    """Returns class numbers as a list of Python integers >= 0."""
    if not isinstance(class_ids, (list, tuple, range)):
        array = _as_array(class_ids)
        if array.ndim != 1:
            raise ValueError(
                "`class_ids` must have one axis. Received: class_ids.shape="
                f"{array.shape}."
            )
        class_ids = array.tolist()
    return [as_number("class_ids", class_id) for class_id in class_ids]


def as_number(name, value):
    """Returns the number of a class or round, an integer that a file keeps."""
    return check_integer(name, value, 0, _LARGEST_SIGNED)


def as_rounds(rounds):
    """Returns `None` for all rounds, or a set of them."""
    if rounds is None:
        return None
    if hasattr(rounds, "shape"):
        rounds = _as_array(rounds).tolist()
    if is_integer(rounds):
        rounds = (rounds,)
    if not isinstance(rounds, Iterable) or isinstance(
        rounds, (str, bytes, dict)
    ):
        raise TypeError(
            "`rounds` must be an integer, a collection of integers or None. "
            f"Received: rounds={rounds!r}."
        )
    return frozenset(as_number("rounds", round_id) for round_id in rounds)


def _as_text(content):
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Image ids of text must be UTF-8. Received: {content!r}: {error}."
        ) from error
    if "\0" in text:
        raise ValueError(
            f"Image ids of text must not hold NUL. Received: {text!r}."
        )
    return text


def _as_array(values):
    try:
        return np.asarray(values)
    except Exception as error:
        # Each library that makes tensors has errors of its own.
        raise TypeError(
            "Ids must be a sequence, an array or a tensor. Received: "
            f"{type(values).__name__}: {error}."
        ) from error
