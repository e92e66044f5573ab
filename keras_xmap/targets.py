"""What is explained: the number, one per image, that a map is a map of.

Wherever an explainer takes `target`, it may be

- `None`: the class with the highest score of each image, where the model has
  one output of shape `(batch, classes)`;
- an integer: this class, for all images;
- an integer array of shape `(batch,)`: one class per image;
- an integer array of shape `(batch, classes)`: several classes per image,
  from one forward pass; maps then have an axis for them, behind the batch;
- an object of this module;
- any callable that takes the scores, in the structure of the model's
  outputs, and returns shape `(batch,)`. The `Score` objects of tf-keras-vis
  are such callables;
- a list, or a dict by output name, of such callables or objects, one per
  output: their sum is explained.
"""

from keras_xmap import engine  # first: it says what is missing

# isort: split
import abc
import copy

import keras
import numpy as np
from keras import ops

from keras_xmap._validation import check_one_of

__all__ = ["Class", "Component", "MaskedMean", "Target"]


class Target(abc.ABC):
    """Base of everything that can be explained.

    Args:
        output: Name or number of the model's output that is meant. Defaults
            to `None`: the model's only output.
    """

    def __init__(self, output=None):
        self.output = output

    @property
    def parts(self):
        """Dict of arrays the scores depend on: `(batch, ...)` or scalars."""
        return {}

    @property
    def key(self):
        """Hashable: two targets of one key differ in their parts only."""
        return (type(self).__name__, self.output)

    @abc.abstractmethod
    def scores(self, outputs, parts):
        """Returns the scores, of shape `(batch,)` or `(batch, classes)`.

        Args:
            outputs: The scores in the structure of the model's outputs.
            parts: Like `self.parts`, as tensors, for this batch.
        """

    def resolve(self, outputs, parts):
        """Returns `parts` completed by what only the outputs can tell.

        Methods that look at changed copies of an image explain, for all of
        them, the target that the image itself has.
        """
        return parts

    def is_single(self, parts):
        """Returns whether `scores` has shape `(batch,)`: no axis of classes."""
        return True

    def slice(self, start, stop):
        """Returns `parts` for the images from `start` to before `stop`."""
        return {
            name: part[start:stop] if np.ndim(part) else part
            for name, part in self.parts.items()
        }

    def check_length(self, num_images):
        """Checks that there is one entry for each of `num_images` images."""
        for name, part in self.parts.items():
            if np.ndim(part) and len(part) != num_images:
                raise ValueError(
                    "`target` must have one entry per image. Received: "
                    f"{name} of shape {tuple(np.shape(part))} for "
                    f"{num_images} images."
                )

    def _select(self, outputs):
        """Returns the one output that is meant."""
        if self.output is None:
            flat = keras.tree.flatten(outputs)
            if len(flat) == 1:
                return flat[0]
            raise ValueError(
                "The model has several outputs; say which one is explained, "
                "by `keras_xmap.targets.Class(index, output=...)` or by a "
                "callable of the outputs. Received: a target without "
                f"`output`. Outputs: {_describe(outputs)}."
            )
        try:
            return outputs[self.output]
        except (KeyError, IndexError, TypeError):
            raise ValueError(
                "`output` must be the name or the number of an output. "
                f"Received: output={self.output!r}. Outputs: "
                f"{_describe(outputs)}."
            ) from None


class Class(Target):
    """The score of a class.

    Args:
        index: Integer >= 0, integer array of shape `(batch,)` or `(batch,
            classes)`, or `None` for the class with the highest score.
            Defaults to `None`.
        output: Name or number of the output, of shape `(batch, classes)`,
            that is meant. Defaults to `None`: the model's only output.

    Raises:
        ValueError: If `index` is negative, or has more than 2 axes.
        TypeError: If `index` is not made of integers.

    Example:

    >>> keras_xmap.targets.Class(3).index
    3
    """

    def __init__(self, index=None, output=None):
        super().__init__(output)
        self.index = index
        self._array = None
        if index is not None:
            self._array = _class_indices(index)

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
        return {"index": ops.argmax(self._class_scores(outputs), axis=-1)}

    def scores(self, outputs, parts):
        output = self._class_scores(outputs)
        index = ops.cast(self.resolve(outputs, parts)["index"], "int32")
        num_classes = ops.shape(output)[-1]
        engine.require(
            ops.all((index >= 0) & (index < num_classes)),
            "`target` must be a class of the model, from 0 to before the "
            "number of classes. Received: (classes, target)",
            num_classes,
            index,
        )
        # In range, so that the gather cannot fail before the check does.
        index = ops.clip(index, 0, num_classes - 1)
        several = len(index.shape) == 2
        if len(index.shape) == 0:
            index = ops.broadcast_to(index, (ops.shape(output)[0],))
        if not several:
            index = ops.expand_dims(index, -1)
        chosen = ops.take_along_axis(output, index, axis=-1)
        return chosen if several else chosen[:, 0]

    def _class_scores(self, outputs):
        """Returns the output that is meant, of shape `(batch, classes)`."""
        output = self._select(outputs)
        if len(output.shape) != 2:
            raise ValueError(
                "A class is explained of an output of shape (batch, classes). "
                f"Received: an output of shape {tuple(output.shape)}. For a "
                "map of classes use `keras_xmap.targets.MaskedMean(index)`, "
                "for anything else a callable that returns shape (batch,)."
            )
        return output


class Component(Target):
    """One number of a regression output.

    Args:
        index: Integer >= 0: which component. Defaults to `0`.
        sign: `1` explains what raises the number, `-1` what lowers it.
            Defaults to `1`.
        output: Name or number of the output, of shape `(batch, components)`
            or `(batch,)`, that is meant. Defaults to `None`: the only one.

    Raises:
        ValueError: If `sign` is neither 1 nor -1.
    """

    def __init__(self, index=0, sign=1, output=None):
        super().__init__(output)
        self.index = int(_class_indices(index))
        self.sign = check_one_of("sign", sign, (1, -1))

    @property
    def key(self):
        return (*super().key, self.index, self.sign)

    def scores(self, outputs, parts):
        output = self._select(outputs)
        if len(output.shape) == 1:
            output = ops.expand_dims(output, -1)
        if len(output.shape) != 2 or self.index >= output.shape[-1]:
            raise ValueError(
                f"The output has no component {self.index}. Expected: shape "
                f"(batch, components). Received: shape {tuple(output.shape)}."
            )
        return self.sign * output[:, self.index]


class MaskedMean(Target):
    """The mean score of a class over the pixels of a mask.

    For segmentation outputs: what made the network see this class here?

    Args:
        index: Integer >= 0: the class.
        mask: Array of shape `(batch, height, width)` (or with the output's
            other number of axes), at the output's resolution; weights >= 0.
            Defaults to `None`: all pixels.
        output: Name or number of the output, of shape `(batch, height,
            width, classes)`, that is meant. Defaults to `None`: the only one.
        axis: Integer: the axis of the classes. Defaults to `-1`.

    Raises:
        ValueError: If the mask does not fit the output.
    """

    def __init__(self, index, mask=None, output=None, axis=-1):
        super().__init__(output)
        self.index = int(_class_indices(index))
        self.mask = None if mask is None else np.asarray(mask, "float32")
        self.axis = axis

    @property
    def parts(self):
        return {} if self.mask is None else {"mask": self.mask}

    @property
    def key(self):
        return (*super().key, self.index, self.axis, self.mask is None)

    def scores(self, outputs, parts):
        output = self._select(outputs)
        if len(output.shape) < 3:
            raise ValueError(
                "MaskedMean explains outputs of shape (batch, height, width, "
                f"classes). Received: shape {tuple(output.shape)}. For shape "
                "(batch, classes) use `keras_xmap.targets.Class`."
            )
        if self.index >= output.shape[self.axis]:
            raise ValueError(
                "`index` must be a class of the output. Received: index="
                f"{self.index} for shape {tuple(output.shape)}."
            )
        scores = ops.take(output, self.index, axis=self.axis)
        axes = tuple(range(1, len(scores.shape)))
        if not parts:
            return ops.mean(scores, axis=axes)
        mask = ops.cast(parts["mask"], scores.dtype)
        if tuple(mask.shape[1:]) != tuple(scores.shape[1:]):
            raise ValueError(
                "`mask` must have the size of the output. Received: a mask of "
                f"shape {tuple(mask.shape)} for scores of shape "
                f"{tuple(scores.shape)}."
            )
        total = ops.sum(mask, axis=axes)
        return ops.divide_no_nan(ops.sum(mask * scores, axis=axes), total)


class _Callable(Target):
    """A function of the scores."""

    def __init__(self, function, output=None):
        super().__init__(output)
        self.function = function

    @property
    def key(self):
        # The function itself, so that it lives as long as steps made for it.
        return (*super().key, self.function)

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


class _Sum(Target):
    """The sum of one target per output."""

    def __init__(self, targets):
        super().__init__()
        self.targets = targets

    @property
    def parts(self):
        return {
            f"{number}.{name}": part
            for number, target in enumerate(self.targets)
            for name, part in target.parts.items()
        }

    @property
    def key(self):
        return (*super().key, *(target.key for target in self.targets))

    def is_single(self, parts):
        return all(
            target.is_single(_own(parts, number))
            for number, target in enumerate(self.targets)
        )

    def resolve(self, outputs, parts):
        return {
            f"{number}.{name}": part
            for number, target in enumerate(self.targets)
            for name, part in target.resolve(
                outputs, _own(parts, number)
            ).items()
        }

    def scores(self, outputs, parts):
        return sum(
            target.scores(outputs, _own(parts, number))
            for number, target in enumerate(self.targets)
        )


def _own(parts, number):
    prefix = f"{number}."
    return {
        name.removeprefix(prefix): part
        for name, part in parts.items()
        if name.startswith(prefix)
    }


def get(target):
    """Returns the `Target` that `target` stands for (see the module)."""
    if isinstance(target, Target):
        return target
    if isinstance(target, dict):
        return _Sum([_for_output(t, name) for name, t in target.items()])
    if isinstance(target, (list, tuple)) and any(map(callable, target)):
        return _Sum([_for_output(t, i) for i, t in enumerate(target)])
    if callable(target):
        return _for_output(target, None)
    return Class(target)


def _for_output(target, output):
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
    if not callable(target):
        return Class(target, output)
    return _Callable(target, output)


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


def _entries(values):
    return values[0] if len(values) == 1 else np.asarray(values)


def _class_indices(index):
    array = np.asarray(index) if not ops.is_tensor(index) else index
    if "int" not in str(array.dtype):
        raise TypeError(
            "A class must be given as an integer. Received: "
            f"target={index!r}. For one-hot labels use `labels.argmax(-1)`."
        )
    if len(array.shape) > 2:
        raise ValueError(
            "Classes must have shape (), (batch,) or (batch, classes). "
            f"Received: target of shape {tuple(array.shape)}."
        )
    if isinstance(array, np.ndarray):
        if array.size and array.min() < 0:
            raise ValueError(
                "A class must be >= 0. Received: "
                f"target={array.min() if array.ndim else index}."
            )
        array = array.astype("int32")
    return array


def _describe(outputs):
    if isinstance(outputs, dict):
        items = outputs.items()
    else:
        items = enumerate(keras.tree.flatten(outputs))
    return ", ".join(f"{name!r} {tuple(x.shape)}" for name, x in items)
