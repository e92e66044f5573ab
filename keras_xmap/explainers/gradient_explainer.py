"""Explainers that differentiate a score by the input, or by hidden layers."""

import abc
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._axes import channel_axis
from keras_xmap._checks import check_one_of
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.explainers._layers_and_scales import check_entries
from keras_xmap.explainers._layers_and_scales import check_layers
from keras_xmap.explainers._layers_and_scales import check_part
from keras_xmap.explainers.explainer import Explainer
from keras_xmap.explainers.explainer import join_classes
from keras_xmap.targets import class_scores

CHANNEL_REDUCTIONS = ("max", "mean", "norm", "sum", None)


class Gradients:
    """One tensor per class and per thing that was differentiated by.

    Attributes:
        values: List of float tensors that were differentiated by: the
            inputs, without those of integers, or the outputs of layers.
        channel_axes: List of integers, one per value: the axis of its
            channels, `None` where it has none.
        per_class: List with one entry per class: a list with one float32
            tensor per value, of the value's shape; `None` where a method is
            not defined for it.
        notes: Dict of what tells how they were taken: `score_used` and
            `layers_used`.
    """

    def __init__(
        self,
        values: list[Tensor],
        channel_axes: list[int | None],
        per_class: list[list[Tensor]],
        notes: dict,
    ):
        self.values = values
        self.channel_axes = channel_axes
        self.per_class = per_class
        self.notes = notes

    def replaced(self, per_class: list[list[Tensor]]) -> "Gradients":
        """Returns the same with other tensors."""
        return Gradients(self.values, self.channel_axes, per_class, self.notes)

    def times(self, factors: list[Tensor]) -> "Gradients":
        """Returns them multiplied by `factors`: one tensor per value."""
        factors = [ops.cast(factor, "float32") for factor in factors]
        return self.replaced(
            [
                [x * f for x, f in zip(of_class, factors, strict=True)]
                for of_class in self.per_class
            ]
        )


class GradientExplainer(Explainer):
    """Base of explainers that differentiate a score by the input.

    A subclass is its formula, `attributions`, made of `evaluate`,
    `gradients` and `mean_over_copies`. This class reduces channels, and
    serves several inputs, classes and layers.

    Args:
        model: See `Explainer`.
        channel_reduction: How the derivatives of a pixel's channels become
            one number: `"max"` of, `"mean"` of, or Euclidean `"norm"` of the
            absolute values; `"sum"` of the signed values; `None` keeps the
            shape of the input. Which axis is the channels is known from
            what the model does first; inputs without channels, such as
            `(batch, features)`, are only made absolute. Defaults to `"max"`.
        target_layer: `keras.layers.Layer`, its name or its path, as for
            `GradCAM`: the score is differentiated by its output, and the map
            has the layer's resolution. A list of them gives a list of maps,
            all from one forward and one backward pass a class. Defaults to
            `None`: by the inputs.
        input_name: Name or number of the input that is explained, in a model
            with several: the key of a dict, the number in a list, or the
            name of the `keras.Input`. Defaults to `None`: all of them, each
            with a map of its own.
        score: See `Explainer`.

    Attributes:
        layers_used: List of paths of the layers that were explained; `None`
            before the first explanation and where inputs are explained.
        score_used: See `Explainer`.

    Example:

    >>> class Absolute(keras_xmap.explainers.GradientExplainer):
    ...     def attributions(self, inputs, target, parts):
    ...         found = self.gradients(self.evaluate(inputs), target, parts)
    ...         return found.times([keras.ops.abs(x) for x in found.values])
    ...
    >>> model = keras.Sequential(
    ...     [keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[2.0], [3.0]])])
    >>> explainer = Absolute(model, channel_reduction="sum")
    >>> number = keras_xmap.targets.Component()
    >>> explainer.explain(np.array([[-1.0, 1.0]]), number)
    array([[2., 3.]], dtype=float32)
    """

    cause_of_zeros = (
        "all gradients are zero (ReLUs that no image activates, or a score "
        "that its inputs do not move)"
    )

    def __init__(
        self,
        model: keras.layers.Layer,
        channel_reduction: str | None = "max",
        target_layer: object = None,
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(model, score)
        self.channel_reduction = check_one_of(
            "channel_reduction", channel_reduction, CHANNEL_REDUCTIONS
        )
        self._layers = check_layers(target_layer, none="the inputs")
        if target_layer is not None and input_name is not None:
            raise ValueError(
                "Either a layer is explained or an input. Received: "
                f"target_layer={target_layer!r}, input_name={input_name!r}. "
                "Leave one of them None."
            )
        self.target_layer = target_layer
        self.input_name = input_name
        self.layers_used = None

    @abc.abstractmethod
    def attributions(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> Gradients:
        """Returns the attributions of one batch, as `Gradients`.

        Args:
            inputs: Structure of tensors, as the model takes it.
            target: The `Target`.
            parts: Its parts, as tensors.
        """

    def compute(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> tuple[Structure, dict]:
        found = self.attributions(inputs, target, parts)
        single = target.is_single(parts)
        maps = [
            None
            if per_class[0] is None
            else join_classes(
                [self._reduce(x, axis) for x in per_class], single
            )
            for per_class, axis in zip(
                zip(*found.per_class, strict=True),
                found.channel_axes,
                strict=True,
            )
        ]
        return self._arranged(maps, inputs), found.notes

    def check_views(self) -> None:
        if self._layers is not None:
            raise ValueError(
                "Maps of views are averaged on the pixels of the input, since "
                "the positions of a layer lie elsewhere in each view. "
                f"Received: views with target_layer={self.target_layer!r}. "
                "Explain the input, or use LayerCAM or another class "
                "activation map, which is laid on it."
            )

    def gradients(
        self,
        evaluation: engine.Evaluation,
        target: targets.Target,
        parts: Structure,
        rule: str = "standard",
        only: Any | None = None,
    ) -> Gradients:
        """Returns the `Gradients` of the target's scores.

        Args:
            evaluation: `engine.Evaluation`, as `evaluate` returns it.
            target: The `Target`.
            parts: Its tensors.
            rule: Backward rule of ReLUs: `"standard"`, `"guided"` or
                `"deconvnet"`.
            only: The `LayerCall` to differentiate by. Defaults to `None`:
                the layers, or the inputs, that are explained.
        """
        scores = class_scores(evaluation, target, parts)
        found = self._values(evaluation, scores[0], only)
        per_class = [
            [
                ops.cast(x, "float32")
                for x in evaluation.gradients(score, found.values, rule)
            ]
            for score in scores
        ]
        return found.replaced(per_class)

    def mean_over_copies(
        self,
        clean: engine.Evaluation,
        target: targets.Target,
        parts: Structure,
        num_copies: int,
        change: Callable,
        measures: tuple[Callable, ...],
        where: Any | None = None,
        alone: bool = False,
    ) -> list[Gradients]:
        """Averages functions of the gradients at changed copies of a batch.

        One copy is in memory at a time, and all of them explain the target
        that the unchanged batch has.

        Args:
            clean: `engine.Evaluation` of the unchanged batch.
            target: The `Target`.
            parts: Its tensors.
            num_copies: Integer >= 1.
            change: Takes the floating-point inputs, a list, and the copy's
                number, a scalar int32 tensor; returns the list changed.
            measures: Functions of the copy's gradients, nested lists as in
                `Gradients.per_class`, and of its number; each returns lists
                of the same structure.
            where: The `LayerCall` whose output is changed instead of the
                inputs: `change` takes a list of that alone. Defaults to
                `None`: the inputs.
            alone: Boolean: whether the gradients are by that layer alone.

        Returns:
            List with one `Gradients` per measure.
        """
        target = target.for_units(clean.units)
        parts = target.resolve(clean.scores, parts)
        # No pass of its own: only shapes are used, unless layers are asked.
        scores = class_scores(clean, target, parts)
        only = where if alone else None
        found = self._values(clean, scores[0], only)

        def copy(number):
            if where is None:
                changed = change(floating(clean.inputs), number)
                return self.evaluate(with_floating(clean.inputs, changed))
            return self.evaluate_replaced(
                clean, where, lambda x: change([x], number)[0]
            )

        def measured(number):
            of_copy = self.gradients(copy(number), target, parts, only=only)
            return [measure(of_copy.per_class, number) for measure in measures]

        like = [[found.values] * len(scores)] * len(measures)
        means = engine.mean_of_samples(measured, num_copies, like)
        return [found.replaced(mean) for mean in means]

    def evaluate_replaced(
        self,
        clean: engine.Evaluation,
        call: Any,
        function: Callable,
    ) -> engine.Evaluation:
        """Calls the model again with the output of a layer replaced.

        Args:
            clean: `engine.Evaluation` of the unchanged batch.
            call: One of its `calls`.
            function: Takes what the layer puts out; returns what takes its
                place, of the same shape.

        Raises:
            ValueError: If it is no call of its own.
        """
        if call.number is None:
            raise ValueError(
                f"{type(self).__name__} changes what `target_layer` puts out, "
                "which has to be one call. Received: target_layer="
                f"{clean.name_of(call)!r}, which "
                + (
                    "is called once a frame. Name the TimeDistributed layer "
                    "around it."
                    if call.frames
                    else "is an operation inside the `call` of a layer. Name "
                    "a layer."
                )
            )
        return engine.evaluate(
            self.model,
            clean.inputs,
            self.score,
            (call.number, lambda x: ops.cast(function(x), x.dtype)),
        )

    def _arranged(self, maps, inputs):
        """Returns maps in the structure of what is explained."""
        if self._layers is not None:
            several = isinstance(self.target_layer, (list, tuple))
            return maps if several else maps[0]
        maps = with_floating(inputs, maps, otherwise=lambda x: None)
        if self.input_name is None:
            return maps
        (chosen,) = engine.chosen_inputs(self.model, inputs, self.input_name)
        for x, of_input in zip(
            keras.tree.flatten(inputs), keras.tree.flatten(maps), strict=True
        ):
            if x is chosen and of_input is not None:
                return of_input
        raise ValueError(
            "`input_name` must be a floating-point input. Received: "
            f"input_name={self.input_name!r} of dtype "
            f"{keras.backend.standardize_dtype(chosen.dtype)}."
        )

    def _reduce(self, attribution, axis):
        how = self.channel_reduction
        if how is None:
            return attribution
        if axis is None:
            return attribution if how == "sum" else ops.abs(attribution)
        if how == "sum":
            return ops.sum(attribution, axis=axis)
        if how == "norm":
            return ops.sqrt(ops.sum(ops.square(attribution), axis=axis))
        magnitude = ops.abs(attribution)
        reduce = ops.max if how == "max" else ops.mean
        return reduce(magnitude, axis=axis)

    def _values(self, evaluation, score, only=None):
        """Returns `Gradients` of what to differentiate by, still empty."""
        notes = {"score_used": evaluation.score_used, "layers_used": None}
        if self._layers is None:
            values = floating(evaluation.inputs)
            if not values:
                raise evaluation.without_gradient(score)
            if self.channel_reduction is None:
                axes = [None] * len(values)
            else:
                axes = [evaluation.channel_axis(x) for x in values]
            return Gradients(values, axes, [], notes)
        if only is None:
            calls = self._calls(evaluation, score)
        else:
            same = (x for x in evaluation.calls if x.number == only.number)
            calls = [next(same)]
        notes["layers_used"] = [evaluation.name_of(call) for call in calls]
        return Gradients(
            [call.outputs for call in calls],
            [channel_axis_of(call) for call in calls],
            [],
            notes,
        )

    def _calls(self, evaluation, score):
        """Returns the calls of the layers that are explained."""
        calls = [evaluation.layer_call(layer, score) for layer in self._layers]
        for call in calls:
            check_part(evaluation, call, score)
            check_entries(evaluation, call)
        return calls


def channel_axis_of(call):
    """Returns the axis of the channels of a layer's output, or `None`."""
    rank = len(call.outputs.shape)
    return channel_axis(call.data_format) % rank if rank > 2 else None


def floating(inputs: Structure) -> list[Tensor]:
    """Returns the floating-point tensors of a structure, as a list."""
    return [x for x in keras.tree.flatten(inputs) if _is_floating(x)]


def with_floating(
    inputs: Structure, values: list, otherwise: Callable = lambda x: x
) -> Structure:
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
    return x is not None and keras.backend.is_float_dtype(x.dtype)
