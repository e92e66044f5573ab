import numpy as np
from keras import ops

from keras_xmap._checks import check_integer
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.targets._single_unit import scores_of_classes
from keras_xmap.targets.class_target import single_class
from keras_xmap.targets.target import Target


class MaskedMean(Target):
    """The mean score of a class over the pixels of a mask.

    For segmentation outputs: what made the network see this class here? A
    single channel is two classes, object 1 and background 0, as a single unit
    is of `Class`.

    Args:
        index: Integer >= 0: the class.
        mask: Array of shape `(batch, height, width)` (or with the output's
            other number of axes), or with an axis of size 1 where the output
            has its classes; at the output's resolution; weights >= 0.
            Defaults to `None`: all pixels.
        output: Name or number of the output, of shape `(batch, height,
            width, classes)`, that is meant. Defaults to `None`: the only one.
        axis: Integer: the axis of the classes. Defaults to `-1`.

    Raises:
        ValueError: If the mask does not fit the output or holds what is no
            weight, or if nothing tells how to read a single channel.
    """

    cause_of_zeros = "the mask of the image is empty"

    def __init__(
        self,
        index: int,
        mask: ArrayLike = None,
        output: str | int | None = None,
        axis: int = -1,
    ):
        super().__init__(output)
        self.index = single_class(index)
        self.mask = mask
        if mask is not None and not ops.is_tensor(mask):
            self.mask = _weights(mask)
        self.axis = check_integer("axis", axis)

    @property
    def parts(self):
        return {} if self.mask is None else {"mask": self.mask}

    @property
    def key(self):
        return (*super().key, self.index, self.axis, self.mask is None)

    def is_of_places(self, outputs):
        return self.mask is not None

    def scores(self, outputs, parts):
        output = self._select(outputs)
        if len(output.shape) < 3:
            raise ValueError(
                "MaskedMean explains outputs of shape (batch, height, width, "
                f"classes). Received: shape {tuple(output.shape)}. For shape "
                "(batch, classes) use `keras_xmap.targets.Class`."
            )
        rank = len(output.shape)
        if not -rank <= self.axis < rank or self.axis % rank == 0:
            raise ValueError(
                "`axis` must be an axis of the output behind the batch. "
                f"Received: axis={self.axis} for shape {tuple(output.shape)}."
            )
        output = scores_of_classes(output, self._unit(), self.axis)
        num_classes = output.shape[self.axis]
        if num_classes is not None and self.index >= num_classes:
            raise ValueError(
                "`index` must be a class of the output. Received: index="
                f"{self.index} for shape {tuple(output.shape)}."
            )
        of_class = [slice(None)] * rank
        of_class[self.axis] = self.index
        scores = output[tuple(of_class)]
        axes = tuple(range(1, len(scores.shape)))
        if not parts:
            return ops.mean(scores, axis=axes)
        mask = self._fitting(parts["mask"], scores)
        total = ops.sum(mask, axis=axes)
        return ops.divide_no_nan(ops.sum(mask * scores, axis=axes), total)

    def _fitting(self, mask, scores):
        """Returns the mask like the scores: without an axis of classes."""
        shape = tuple(mask.shape)
        if len(shape) == len(scores.shape) + 1 and shape[self.axis] == 1:
            mask = ops.squeeze(mask, axis=self.axis)
        if tuple(mask.shape[1:]) != tuple(scores.shape[1:]):
            raise ValueError(
                "`mask` must have the size of the output. Received: a mask of "
                f"shape {shape} for scores of shape {tuple(scores.shape)}."
            )
        return ops.cast(mask, scores.dtype)


def _weights(mask):
    mask = as_array("mask", mask).astype("float32")
    if not (np.isfinite(mask).all() and (mask >= 0).all()):
        raise ValueError(
            "`mask` must hold finite weights >= 0. Received: mask with values "
            f"from {mask.min()} to {mask.max()}. Of a map with both signs, "
            "take what is positive: `np.maximum(mask, 0)`."
        )
    return mask
