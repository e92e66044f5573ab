"""Explainers that differentiate a score by the input, or by hidden layers."""

import abc

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._checks import check_one_of
from keras_xmap.explainers._layers_and_scales import check_layers
from keras_xmap.explainers.explainer import Explainer
from keras_xmap.explainers.explainer import class_scores
from keras_xmap.explainers.explainer import join_classes

CHANNEL_REDUCTIONS = ("max", "mean", "norm", "sum", None)


class Gradients:
    """One tensor per class and per thing that was differentiated by.

    Attributes:
        values: List of float tensors that were differentiated by: the
            inputs, without those of integers, or the outputs of layers.
        data_formats: List of strings: `"channels_last"` or
            `"channels_first"`, one per value.
        per_class: List with one entry per class: a list with one float32
            tensor per value, of the value's shape; `None` where a method is
            not defined for it.
    """

    def __init__(self, values, data_formats, per_class):
        self.values = values
        self.data_formats = data_formats
        self.per_class = per_class

    def times(self, factors):
        """Returns them multiplied by `factors`: one tensor per value."""
        factors = [ops.cast(factor, "float32") for factor in factors]
        per_class = [
            [x * factor for x, factor in zip(of_class, factors, strict=True)]
            for of_class in self.per_class
        ]
        return Gradients(self.values, self.data_formats, per_class)


class GradientExplainer(Explainer):
    """Base of explainers that differentiate a score by the input.

    Args:
        model: See `Explainer`.
        channel_reduction: How the derivatives of a pixel's channels become
            one number: `"max"` of, `"mean"` of, or Euclidean `"norm"` of the
            absolute values; `"sum"` of the signed values; `None` keeps the
            shape of the input. Inputs of shape `(batch, features)` have no
            channels and are only made absolute. Defaults to `"max"`.
        layers: List of `keras.layers.Layer`, names or paths, as for
            `GradCAM`: the score is differentiated by their outputs, all from
            one forward and one backward pass a class, and the result is a
            list with one map per layer, at the layer's resolution. Defaults
            to `None`: by the inputs.
        score: See `Explainer`.

    Attributes:
        layers_used: List of paths of the layers that were explained; `None`
            before the first explanation and where inputs are explained.
    """

    cause_of_zeros = (
        "all gradients are zero (ReLUs that no image activates, or a score "
        "that its inputs do not move)"
    )

    def __init__(
        self, model, channel_reduction="max", layers=None, score="logits"
    ):
        super().__init__(model, score)
        self.channel_reduction = check_one_of(
            "channel_reduction", channel_reduction, CHANNEL_REDUCTIONS
        )
        self.layers = check_layers(layers, none="the inputs")
        self.layers_used = None

    @abc.abstractmethod
    def attributions(self, inputs, target, parts):
        """Returns the attributions of one batch, as `Gradients`."""

    def _compute(self, inputs, target, parts):
        found = self.attributions(inputs, target, parts)
        single = target.is_single(parts)
        maps = [
            None
            if per_class[0] is None
            else join_classes(
                [self._reduce(x, data_format) for x in per_class], single
            )
            for per_class, data_format in zip(
                zip(*found.per_class, strict=True),
                found.data_formats,
                strict=True,
            )
        ]
        if self.layers is not None:
            return maps
        return with_floating(inputs, maps, otherwise=lambda x: None)

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
        """Returns the `Gradients` of the target's scores.

        Args:
            evaluation: `engine.Evaluation`.
            target: `Target`.
            parts: Its tensors.
            rule: Backward rule of ReLUs: `"standard"`, `"guided"` or
                `"deconvnet"`.
        """
        scores = class_scores(evaluation, target, parts)
        values, data_formats = self._values(evaluation, scores[0])
        per_class = [
            [
                ops.cast(x, "float32")
                for x in evaluation.gradients(score, values, rule)
            ]
            for score in scores
        ]
        return Gradients(values, data_formats, per_class)

    def _mean_over_copies(
        self, clean, target, parts, num_copies, change, measures
    ):
        """Averages functions of the gradients at changed copies of a batch.

        One copy is in memory at a time, and all of them explain the target
        that the unchanged batch has.

        Args:
            clean: `engine.Evaluation` of the unchanged batch.
            target: `Target`.
            parts: Its tensors.
            num_copies: Integer >= 1.
            change: Takes the floating-point inputs, a list, and the copy's
                number, a scalar int32 tensor; returns the list changed.
            measures: List of functions of the copy's gradients, nested lists
                as in `Gradients.per_class`, and of its number; each returns
                lists of the same structure.

        Returns:
            List with one `Gradients` per measure.
        """
        parts = target.resolve(clean.scores, parts)
        # No pass of its own: only shapes are used, unless layers are asked.
        scores = class_scores(clean, target, parts)
        values, data_formats = self._values(clean, scores[0])
        unchanged = floating(clean.inputs)

        def measured(number):
            copy = with_floating(clean.inputs, change(unchanged, number))
            found = self._gradients(self._evaluate(copy), target, parts)
            return [measure(found.per_class, number) for measure in measures]

        means = engine.mean_of_samples(
            measured, num_copies, like=[[values] * len(scores)] * len(measures)
        )
        return [Gradients(values, data_formats, mean) for mean in means]

    def _values(self, evaluation, score):
        """Returns what to differentiate by, and its data formats: lists."""
        if self.layers is None:
            values = floating(evaluation.inputs)
            return values, [evaluation.input_data_format] * len(values)
        calls = [evaluation.layer_call(layer, score) for layer in self.layers]
        self.layers_used = [call.path for call in calls]
        for call in calls:
            _check_part(evaluation, call, score)
        return (
            [call.outputs for call in calls],
            [call.data_format for call in calls],
        )


def floating(inputs):
    """Returns the floating-point tensors of a structure, as a list."""
    return [x for x in keras.tree.flatten(inputs) if _is_floating(x)]


def with_floating(inputs, values, otherwise=lambda x: x):
    """Returns `inputs` with `values` in place of `floating(inputs)`.

    Args:
        inputs: Structure of tensors.
        values: List with one entry per floating-point tensor.
        otherwise: What to put in the place of other tensors, a function of
            them. Defaults to the tensors themselves.
    """
    found = iter(values)
    flat = [
        next(found) if _is_floating(x) else otherwise(x)
        for x in keras.tree.flatten(inputs)
    ]
    return keras.tree.pack_sequence_as(inputs, flat)


def _is_floating(x):
    return "float" in keras.backend.standardize_dtype(x.dtype)


def _check_part(evaluation, call, score):
    """Raises if a layer's derivatives would mean nothing."""
    if not _is_floating(call.outputs):
        raise ValueError(
            "`layers` must be layers with floating-point outputs. Received: "
            f"layer {call.path!r} with dtype "
            f"{keras.backend.standardize_dtype(call.outputs.dtype)}."
        )
    if not evaluation.is_made_from(score, call.outputs):
        raise ValueError(
            "`layers` must have a part in the target. Received: layer "
            f"{call.path!r}, from whose output the score is not computed. It "
            "may stand beside the way to this output, or behind the score: "
            'the softmax or sigmoid that ends a model, which score="output" '
            "includes."
        )
