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

from keras_xmap._validation import check_fraction
from keras_xmap._validation import check_one_of

__all__ = [
    "BoxScore",
    "Class",
    "Component",
    "Difference",
    "MaskedMean",
    "Target",
]

_BOX_FORMATS = ("xyxy", "yxyx", "xywh", "center_xywh")


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
        # The class itself: another one may bear its name.
        return (type(self), self.output)

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
        return _named_output(outputs, "output", self.output)


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
        index = self.resolve(outputs, parts)["index"]
        index = _checked_index(index, ops.shape(output)[-1])
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
        self.mask = mask
        if mask is not None and not ops.is_tensor(mask):
            self.mask = np.asarray(mask, "float32")
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


class BoxScore(Target):
    """The score of a class for one object of a detector.

    The mean over the predicted boxes that lie on the given one:

    `S = sum_n w_n * score[n, index] / sum_n w_n`, where `w_n` is the overlap
    `IoU(box, box_n)` if it reaches `iou_threshold`, else 0.

    What is explained is the class score; the boxes only choose. The weights
    are those of the image itself, also for the changed copies of it that some
    methods look at, and pass no gradient. So a prediction must keep its
    number: explain the outputs before non-maximum suppression, which also has
    no gradient. Where no predicted box lies on the given one, the score is 0,
    and so is the map.

    Boxes are taken from what the explainer calls scores: where a sigmoid or
    an exponential ends the branch of the boxes, explain with
    `score="output"`.

    Args:
        box: Array `(4,)`, the same for all images, or `(batch, 4)`, in the
            units of the predicted boxes (pixels or parts of the image).
        index: Integer >= 0, or integer array `(batch,)`: the class. Defaults
            to `0`.
        boxes_output: Name or number of the output of boxes, of shape `(batch,
            predictions, 4)`. Defaults to `"boxes"`.
        scores_output: Name or number of the output of class scores, of shape
            `(batch, predictions, classes)`, or `(batch, predictions)` for a
            single class. Defaults to `"classes"`.
        box_format: How boxes, given and predicted, are written: `"xyxy"` or
            `"yxyx"` (two opposite corners, the lower coordinates first),
            `"xywh"` (corner and size) or `"center_xywh"`. Defaults to
            `"xyxy"`.
        iou_threshold: Float > 0, below 1: the overlap from which on a
            prediction counts. Defaults to `0.5`.

    Raises:
        ValueError: If an argument is out of its range, or if the outputs do
            not have these shapes.
        TypeError: If `index` is not made of integers.

    Example:

    >>> outputs = {"boxes": np.array([[[0, 0, 4, 4], [4, 4, 8, 8.0]]]),
    ...     "classes": np.array([[[0.1, 0.9], [0.6, 0.4]]])}
    >>> target = keras_xmap.targets.BoxScore([0, 0, 4, 5], index=1)
    >>> round(float(target.scores(outputs, target.parts)[0]), 6)
    0.9
    """

    def __init__(
        self,
        box,
        index=0,
        boxes_output="boxes",
        scores_output="classes",
        box_format="xyxy",
        iou_threshold=0.5,
    ):
        super().__init__()
        self.index = index
        self.boxes_output = boxes_output
        self.scores_output = scores_output
        self.box_format = check_one_of("box_format", box_format, _BOX_FORMATS)
        self.iou_threshold = check_fraction("iou_threshold", iou_threshold)
        self.box = _checked_box(box, box_format)
        self._array = _class_indices(index)
        if len(self._array.shape) > 1:
            raise ValueError(
                "`index` must be one class, or one per image. Received: index "
                f"of shape {tuple(self._array.shape)}."
            )

    @property
    def parts(self):
        if len(self.box.shape) == 2:
            return {"index": self._array, "box": self.box}
        # One box for all images: numbers, which are not cut along with them.
        sides = {f"box {side}": self.box[side] for side in range(4)}
        return {"index": self._array, **sides}

    @property
    def key(self):
        options = (self.box_format, self.iou_threshold)
        outputs = (self.boxes_output, self.scores_output)
        return (*super().key, *outputs, *options, len(self.box.shape))

    def resolve(self, outputs, parts):
        if "weights" in parts:
            return parts
        predicted = _named_output(outputs, "boxes_output", self.boxes_output)
        if len(predicted.shape) != 3 or predicted.shape[-1] != 4:
            raise ValueError(
                "`boxes_output` must have shape (batch, predictions, 4). "
                f"Received: boxes_output={self.boxes_output!r} of shape "
                f"{tuple(predicted.shape)}."
            )
        box = parts.get("box")
        if box is None:
            box = ops.stack([parts[f"box {side}"] for side in range(4)])[None]
        overlap = ops.stop_gradient(
            _iou(
                _corners(ops.cast(box, "float32")[:, None], self.box_format),
                _corners(ops.cast(predicted, "float32"), self.box_format),
            )
        )
        weights = ops.where(overlap >= self.iou_threshold, overlap, 0.0)
        return {**parts, "weights": weights}

    def scores(self, outputs, parts):
        weights = self.resolve(outputs, parts)["weights"]
        scores = _named_output(outputs, "scores_output", self.scores_output)
        if len(scores.shape) == 2:
            scores = ops.expand_dims(scores, -1)
        sizes = weights.shape[1], scores.shape[1]
        if len(scores.shape) != 3 or (
            None not in sizes and sizes[0] != sizes[1]
        ):
            raise ValueError(
                "`scores_output` must have shape (batch, predictions, "
                "classes), with one entry per box. Received: scores_output="
                f"{self.scores_output!r} of shape {tuple(scores.shape)} for "
                f"{sizes[0]} boxes."
            )
        index = _checked_index(parts["index"], ops.shape(scores)[-1])
        index = ops.reshape(index, (-1, 1, 1))
        index = ops.broadcast_to(index, (*ops.shape(scores)[:2], 1))
        scores = ops.take_along_axis(scores, index, axis=-1)[..., 0]
        weights = ops.cast(weights, scores.dtype)
        return ops.divide_no_nan(
            ops.sum(weights * scores, axis=1), ops.sum(weights, axis=1)
        )


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


class _Combination(Target):
    """Base of sums and differences of targets."""

    @property
    @abc.abstractmethod
    def terms(self):
        """List of pairs: a factor, and the `Target` it multiplies."""

    @property
    def parts(self):
        return {
            f"{number}.{name}": part
            for number, (_, target) in enumerate(self.terms)
            for name, part in target.parts.items()
        }

    @property
    def key(self):
        return (*super().key, *(target.key for _, target in self.terms))

    def is_single(self, parts):
        return all(
            target.is_single(_own(parts, number))
            for number, (_, target) in enumerate(self.terms)
        )

    def resolve(self, outputs, parts):
        return {
            f"{number}.{name}": part
            for number, (_, target) in enumerate(self.terms)
            for name, part in target.resolve(
                outputs, _own(parts, number)
            ).items()
        }

    def scores(self, outputs, parts):
        scores = [
            factor * target.scores(outputs, _own(parts, number))
            for number, (factor, target) in enumerate(self.terms)
        ]
        rank = max(len(x.shape) for x in scores)
        # One class beside several counts for each of them.
        return sum(
            x if len(x.shape) == rank else ops.expand_dims(x, -1)
            for x in scores
        )


class _Sum(_Combination):
    """The sum of one target per output."""

    def __init__(self, targets):
        super().__init__()
        self.targets = targets

    @property
    def terms(self):
        return [(1, target) for target in self.targets]


class Difference(_Combination):
    """Why `a` and not `b`: how much higher the one scores than the other.

    `S = S_a - S_b`

    Of two classes that end in one softmax, this is the logarithm of how many
    times likelier the model holds `a` than `b`. Its map leaves out what speaks
    for both alike.

    Args:
        a: What the score is raised by: a class, an array of classes `(batch,)`
            or `(batch, classes)`, a callable, an object of this module, or
            `None` for the class with the highest score.
        b: What it is lowered by, likewise. One class beside several is
            compared with each of them.
        output: Name or number of the output that is meant, where `a` and `b`
            do not say. Defaults to `None`: the model's only output.

    Example:

    >>> target = keras_xmap.targets.Difference(1, 2)
    >>> scores = target.scores(np.array([[0.0, 5.0, 3.0]]), target.parts)
    >>> np.asarray(scores).tolist()
    [2.0]
    """

    def __init__(self, a, b, output=None):
        super().__init__(output)
        self.a = a
        self.b = b
        for target in (a, b):
            _for_output(target, output)  # refuses what is no class at once

    @property
    def terms(self):
        return [
            (1, _for_output(self.a, self.output)),
            (-1, _for_output(self.b, self.output)),
        ]


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
    if isinstance(target, (list, tuple)) and any(
        callable(t) or isinstance(t, Target) for t in target
    ):
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
    if kind == "InactiveScore":
        return _Nothing(output)
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


class _Nothing(Target):
    """tf-keras-vis' InactiveScore: an output that does not count."""

    def scores(self, outputs, parts):
        output = self._select(outputs)
        return ops.zeros((ops.shape(output)[0],), output.dtype)


def _entries(values):
    return values[0] if len(values) == 1 else np.asarray(values)


def _class_indices(index):
    array = np.asarray(index) if not ops.is_tensor(index) else index
    if hasattr(array, "assign"):  # a variable: its value of now
        array = ops.copy(array)
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


def _checked_index(index, num_classes):
    """Returns classes as int32, and stops where one is out of range."""
    index = ops.cast(index, "int32")
    engine.require(
        ops.all((index >= 0) & (index < num_classes)),
        "`target` must be a class of the model, from 0 to before the number "
        "of classes. Received: (classes, target)",
        num_classes,
        index,
    )
    # In range, so that a gather cannot fail before the check does.
    return ops.clip(index, 0, num_classes - 1)


def _checked_box(box, box_format):
    if not ops.is_tensor(box):
        box = np.asarray(box, "float32")
    if tuple(box.shape[-1:]) != (4,) or len(box.shape) > 2:
        raise ValueError(
            "`box` must have shape (4,) or (batch, 4). Received: box of shape "
            f"{tuple(box.shape)}."
        )
    if isinstance(box, np.ndarray):
        low, high = _corners(box, box_format)
        if not (np.isfinite(box).all() and (low < high).all()):
            raise ValueError(
                "`box` must have a width and a height above 0. Received: "
                f"box={box.tolist()} in the format {box_format!r}."
            )
    return box


def _corners(boxes, box_format):
    """Returns the lower and the upper coordinates, `(..., 2)` each."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if box_format == "xywh":
        return first, first + second
    if box_format == "center_xywh":
        return first - second / 2, first + second / 2
    return first, second


def _iou(one, other):
    """Returns intersection over union of boxes given by their corners."""
    low = ops.maximum(one[0], other[0])
    high = ops.minimum(one[1], other[1])
    shared = ops.prod(ops.relu(high - low), axis=-1)
    areas = [
        ops.prod(ops.relu(high - low), axis=-1) for low, high in (one, other)
    ]
    return ops.divide_no_nan(shared, areas[0] + areas[1] - shared)


def _named_output(outputs, argument, name):
    if ops.is_tensor(outputs):
        # Indexed, the only output would be cut along its batch.
        outputs = [outputs]
    try:
        return outputs[name]
    except (KeyError, IndexError, TypeError):
        raise ValueError(
            f"`{argument}` must be the name or the number of an output. "
            f"Received: {argument}={name!r}. Outputs: {_describe(outputs)}."
        ) from None


def _describe(outputs):
    if isinstance(outputs, dict):
        items = outputs.items()
    else:
        items = enumerate(keras.tree.flatten(outputs))
    return ", ".join(f"{name!r} {tuple(x.shape)}" for name, x in items)
