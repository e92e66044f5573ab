import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._axes import channel_axis
from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive
from keras_xmap._typing import Structure
from keras_xmap.explainers._candidates import CandidateClasses
from keras_xmap.explainers._candidates import FoundCandidates
from keras_xmap.explainers._candidates import as_candidates
from keras_xmap.explainers._candidates import candidate_members
from keras_xmap.explainers._candidates import check_candidates
from keras_xmap.explainers._candidates import in_columns
from keras_xmap.explainers._layers_and_scales import check_layers
from keras_xmap.explainers._layers_and_scales import check_scales
from keras_xmap.explainers._layers_and_scales import chosen_layers
from keras_xmap.explainers._layers_and_scales import scaled_inputs
from keras_xmap.explainers._slots import Slots
from keras_xmap.explainers._slots import beside
from keras_xmap.explainers._slots import distinct
from keras_xmap.explainers._spatial_layer import SpatialLayer
from keras_xmap.explainers.explainer import Explainer
from keras_xmap.explainers.explainer import join_classes
from keras_xmap.targets import class_scores

PAPER_SCALES = (1, 1.2, 1.4, 1.6)
_CHANNELS_AT_ONCE = 64


class DistinctClassSaliency(Explainer):
    """Which of an image's classes a pixel belongs to.

    The gradients of the classes of one image look alike: they show what
    stands out, not whose it is. Three changes make them differ. Derivatives
    are taken by several hidden layers, which hold more of the class than the
    image does; from the map of a class the maps of the other classes that may
    be in the image, its candidates, are subtracted; and both is done at
    several sizes of the image. With the derivative `v_l^c` of the score of
    class `c` by layer `l`, the image enlarged `s` times:

    `M_ls^c = resize(max_k |v_l^c|)`

    `D_ls^c = sum_{c' != c} max(M_ls^c - M_ls^c', 0)`, or `M_ls^c` where `c`
    is the only candidate

    `M^c = mean_ls tanh(alpha * D_ls^c / max_xy D_ls^c)`

    A score map is explained by the sum of a class over its positions. One
    forward pass a scale, all layers and classes from it, and one backward
    pass for each class that an image of the batch has.

    The maps hold pixels of one class against those of others; they do not
    tell classes from background, nor whether the class is there at all. A map
    is zero everywhere where another candidate is stronger in every pixel.

    `scales` are sizes within the method, all of which see the same candidates;
    `explain(views=...)` repeats all of it, and each view finds its own.

    Args:
        model: See `GradCAM`. To be explained at several scales it must take
            images of other sizes, see
            `keras_xmap.models.fully_convolutional`.
        target_layer: Layer, name or path, see `GradCAM`, or a list of them.
            Defaults to `None`: of the convolutions with kernels larger than
            one pixel, in the order they are called, the upper two thirds,
            which in VGG-16 are conv3_1 to conv5_3.
        scales: List of floats > 0: sizes of the image relative to its own,
            all of which the model must take. Defaults to `None`: of 1, 1.2,
            1.4 and 1.6, those of the paper, the ones that the model takes,
            which for a model of one image size is 1 alone.
        candidates: The candidates of an image, besides the classes of its
            target. Float: the classes whose output, at the image's own size,
            exceeds it, of score maps at any position, and of them at most the
            five highest. Integer: so many of the highest. A list of classes.
            `"target"`: no others. `None`: none at all, nothing is subtracted.
            Defaults to `0.5`.
        relu_rule: `"guided"`, `"standard"` or `"deconvnet"`: how derivatives
            pass a ReLU on their way back, see `GuidedBackprop`. A model
            without any ReLU has the standard rule only. Defaults to
            `"guided"`.
        alpha: Float > 0. The larger, the less the strongest pixels of a map
            stand out. Defaults to `3.0`.
        normalization: Where maps are divided by their maximum: `"after"` the
            difference, as above and as the paper's figures; `"before"` it,
            so that all candidates weigh the same, and not after it; `None`
            for nowhere, the paper's equation as printed, whose maps depend
            on the size of the gradients. Defaults to `"after"`.
        signed: Boolean. Whether the largest derivative of a pixel's channels
            is taken with its sign, as published code does, and those below 0
            become 0; not by its size. Defaults to `False`.
        upsampling: Whether derivatives are brought to the size of the image
            `"after"` the largest of the channels is taken, as above and as
            published code does, or `"before"` it, the paper's equation 1 as
            printed, `M_ls^c = max_k |resize(v_l^c)|`: a channel at a time,
            which takes as many times longer. There, neighbours of different
            sign cancel. Defaults to `"after"`.
        score: See `GradCAM`.

    Attributes:
        layers_used: List of paths of the layers that were explained; `None`
            before the first explanation.
        scales_used: Tuple of the sizes at which images were explained; `None`
            before the first explanation.
        score_used: See `GradCAM`.

    Raises:
        ValueError: If an argument is out of its range; on explaining, if the
            model does not take images of these scales, or has no such layers.
        TypeError: If `target_layer` is neither layers nor names.

    References:
        - [Shimoda & Yanai, 2016](https://doi.org/10.1007/978-3-319-46493-0_14)

    Example:

    >>> model = keras.Sequential([keras.Input((None, None, 3)),
    ...     keras.layers.Conv2D(8, 3, activation="relu"),
    ...     keras.layers.Conv2D(8, 3, activation="relu"),
    ...     keras.layers.Conv2D(4, 1),
    ...     keras.layers.GlobalMaxPooling2D(),
    ...     keras.layers.Activation("sigmoid")])
    >>> images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    >>> dcsm = keras_xmap.explainers.DistinctClassSaliency(
    ...     model, candidates=2)
    >>> dcsm.explain(images, target=1).shape  # against the two highest
    (2, 32, 32)
    >>> present = np.array([[0, 1, 3], [2, 3, -1]])  # -1: no more classes
    >>> dcsm.explain(images, target=present).shape
    (2, 3, 32, 32)
    """

    cause_of_zeros = (
        "another candidate is stronger in every pixel, or all gradients are "
        "zero"
    )

    def __init__(
        self,
        model: keras.layers.Layer,
        target_layer: object = None,
        scales: tuple[float, ...] | None = None,
        candidates: float | int | list[int] | str | None = 0.5,
        relu_rule: str = "guided",
        alpha: float = 3.0,
        normalization: str | None = "after",
        signed: bool = False,
        upsampling: str = "after",
        score: str = "logits",
    ):
        super().__init__(model, score)
        check_layers(target_layer)
        self.target_layer = target_layer
        self.scales = check_scales(scales)
        self.candidates = check_candidates(candidates)
        self.relu_rule = check_one_of("relu_rule", relu_rule, engine.RELU_RULES)
        self.alpha = check_positive("alpha", alpha)
        self.normalization = check_one_of(
            "normalization", normalization, ("after", "before", None)
        )
        self.signed = check_boolean("signed", signed)
        self.upsampling = check_one_of(
            "upsampling", upsampling, ("after", "before")
        )
        self.layers_used = self.scales_used = None

    def convert_target(self, target: object) -> targets.Target:
        """Returns the `Target` for what a user gives.

        In an array of classes `(n, classes)` -1 stands for none: images may
        have different numbers of classes, and the map of none is zero.
        """
        return as_candidates(target)

    def find_candidates(
        self,
        data: Structure,
        output: str | int | None = None,
        batch_size: int = 32,
        verbose: str | int = "auto",
    ) -> np.ndarray:
        """Finds the classes that `candidates` names, of each image.

        They are what `explain` takes as `target` for the maps of all classes
        of an image.

        Args:
            data: See `explain`.
            output: Name or number of the model's output that is meant.
                Defaults to `None`: the only one.
            batch_size: See `explain`.
            verbose: See `explain`.

        Returns:
            Int32 array `(n, classes)`: the classes of each image, the highest
            first, filled up by -1; all -1 where none exceeds the threshold.

        Raises:
            ValueError: If `candidates` is `"target"` or `None`.
        """
        if self.candidates in (None, "target"):
            raise ValueError(
                "`candidates` must be a threshold, a number of classes or a "
                "list of classes, by which they can be found. Received: "
                f"candidates={self.candidates!r}."
            )
        found = self._runner.collect(
            data, FoundCandidates(output=output), batch_size, verbose
        )
        return in_columns(found["member"] > 0, found["ranking"])

    def resolved_parts(
        self,
        evaluation: engine.Evaluation,
        target: targets.Target,
        parts: Structure,
    ) -> Structure:
        if parts or not isinstance(target, CandidateClasses):
            return super().resolved_parts(evaluation, target, parts)
        told: Any = target.for_units(evaluation.units)
        axis = _class_axis(evaluation)
        ranking = told.table(evaluation.scores, axis, ops.max)
        return {"index": told.indices(ops.stop_gradient(ranking), {})[:, 0]}

    def compute(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> tuple[Structure, dict]:
        own = self.evaluate(inputs)
        target = target.for_units(own.units)
        if isinstance(target, FoundCandidates):
            return self._members(own, target), {}
        if isinstance(target, CandidateClasses):
            slots = self._slots(own, target, parts)
        else:
            parts = target.resolve(own.scores, parts)
            slots = _unnamed_slots(class_scores(own, target, parts))
        score = _scores(own, target, parts, slots)[0]
        numbers = chosen_layers(own, self.target_layer, score)
        size = _one_image(own, numbers).size
        evaluations = self._evaluations(own)
        total = 0.0
        for evaluation in evaluations.values():
            scores = _scores(evaluation, target, parts, slots)
            for maps in self._class_maps(
                evaluation, numbers, scores, slots, size
            ):
                total = total + distinct(
                    maps,
                    slots,
                    self.candidates is not None,
                    self.normalization,
                    self.alpha,
                )
        maps = total / (len(evaluations) * len(numbers))
        valid = slots.valid[:, : slots.num_targets]
        maps = ops.where(beside(valid, maps), maps, 0.0)
        maps = [maps[..., slot] for slot in range(slots.num_targets)]
        return join_classes(maps, target.is_single(parts)), {
            "layers_used": [own.name_of(own.calls[n]) for n in numbers],
            "scales_used": tuple(evaluations),
            "score_used": own.score_used,
        }

    def _members(self, own, target):
        ranking = target.table(own.scores, _class_axis(own), ops.max)
        outputs = target.table(own.outputs, _class_axis(own), ops.max, True)
        member = candidate_members(self.candidates, outputs, ranking)
        return {"member": ops.cast(member, "float32"), "ranking": ranking}

    def _slots(self, own, target, parts):
        # Which classes there are bends no score of a class.
        ranking = ops.stop_gradient(
            target.table(own.scores, _class_axis(own), ops.max)
        )
        return Slots(
            target.indices(ranking, parts),
            self.candidates,
            ops.stop_gradient(
                target.table(own.outputs, _class_axis(own), ops.max, True)
            ),
            ranking,
            may_be_empty=not target.is_single(parts),
        )

    def _evaluations(self, own):
        """Returns a dict of evaluations by the scale of the image."""
        evaluations = {}
        for scale in self.scales or PAPER_SCALES:
            try:
                evaluations[scale] = (
                    own
                    if scale == 1
                    else self.evaluate(scaled_inputs(own, scale))
                )
            except ValueError as error:
                if self.scales is not None:
                    raise self._refused(error) from error
        return evaluations

    def _refused(self, error):
        return ValueError(
            f"The model {self.model.name!r} does not take images of other "
            f"sizes than its own. Received: scales={self.scales}. Pass it "
            "through `keras_xmap.models.fully_convolutional` first, or "
            f"explain it at `scales=(1,)`. {error}"
        )

    def _class_maps(self, evaluation, numbers, scores, slots, size):
        """Returns a list of one tensor `(batch, *size, slots)` a layer."""
        calls = [evaluation.calls[number] for number in numbers]
        layers = [SpatialLayer(evaluation, call) for call in calls]
        values = [call.outputs for call in calls]

        def of_slot(slot, score):
            gradients = self._gradients(
                evaluation, score, values, slots.needed(slot)
            )
            return [
                self._laid(layer, layer.arrange(gradient), size)
                for layer, gradient in zip(layers, gradients, strict=True)
            ]

        per_slot = [of_slot(slot, score) for slot, score in enumerate(scores)]
        return [
            ops.stack(maps, axis=-1) for maps in zip(*per_slot, strict=True)
        ]

    def _gradients(self, evaluation, score, values, where):
        try:
            return evaluation.gradients(score, values, self.relu_rule, where)
        except engine.RuleError as error:
            raise ValueError(
                f"{error} To explain this model by distinct class saliency, "
                'pass relu_rule="standard", the ordinary derivatives. '
                f"Received: relu_rule={self.relu_rule!r}."
            ) from error

    def _laid(self, layer, gradients, size):
        """Returns the map of a layer, laid on the image."""
        if self.upsampling == "after":
            return layer.lay(self._strongest(gradients), size)
        channels = gradients.shape[-1]
        # So many at once bound the memory, and the length of the trace.
        parts = [
            gradients[..., start : start + _CHANNELS_AT_ONCE]
            for start in range(0, channels, _CHANNELS_AT_ONCE)
        ]
        parts = [self._strongest(_each_laid(layer, x, size)) for x in parts]
        return functools.reduce(ops.maximum, parts)

    def _strongest(self, gradients):
        if self.signed:
            return ops.relu(ops.max(gradients, axis=-1))
        return ops.max(ops.abs(gradients), axis=-1)


def _each_laid(layer, maps, size):
    """Lays maps `(batch, *positions, channels)` channel by channel."""
    shape, count = ops.shape(maps), maps.shape[-1]
    apart = ops.reshape(ops.moveaxis(maps, -1, 1), (-1, *shape[1:-1]))
    laid = layer.lay(apart, size)
    laid = ops.reshape(laid, (shape[0], count, *ops.shape(laid)[1:]))
    return ops.moveaxis(laid, 1, -1)


def _one_image(evaluation, numbers):
    """Returns the first `SpatialLayer` of those that show the same inputs."""
    layers = [SpatialLayer(evaluation, evaluation.calls[n]) for n in numbers]
    shown = [set(map(id, layer.inputs)) for layer in layers]
    if any(inputs != shown[0] for inputs in shown):
        raise ValueError(
            "The maps of several layers are summed, which must show the same "
            "inputs. Received: layers that show different inputs, "
            f"{', '.join(layer.path for layer in layers)}. Pass those of one "
            "input as `target_layer`."
        )
    return layers[0]


def _scores(evaluation, target, parts, slots):
    """Returns a list of one score `(batch,)` per slot."""
    if not isinstance(target, CandidateClasses):
        return class_scores(evaluation, target, parts)

    def of_slots(outputs):
        table = target.table(outputs, _class_axis(evaluation), ops.sum)
        return table, slots.scores(table)

    table, scores = evaluation.derive(of_slots, evaluation.scores)
    evaluation.check_depends(table)
    return scores


def _unnamed_slots(scores):
    """Returns the `Slots` of scores that are not of classes by number."""
    index = ops.arange(len(scores), dtype="int32")
    shape = (ops.shape(scores[0])[0], len(scores))
    return Slots(ops.broadcast_to(index, shape), None, None, None, False)


def _class_axis(evaluation):
    return channel_axis(evaluation.calls[-1].data_format)
