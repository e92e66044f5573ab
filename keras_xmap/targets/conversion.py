"""Which target a user means by a class, a callable, a list or a dict."""

import copy

import numpy as np
from keras import ops

from keras_xmap.targets._combination import Sum
from keras_xmap.targets.class_target import Class
from keras_xmap.targets.target import Target


def get(target):
    """Returns the `Target` that `target` stands for.

    Args:
        target: Anything that an explainer takes, see `keras_xmap.targets`.

    Raises:
        ValueError: If a class is negative, or classes have over 2 axes.
        TypeError: If a class is no integer.

    Example:

    >>> keras_xmap.targets.get(3)  # doctest: +ELLIPSIS
    <keras_xmap.targets.class_target.Class object at 0x...>
    """
    if isinstance(target, Target):
        return target
    if isinstance(target, dict):
        return Sum([for_output(t, name) for name, t in target.items()])
    if isinstance(target, (list, tuple)) and any(
        callable(t) or isinstance(t, Target) for t in target
    ):
        return Sum([for_output(t, i) for i, t in enumerate(target)])
    if callable(target):
        return for_output(target, None)
    return Class(target)


def for_output(target, output):
    """Returns the `Target` for a callable or object given for one output."""
    if isinstance(target, Target):
        target = copy.copy(target)
        target.output = output if target.output is None else target.output
        return target
    # tf-keras-vis' scores hold one entry per image and need a batch of known
    # size; as targets of ours they are cut along with the data.
    kind = type(target).__name__
    if kind == "CategoricalScore" and hasattr(target, "indices"):
        return _MeanOfClass(_entries(target.indices), output)
    if kind == "BinaryScore" and hasattr(target, "target_values"):
        return _SignedUnit(_entries(target.target_values), output)
    if kind == "InactiveScore":
        return _Nothing(output)
    if not callable(target):
        return Class(target, output)
    return _Callable(target, output)


class _Callable(Target):
    """A function of the scores."""

    def __init__(self, function, output=None):
        super().__init__(output)
        self.function = function

    @property
    def key(self):
        # The function itself, so that it lives as long as steps made for it.
        return (*super().key, _hashable(self.function))

    def scores(self, outputs, parts):
        if self.output is not None:
            outputs = self._select(outputs)
        scores = self.function(outputs)
        if isinstance(scores, (list, tuple)):
            scores = ops.stack(scores)
        scores = ops.convert_to_tensor(scores)
        if len(scores.shape) == 2 and scores.shape[-1] == 1:
            scores = scores[:, 0]
        if len(scores.shape) != 1:
            raise ValueError(
                "A callable target must return one score per image, shape "
                f"(batch,). Received: shape {tuple(scores.shape)} from "
                f"{self.function!r}."
            )
        return scores


def _hashable(function):
    try:
        hash(function)
    except TypeError:  # as of an object that compares by value
        return _Same(function)
    return function


class _Same:
    """Holds an object that is equal to itself only."""

    def __init__(self, held):
        self.held = held

    def __eq__(self, other):
        return isinstance(other, _Same) and self.held is other.held

    def __hash__(self):
        return id(self.held)


class _MeanOfClass(Class):
    """tf-keras-vis' CategoricalScore: a class, averaged over positions."""

    def _class_scores(self, outputs):
        output = self._select(outputs)
        positions = tuple(range(1, len(output.shape) - 1))
        return ops.mean(output, axis=positions) if positions else output


class _SignedUnit(Target):
    """tf-keras-vis' BinaryScore: a single unit, for it or against it."""

    def __init__(self, positive, output):
        super().__init__(output)
        self.positive = np.asarray(positive, "float32")

    @property
    def parts(self):
        return {"positive": self.positive}

    def scores(self, outputs, parts):
        output = self._select(outputs)
        if len(output.shape) != 2 or output.shape[-1] != 1:
            raise ValueError(
                "BinaryScore explains an output of shape (batch, 1). "
                f"Received: shape {tuple(output.shape)}."
            )
        return (2 * parts["positive"] - 1) * output[:, 0]


class _Nothing(Target):
    """tf-keras-vis' InactiveScore: an output that does not count."""

    def scores(self, outputs, parts):
        output = self._select(outputs)
        return ops.zeros((ops.shape(output)[0],), output.dtype)


def _entries(values):
    return values[0] if len(values) == 1 else np.asarray(values)
