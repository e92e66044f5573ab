"""Explainers that differentiate a score by the input."""

import abc

import keras
from keras import ops

from keras_xmap._validation import check_one_of
from keras_xmap.explainers.base import Explainer
from keras_xmap.explainers.base import class_scores
from keras_xmap.explainers.base import join_classes

CHANNEL_REDUCTIONS = ("max", "mean", "norm", "sum", None)


class GradientExplainer(Explainer):
    """Base of explainers that differentiate a score by the input.

    Args:
        model: See `Explainer`.
        channel_reduction: How the derivatives of a pixel's channels become
            one number: `"max"` of, `"mean"` of, or Euclidean `"norm"` of the
            absolute values; `"sum"` of the signed values; `None` keeps the
            shape of the input. Inputs of shape `(batch, features)` have no
            channels and are only made absolute. Defaults to `"max"`.
        score: See `Explainer`.
    """

    def __init__(self, model, channel_reduction="max", score="logits"):
        super().__init__(model, score)
        self.channel_reduction = check_one_of(
            "channel_reduction", channel_reduction, CHANNEL_REDUCTIONS
        )

    @abc.abstractmethod
    def attributions(self, inputs, target, parts):
        """Returns `(attributions, data_format)` of one batch.

        `attributions` has one entry per class: a list with one tensor per
        input, of the input's shape, or `None` for inputs of integers.
        """

    def _compute(self, inputs, target, parts):
        per_class, data_format = self.attributions(inputs, target, parts)
        maps = [
            None
            if of_input[0] is None
            else join_classes(
                [self._reduce(x, data_format) for x in of_input],
                target.is_single(parts),
            )
            for of_input in zip(*per_class, strict=True)
        ]
        return keras.tree.pack_sequence_as(inputs, maps)

    def _reduce(self, attribution, data_format):
        how = self.channel_reduction
        if how is None:
            return attribution
        if len(attribution.shape) < 3:
            return attribution if how == "sum" else ops.abs(attribution)
        axis = -1 if data_format == "channels_last" else 1
        if how == "sum":
            return ops.sum(attribution, axis=axis)
        if how == "norm":
            return ops.sqrt(ops.sum(ops.square(attribution), axis=axis))
        magnitude = ops.abs(attribution)
        reduce = ops.max if how == "max" else ops.mean
        return reduce(magnitude, axis=axis)

    def _gradients(self, evaluation, target, parts, rule="standard"):
        tensors = keras.tree.flatten(evaluation.inputs)
        return [
            evaluation.gradients(score, tensors, rule)
            for score in class_scores(evaluation, target, parts)
        ]
