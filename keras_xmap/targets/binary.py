import keras
import numpy as np
from keras import ops

from keras_xmap._checks import check_optional
from keras_xmap._checks import is_number
from keras_xmap._checks import message
from keras_xmap._typing import ArrayLike
from keras_xmap.targets._single_unit import two_classes
from keras_xmap.targets.class_target import Class


class Binary(Class):
    """One of the two classes of a single unit, whatever ends the model.

    Class 1 is the score `s` of the unit, class 0 is `2 * threshold - s`: of a
    logit `-s`, of a probability `1 - s`. Class numbers alone do as much where
    a sigmoid or the loss tells that the unit is one of two classes; this
    object says it of any unit.

    Args:
        index: 0, 1 or a boolean, or an array of them of shape `(batch,)` or
            `(batch, classes)`; or `None` for the model's answer, class 1 where
            the score is above the threshold. Defaults to `None`.
        output: Name or number of the output, of shape `(batch, 1)` or
            `(batch,)`, that is meant. Defaults to `None`: the only one.
        threshold: Float: the score above which class 1 is the answer.
            Defaults to `None`: 0.5 of what a sigmoid gave, else 0.

    Raises:
        ValueError: If `index` is neither 0 nor 1; on explaining, if the output
            has several units, or if no threshold is given for arithmetic
            behind a sigmoid.
        TypeError: If `index` is made of neither integers nor booleans.

    Example:

    >>> target = keras_xmap.targets.Binary([1, 0, 0])
    >>> scores = target.scores(np.array([[2.0], [2.0], [-3.0]]), target.parts)
    >>> np.asarray(scores).tolist()
    [2.0, -2.0, 3.0]
    """

    def __init__(
        self,
        index: ArrayLike = None,
        output: str | int | None = None,
        threshold: float | None = None,
    ):
        super().__init__(_as_integers(index), output)
        self.index = index
        self.threshold = check_optional(_check_finite, "threshold", threshold)
        if isinstance(self._array, np.ndarray) and (self._array > 1).any():
            raise ValueError(
                "A class of a single unit must be 0 or 1. Received: "
                f"target={self._array.max()}."
            )

    @property
    def key(self) -> tuple:
        return (*super().key, self.threshold)

    def _of_classes(self, output, axis=-1, of_output=False):
        if output.shape[axis] != 1:
            raise ValueError(
                "Binary explains an output of one unit, of shape (batch, 1). "
                f"Received: shape {tuple(output.shape)}. Of several units pass "
                "the number of the class."
            )
        unit = self._unit()
        threshold = self.threshold
        if threshold is None:
            threshold = unit.output_threshold if of_output else unit.threshold
        if threshold is None:
            raise ValueError(
                "`threshold` must say above which score the answer is class 1. "
                f"Received: threshold=None, and {unit.found}. Pass "
                "threshold=0.5 if the output is a probability."
            )
        return two_classes(output, threshold, axis)


def _as_integers(index):
    """Returns booleans as integers, and anything else as it is."""
    if ops.is_tensor(index):
        is_boolean = keras.backend.standardize_dtype(index.dtype) == "bool"
        return ops.cast(index, "int32") if is_boolean else index
    try:
        array = np.asarray(index)
    except ValueError:  # rows of two lengths, which are refused as no class
        return index
    return array.astype("int32") if array.dtype == bool else index


def _check_finite(name, value):
    if not is_number(value) or not abs(value) < float("inf"):
        raise ValueError(message(name, "a finite number", value))
    return float(value)
