"""Which target a user means by a class, a callable, a list or a dict."""

import copy

import keras
import numpy as np
from keras import ops

from keras_xmap._checks import MISTAKES
from keras_xmap._messages import said_by
from keras_xmap._numeric import as_array
from keras_xmap.targets._combination import Sum
from keras_xmap.targets.binary import Binary
from keras_xmap.targets.class_target import Class
from keras_xmap.targets.target import Target
from keras_xmap.targets.target import describe_outputs


def get(target: object) -> Target:
    """Returns the `Target` that `target` stands for.

    Args:
        target: Anything that an explainer takes, see `keras_xmap.targets`.

    Raises:
        ValueError: If a class is negative, or classes have over 2 axes.
        TypeError: If a class is no integer.

    Example:

    >>> keras_xmap.targets.get(3)
    Class(index=3)
    """
    if isinstance(target, Target):
        return target
    if isinstance(target, str):
        if target != "labels":
            raise ValueError(
                "`target` must be a class number, an array of them, a "
                "callable, an object of `keras_xmap.targets`, or 'labels' for "
                f"the labels of the data. Received: target={target!r}."
            )
        return _Labels()
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
        # Their score of class 0 is the negative one, also of probabilities.
        return Binary(_entries(target.target_values), output, threshold=0.0)
    if kind == "InactiveScore":
        return _Nothing(output)
    if isinstance(target, type):
        raise TypeError(
            "`target` must be a class number, a function of the outputs or a "
            f"target object. Received: target={target!r}, a class of Python. "
            "Call it with its arguments."
        )
    if not callable(target):
        return Class(target, output)
    return _Callable(target, output)


class _Labels(Target):
    """The class that each image of a dataset has by its label."""

    def __repr__(self):
        return "'labels'"

    def for_labels(self, labels):
        flat = keras.tree.flatten(labels)
        if labels is None or len(flat) != 1:
            raise ValueError(
                "target='labels' explains data that comes in batches of "
                "inputs and one array of labels, such as a tf.data.Dataset. "
                f"Received: {'no labels' if labels is None else len(flat)}"
                f"{'' if labels is None else ' arrays of labels'}. Pass the "
                "classes as an array."
            )
        return _ClassOfLabel(_classes_of(as_array("labels", flat[0])))

    def scores(self, outputs, parts):
        raise ValueError(
            "target='labels' has no scores without labels. Received: a call "
            "without data. Pass it to `explain`."
        )


class _ClassOfLabel(Class):
    """The classes of one batch: what a model of a number has none of."""

    def _of_classes(self, output, axis=-1, of_output=False):
        unit = self._unit()
        if output.shape[-1] == 1 and unit.meaning == "number":
            raise ValueError(
                "target='labels' explains the class of a label, and the single "
                f"unit is a number. Received: {unit.found}. Pass target=None "
                "for the number."
            )
        return super()._of_classes(output, axis, of_output)


def _classes_of(labels):
    """Returns class numbers `(batch,)` of labels as `fit` takes them."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 1 and (labels < 0).any():
        raise ValueError(
            "target='labels' needs class numbers >= 0. Received: a label of "
            f"{labels.min()}. Leave images without a label out of the dataset."
        )
    whole = labels.dtype.kind in "iub" or (labels == np.round(labels)).all()
    if labels.ndim == 1 and whole:
        return labels.astype("int64")
    one_hot = labels.ndim == 2 and (
        np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
    )
    if one_hot:
        return labels.argmax(axis=1)
    raise ValueError(
        "target='labels' needs one class an image: class numbers (batch,) or "
        "(batch, 1), or one-hot rows (batch, classes). Received: labels of "
        f"shape {labels.shape}, dtype {labels.dtype}. Pass the classes to "
        "explain as an array (n, classes)."
    )


class _Callable(Target):
    """A function of the scores."""

    def __init__(self, function, output=None):
        super().__init__(output)
        self.function = function

    def __repr__(self):
        return repr(self.function)

    @property
    def key(self):
        # The function itself, so that it lives as long as steps made for it.
        return (*super().key, _hashable(self.function))

    def scores(self, outputs, parts):
        if self.output is not None:
            outputs = self._select(outputs)
        scores = self._floats(self._called(outputs))
        if len(scores.shape) == 2 and scores.shape[-1] == 1:
            scores = scores[:, 0]
        if len(scores.shape) != 1:
            raise ValueError(
                "A callable target must return one score per image, shape "
                f"(batch,). Received: shape {tuple(scores.shape)} from "
                f"{self.function!r}."
            )
        return scores

    def _floats(self, scores):
        """Returns the scores as a tensor that can be differentiated."""
        of_arrays = isinstance(scores, (np.ndarray, np.generic))
        try:
            if isinstance(scores, (list, tuple)):
                scores = ops.stack(scores)
            tensor = ops.convert_to_tensor(scores)
        except Exception as error:
            raise self._refusal(scores) from error
        if of_arrays or not keras.backend.is_float_dtype(
            keras.backend.standardize_dtype(tensor.dtype)
        ):
            raise self._refusal(scores)
        return tensor

    def _refusal(self, scores):
        received = type(scores).__name__
        if hasattr(scores, "dtype"):
            dtype = keras.backend.standardize_dtype(scores.dtype)
            received += f" of dtype {dtype}"
        return TypeError(
            "A callable target must return float scores as a tensor, computed "
            f"from the outputs by `keras.ops`. Received: {received} from "
            f"{self.function!r}. Such as `lambda outputs: outputs[:, 0]`."
        )

    def _called(self, outputs):
        try:
            return self.function(outputs)
        except MISTAKES as error:
            raise ValueError(
                "The target cannot be computed from what the model puts out: "
                f"{describe_outputs(outputs)}. Received: target="
                f"{self.function!r}, which stopped with "
                f"{type(error).__name__}: {said_by(error)}\n"
                "A callable is called while the step is compiled, when outputs "
                "have no values yet: compute by `keras.ops`, as in "
                "`lambda outputs: outputs[:, 0]`, without `if` on "
                "values, `float` or `.numpy()`."
            ) from error


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


class _Nothing(Target):
    """tf-keras-vis' InactiveScore: an output that does not count."""

    def is_of_places(self, outputs):
        return False

    def scores(self, outputs, parts):
        output = self._select(outputs)
        return ops.zeros((ops.shape(output)[0],), output.dtype)


def _entries(values):
    return values[0] if len(values) == 1 else np.asarray(values)
