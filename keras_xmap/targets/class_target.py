"""A class, which is what `Class` explains; `class.py` is no module's name."""

import keras
import numpy as np
from keras import ops

from keras_xmap import engine
from keras_xmap._entries import entries_of_rows
from keras_xmap._typing import ArrayLike
from keras_xmap.targets._single_unit import scores_of_classes
from keras_xmap.targets.target import Target

_WIDE = ("int64", "uint32", "uint64")


class Class(Target):
    """The score of a class.

    A single unit is two classes, 1 and 0, where a sigmoid ends the model or
    its loss says so: class 1 is the logit `z`, class 0 is `-z`, and with
    `score="output"` they are the probabilities `p` and `1 - p`. Of a unit that
    is a number by its loss, 0 and `None` mean the number. See
    `keras_xmap.targets`, and `Binary` to say it yourself.

    Args:
        index: Integer >= 0, integer array of shape `(batch,)` or `(batch,
            classes)`, or `None` for the class with the highest score, the
            model's answer. Defaults to `None`.
        output: Name or number of the output, of shape `(batch, classes)`,
            that is meant, or of a single unit, `(batch, 1)` or `(batch,)`.
            Defaults to `None`: the model's only output.

    Raises:
        ValueError: If `index` is negative, or has more than 2 axes; on
            explaining, if nothing tells how to read a single unit.
        TypeError: If `index` is not made of integers.

    Example:

    >>> keras_xmap.targets.Class(3).index
    3
    """

    def __init__(
        self, index: ArrayLike = None, output: str | int | None = None
    ):
        super().__init__(output)
        self.index = index
        self._array = None
        if index is not None:
            self._array = class_indices(index)

    @property
    def parts(self):
        return {} if self._array is None else {"index": self._array}

    @property
    def key(self):
        return (*super().key, None if self._array is None else "given")

    def is_single(self, parts):
        return not parts or len(parts["index"].shape) < 2

    def resolve(self, outputs, parts):
        if parts:
            return parts
        return {"index": top_class(self._class_scores(outputs))}

    def is_of_places(self, outputs):
        return False

    def scores(self, outputs, parts):
        output = self._class_scores(outputs)
        index = self.resolve(outputs, parts)["index"]
        index = checked_index(
            index, ops.shape(output)[-1], self._remark(output)
        )
        if len(index.shape) == 0:
            index = ops.broadcast_to(index, (ops.shape(output)[0],))
        return entries_of_rows(output, index)

    def _class_scores(self, outputs):
        """Returns scores `(batch, classes)` of the output that is meant."""
        output = self._select(outputs)
        if len(output.shape) == 1:
            output = ops.expand_dims(output, -1)
        if len(output.shape) != 2:
            raise ValueError(
                "A class is explained of an output of shape (batch, classes). "
                f"Received: an output of shape {tuple(output.shape)}. For a "
                "map of classes use `keras_xmap.targets.MaskedMean(index)`, "
                "for anything else a callable that returns shape (batch,)."
            )
        return self._of_classes(output)

    def _remark(self, output):
        """Returns what the error for a class that is none has to add."""
        if output.shape[-1] == 1 and self._unit().meaning == "number":
            return (
                "The single unit is a number, by the loss of the model: for "
                "two classes pass `keras_xmap.targets.Binary(target)`. "
            )
        return ""

    def _of_classes(self, output, axis=-1, of_output=False):
        return scores_of_classes(output, self._unit(), axis, of_output)


def class_indices(index):
    array = index if ops.is_tensor(index) else _as_array(index)
    if hasattr(array, "assign"):  # a variable: its value of now
        array = ops.copy(array)
    if array is None or "int" not in str(array.dtype):
        raise TypeError(
            "A class must be given as an integer. Received: "
            f"target={index!r}. For one-hot labels use `labels.argmax(-1)`, "
            "for labels of 0 and 1 `labels.astype('int32')`."
        )
    if _rank(array) > 2:
        raise ValueError(
            "Classes must have shape (), (batch,) or (batch, classes). "
            f"Received: target of shape {tuple(array.shape)}."
        )
    if not isinstance(array, np.ndarray):
        return _as_int32(array)
    if array.size and array.min() < 0:
        raise ValueError(
            "A class must be >= 0. Received: "
            f"target={array.min() if array.ndim else index}."
        )
    if array.size and array.max() > np.iinfo("int32").max:
        raise ValueError(
            f"A class must be a 32-bit integer. Received: target={array.max()}."
        )
    return array.astype("int32")


def _as_array(index):
    """Returns an index as an array, or `None` if it is none."""
    try:
        return np.asarray(index)
    except Exception:  # Rows of two lengths, or an object of its own.
        return None


def single_class(index):
    """Returns one class number as an integer."""
    array = class_indices(index)
    if len(array.shape):
        raise ValueError(
            "`index` must be one class or component. Received: index="
            f"{index!r}."
        )
    return int(array)


def top_class(scores):
    """Returns the class with the highest score, the first of equal ones."""
    # Which class it is bends no score of a class.
    scores = ops.stop_gradient(scores)
    if scores.shape[-1] == 2:
        # An `argmax` of two may well return the second.
        return ops.cast(scores[:, 1] > scores[:, 0], "int32")
    return ops.argmax(scores, axis=-1)


def _as_int32(index):
    """Returns classes as int32; those beyond it as its largest number."""
    if keras.backend.standardize_dtype(index.dtype) in _WIDE:
        # A cast alone would make another class of them.
        index = ops.clip(ops.cast(index, "int64"), -(2**31), 2**31 - 1)
    return ops.cast(index, "int32")


def _rank(array):
    try:
        return len(array.shape)
    except ValueError:
        raise ValueError(
            "The number of axes of `target` must be known. Received: target="
            f"{array!r} inside of a compiled function. Tell it by "
            "`target.set_shape((None,))`."
        ) from None


def checked_index(index, num_classes, remark=""):
    """Returns classes as int32, and stops where one is out of range."""
    index = ops.cast(index, "int32")
    engine.require(
        ops.all((index >= 0) & (index < num_classes)),
        "`target` must be a class of the model, from 0 to before the number "
        f"of classes. {remark}Received: (classes, target)",
        num_classes,
        index,
    )
    # In range, so that a gather cannot fail before the check does.
    return ops.clip(index, 0, num_classes - 1)
