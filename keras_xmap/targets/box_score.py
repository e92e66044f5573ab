from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_xmap import engine
from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_optional
from keras_xmap._entries import entries_of_rows
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.ops import box_iou
from keras_xmap.targets.class_target import checked_index
from keras_xmap.targets.class_target import class_indices
from keras_xmap.targets.target import Target
from keras_xmap.targets.target import named_output

_BOX_FORMATS = ("xyxy", "yxyx", "xywh", "center_xywh")
# The parts of one tensor, and how many columns they have; classes the rest.
_WIDTHS = {"boxes": 4, "objectness": 1, "classes": 0, "ignored": 1}


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

    Detectors that put out one tensor of boxes, objectness and classes, as the
    YOLO family does, are explained by `layout`. Boxes are to be decoded, into
    one of the formats below. With an objectness, the score of a class is their
    product, by which such detectors rank their boxes; that is a product of
    probabilities, which asks for `score="output"` and a model that ends in
    sigmoids. Of raw logits explain the class alone: write `"ignored"` in place
    of `"objectness"`.

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
        layout: Tuple of strings: what the columns of one output `(batch, ...,
            predictions, columns)` hold, in their order: `"boxes"`, 4 columns;
            `"objectness"`, 1; `"classes"`, all columns that the others leave;
            `"ignored"`, 1, as often as needed. For YOLO's 5 + C columns
            `("boxes", "objectness", "classes")`. Without classes `index` 0 is
            the objectness. The output is the only one, or `boxes_output`.
            Columns that come before the predictions are refused where boxes
            lie on `box` by this order alone.
            Defaults to `None`: boxes and scores are two outputs.

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
    >>> rows = np.array([[[0, 0, 4, 4, 0.5, 0.1, 0.9]]])
    >>> yolo = ("boxes", "objectness", "classes")
    >>> target = keras_xmap.targets.BoxScore([0, 0, 4, 5], 1, layout=yolo)
    >>> round(float(target.scores(rows, target.parts)[0]), 6)
    0.45
    """

    cause_of_zeros = (
        "no predicted box lies on `box`, by `iou_threshold`: see those of "
        "`model.predict`, in the units and the `box_format` of yours"
    )

    def __init__(
        self,
        box: ArrayLike,
        index: ArrayLike = 0,
        boxes_output: str | int = "boxes",
        scores_output: str | int = "classes",
        box_format: str = "xyxy",
        iou_threshold: float = 0.5,
        layout: Sequence[str] | None = None,
    ):
        super().__init__()
        self.index = index
        self.boxes_output = boxes_output
        self.scores_output = scores_output
        self.box_format = check_one_of("box_format", box_format, _BOX_FORMATS)
        self.iou_threshold = check_fraction("iou_threshold", iou_threshold)
        self.layout = check_optional(_check_layout, "layout", layout)
        self.box = _checked_box(box, box_format)
        self._array = class_indices(index)
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
        options = (self.box_format, self.iou_threshold, self.layout)
        outputs = (self.boxes_output, self.scores_output)
        return (*super().key, *outputs, *options, len(self.box.shape))

    def resolve(self, outputs, parts):
        if "weights" in parts:
            return parts
        weights = self._weights(self._boxes(outputs), parts)
        if self.layout is not None:
            self._check_order(self._only_output(outputs), weights, parts)
        return {**parts, "weights": weights}

    def _weights(self, predicted, parts):
        """Returns the overlaps of boxes that count, `(batch, predictions)`."""
        box = parts.get("box")
        if box is None:
            box = ops.stack([parts[f"box {side}"] for side in range(4)])[None]
        overlap = ops.stop_gradient(
            box_iou(
                _corners(ops.cast(box, "float32")[:, None], self.box_format),
                _corners(ops.cast(predicted, "float32"), self.box_format),
            )
        )
        return ops.where(overlap >= self.iou_threshold, overlap, 0.0)

    def _check_order(self, output, weights, parts):
        """Raises if boxes lie on `box` only where columns come second.

        Shapes alone do not tell, since any number of columns may be classes.
        """
        turned = ops.moveaxis(output, 1, -1)
        if not self._fits(turned.shape):
            return
        others = self._weights(self._split(turned)["boxes"], parts)
        engine.require(
            ops.any(weights > 0) | ops.all(others == 0),
            "`layout` names the columns, which come last. Received: layout="
            f"{self.layout} for an output of shape {tuple(output.shape)}, "
            "whose boxes lie on `box` where its second axis is read as that "
            f"of columns, and nowhere as it is. {_moved_by(output)}",
        )

    def scores(self, outputs, parts):
        weights = self.resolve(outputs, parts)["weights"]
        scores = self._class_scores(outputs, weights.shape[1])
        index = checked_index(parts["index"], ops.shape(scores)[-1])
        boxes = ops.shape(scores)[:2]
        index = ops.broadcast_to(ops.reshape(index, (-1, 1)), boxes)
        rows = ops.reshape(scores, (-1, ops.shape(scores)[-1]))
        scores = entries_of_rows(rows, ops.reshape(index, (-1,)))
        scores = ops.reshape(scores, boxes)
        weights = ops.cast(weights, scores.dtype)
        return ops.divide_no_nan(
            ops.sum(weights * scores, axis=1), ops.sum(weights, axis=1)
        )

    def _boxes(self, outputs):
        """Returns the predicted boxes, `(batch, predictions, 4)`."""
        if self.layout is not None:
            return self._columns(outputs)["boxes"]
        predicted = outputs
        if isinstance(outputs, (dict, list, tuple)):
            predicted = named_output(outputs, "boxes_output", self.boxes_output)
        if len(predicted.shape) != 3 or predicted.shape[-1] != 4:
            raise ValueError(
                "`boxes_output` must have shape (batch, predictions, 4). "
                f"Received: boxes_output={self.boxes_output!r} of shape "
                f"{tuple(predicted.shape)}. Of one output that holds boxes and "
                "scores, `layout` names the columns."
            )
        return predicted

    def _class_scores(self, outputs, num_boxes):
        """Returns the scores, `(batch, predictions, classes)`."""
        if self.layout is not None:
            return self._scores_of_columns(self._columns(outputs))
        scores = named_output(outputs, "scores_output", self.scores_output)
        if len(scores.shape) == 2:
            scores = ops.expand_dims(scores, -1)
        sizes = num_boxes, scores.shape[1]
        if len(scores.shape) != 3 or (
            None not in sizes and sizes[0] != sizes[1]
        ):
            raise ValueError(
                "`scores_output` must have shape (batch, predictions, "
                "classes), with one entry per box. Received: scores_output="
                f"{self.scores_output!r} of shape {tuple(scores.shape)} for "
                f"{sizes[0]} boxes."
            )
        return scores

    def _columns(self, outputs):
        """Returns the parts of one output, `(batch, predictions, width)`."""
        output = self._only_output(outputs)
        if not self._fits(output.shape):
            raise ValueError(
                "`layout` must name all columns of an output (batch, "
                "predictions, columns). Received: layout="
                f"{self.layout} for an output of shape {tuple(output.shape)}. "
                "Boxes have 4 columns, classes those that are left, anything "
                f"else 1. {_moved_by(output)}"
            )
        return self._split(output)

    def _num_classes(self, shape):
        """Returns how many columns the other parts leave for classes."""
        return (shape[-1] or 0) - sum(_WIDTHS[part] for part in self.layout)

    def _fits(self, shape):
        rest = self._num_classes(shape)
        fits = rest > 0 if "classes" in self.layout else rest == 0
        return len(shape) > 2 and fits

    def _split(self, output):
        width, rest = output.shape[-1], self._num_classes(output.shape)
        output = ops.reshape(output, (ops.shape(output)[0], -1, width))
        parts, start = {}, 0
        for part in self.layout:
            stop = start + (rest if part == "classes" else _WIDTHS[part])
            parts[part] = output[..., start:stop]
            start = stop
        return parts

    def _only_output(self, structure):
        """Returns the entry of the output that `layout` is of."""
        if len(keras.tree.flatten(structure)) > 1 and self.output is None:
            return named_output(structure, "boxes_output", self.boxes_output)
        return self._select(structure)

    def _are_logits(self):
        if self._units is None:
            return False
        return self._only_output(self._units).is_probability is False

    def _scores_of_columns(self, parts):
        if "classes" not in parts or "objectness" not in parts:
            return parts.get("classes", parts.get("objectness"))
        if self._are_logits():
            raise ValueError(
                "A class is multiplied by the objectness where both are "
                "probabilities. Received: layout="
                f"{self.layout}, and scores that no sigmoid has squashed. Pass "
                'score="output" if the model ends in sigmoids; of logits '
                'explain the class alone, with "ignored" in place of '
                '"objectness" in `layout`.'
            )
        return parts["objectness"] * parts["classes"]


def _moved_by(output):
    """Says how columns that come second are brought to the end."""
    order = (*range(2, max(len(output.shape), 3)), 1)
    return (
        f"Columns that come second are moved by `keras.layers.Permute({order})`"
        " at the end of the model."
    )


def _check_layout(name, layout):
    parts = tuple(layout) if isinstance(layout, (list, tuple)) else ()
    named = [part for part in parts if part != "ignored"]
    if not (
        all(isinstance(part, str) and part in _WIDTHS for part in parts)
        and len(named) == len(set(named)) > 1
        and "boxes" in named
    ):
        raise ValueError(
            "`layout` must hold 'boxes' and 'classes', 'objectness' or both, "
            "once each, in the order of the columns, and 'ignored' for any "
            f"other column. Received: {name}={layout!r}."
        )
    return parts


def _checked_box(box, box_format):
    if not ops.is_tensor(box):
        box = as_array("box", box).astype("float32")
    if tuple(box.shape[-1:]) != (4,) or len(box.shape) > 2:
        raise ValueError(
            "`box` must have shape (4,) or (batch, 4). Received: box of shape "
            f"{tuple(box.shape)}."
        )
    if isinstance(box, np.ndarray):
        low, high = _extremes(box, box_format)
        if not (np.isfinite(box).all() and (low < high).all()):
            raise ValueError(
                "`box` must have a width and a height above 0. Received: "
                f"box={box.tolist()} in the format {box_format!r}."
            )
    return box


def _corners(boxes, box_format):
    """Returns boxes by two opposite corners, the lower coordinates first."""
    return ops.concatenate(_extremes(boxes, box_format), axis=-1)


def _extremes(boxes, box_format):
    """Returns the lower and the upper coordinates, `(..., 2)` each."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if box_format == "xywh":
        return first, first + second
    if box_format == "center_xywh":
        return first - second / 2, first + second / 2
    return first, second
