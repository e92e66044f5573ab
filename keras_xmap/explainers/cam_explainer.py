"""Explainers that weigh the activations of a layer: class activation maps."""

import abc

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._axes import spatial_axes as axes_of_rank
from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.explainers._spatial_layer import SpatialLayer
from keras_xmap.explainers._spatial_layer import check_tokens
from keras_xmap.explainers.explainer import Explainer
from keras_xmap.explainers.explainer import join_classes
from keras_xmap.ops import normalize
from keras_xmap.targets import class_scores


class CAMExplainer(Explainer):
    """Base of explainers that weigh the activations of a layer: CAMs.

    A subclass is its formula, `map`: of activations and gradients of one
    layer, for one class, in `keras.ops`. This class finds the layer, takes
    the gradients, lays tokens out as a grid, resizes and fuses. A formula
    that sums over channels derives from `ChannelSumExplainer`, which knows
    what to do where the score sees the image by several branches.

    Args:
        model: See `GradCAM`.
        target_layer: See `GradCAM`.
        resize: See `GradCAM`.
        fusion: See `GradCAM`.
        tokens: See `GradCAM`.
        input_name: See `GradCAM`.
        score: See `GradCAM`.

    Attributes:
        layers_used: List of paths of the layers that were explained; `None`
            before the first explanation.
        score_used: See `Explainer`.

    Example:

    >>> class Strongest(keras_xmap.explainers.CAMExplainer):
    ...     def map(self, activations, gradients):
    ...         return keras.ops.max(activations * gradients, axis=-1)
    ...
    >>> model = keras.Sequential([keras.Input((32, 32, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    >>> Strongest(model).explain(np.ones((2, 32, 32, 3)), target=7).shape
    (2, 32, 32)
    """

    cause_of_zeros = (
        "the layer holds nothing that speaks for the target, so that the "
        "ReLU of the method removed the whole map, or all gradients are zero"
    )

    def __init__(
        self,
        model: keras.layers.Layer,
        target_layer: object = None,
        resize: bool = True,
        fusion: str = "mean",
        tokens: str | tuple[int, int] = "auto",
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(model, score)
        self.resize = check_boolean("resize", resize)
        self.target_layer = target_layer
        if self._is_fused:
            _check_several(target_layer, resize)
        self.fusion = check_one_of("fusion", fusion, ("mean", "max"))
        self.tokens = check_tokens(tokens)
        self.input_name = input_name
        self.layers_used = None

    @abc.abstractmethod
    def map(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """Returns the map of one class, of shape `(batch, *spatial)`.

        Args:
            activations: Float32 `(batch, *spatial, channels)`.
            gradients: What weighs them: derivatives of the class score by
                `activations`, of their shape, or what `weights` has put in
                their place.
        """

    def weights(
        self,
        evaluation: engine.Evaluation,
        layer: SpatialLayer,
        scores: list[Tensor],
        target: targets.Target,
        parts: Structure,
    ) -> tuple[Tensor, list[Tensor]]:
        """Returns the activations, and for each class what weighs them.

        Methods that need no gradients override this, so that no backward
        pass is made.

        Args:
            evaluation: `engine.Evaluation` of the batch.
            layer: The layer to look at: `layer.outputs` are its activations,
                `layer.arrange` brings them to `(batch, *spatial, channels)`.
            scores: List of one tensor `(batch,)` per class.
            target: The `Target` that chose them, with
            parts: its parts.

        Returns:
            Float32 tensor `(batch, *spatial, channels)`, and a list with the
            second argument of `map` for each class.
        """
        found = []
        for score in scores:
            (gradients,) = evaluation.gradients(score, [layer.outputs])
            layer.check_reached(gradients)
            found.append(layer.arrange(gradients))
        return layer.arrange(layer.outputs), found

    def check_model(
        self,
        evaluation: engine.Evaluation,
        layers: list[SpatialLayer],
        score: Tensor,
    ) -> None:
        """Raises if the method is not defined for this model.

        Args:
            evaluation: `engine.Evaluation` of the batch.
            layers: List of the `SpatialLayer`s that become one map.
            score: Tensor `(batch,)`.
        """

    def check_whole(self, layers: list[str], past: engine.WaysPast) -> None:
        """Tells that layers are not all that the score sees of the image.

        Args:
            layers: List of the names of the layers that were asked for.
            past: What leads past them.
        """
        whole = (
            f" Whole are target_layer={[*layers, *past.layers]}."
            if not past.inputs
            else ""
        )
        self._warn_once(
            f"The score sees the image also past target_layer={layers}, by "
            f"{past}. The map shows what is seen by {' and '.join(layers)} "
            f"alone.{whole}"
        )

    def check_views(self) -> None:
        if not self.resize:
            raise ValueError(
                "Maps of views are averaged on the pixels of the input, since "
                "the positions of a layer lie elsewhere in each view. "
                "Received: views with resize=False. Pass `resize=True`, and "
                "bring the mean to another size by `keras_xmap.ops.resize`."
            )

    def maps_of_layer(
        self,
        evaluation: engine.Evaluation,
        layer: SpatialLayer,
        scores: list[Tensor],
        target: targets.Target,
        parts: Structure,
    ) -> list[Tensor]:
        """Returns one map per class, at the size of the layer.

        Arguments as for `weights`.
        """
        self.check_model(evaluation, [layer], scores[0])
        activations, weights = self.weights(
            evaluation, layer, scores, target, parts
        )
        return [self.map(activations, of_class) for of_class in weights]

    def maps_of_branches(
        self,
        evaluation: engine.Evaluation,
        layers: list[SpatialLayer],
        scores: list[Tensor],
    ) -> list[Tensor]:
        """Returns one map per class, of layers that are whole only together.

        Args:
            evaluation: `engine.Evaluation` of the batch.
            layers: List of `SpatialLayer`s.
            scores: List of one tensor `(batch,)` per class.

        Returns:
            List of float32 tensors `(batch, *spatial)` of the input's size.
        """
        names = [layer.path for layer in layers]
        raise ValueError(
            f"{type(self).__name__} is defined for one layer, and the score "
            f"sees the image by several branches. Received: target_layer="
            f"{self.target_layer!r} for branches that end in {names}. Fuse "
            f"their maps by target_layer={names}, name one of them, or use "
            "GradCAM, which sums over all."
        )

    def compute(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> tuple[Structure, dict]:
        evaluation = self.evaluate(inputs)
        scores = class_scores(evaluation, target, parts)
        maps, layers = self.explained(evaluation, scores, target, parts)
        return join_classes(maps, target.is_single(parts)), {
            "layers_used": [layer.path for layer in layers],
            "score_used": evaluation.score_used,
        }

    def explained(
        self,
        evaluation: engine.Evaluation,
        scores: list[Tensor],
        target: targets.Target,
        parts: Structure,
    ) -> tuple[list[Tensor], list[SpatialLayer]]:
        """Returns the maps of the classes, and the layers they are of.

        Arguments as for `weights`.
        """
        groups = self._groups(evaluation, scores[0])
        of_groups = [
            self._maps_of_group(evaluation, group, scores, target, parts)
            for group in groups
        ]
        layers = [layer for group in groups for layer in group]
        if self._is_named:
            self._check_whole(evaluation, layers, scores[0])
        maps = of_groups[0]
        if self._is_fused:
            maps = [self._fuse(x) for x in zip(*of_groups, strict=True)]
        return maps, layers

    @property
    def _is_fused(self):
        layer = self.target_layer
        return self._is_of_stages or isinstance(layer, (list, tuple, int))

    @property
    def _is_of_stages(self):
        layer = self.target_layer
        return isinstance(layer, str) and layer == engine.STAGES

    @property
    def _is_named(self):
        found = isinstance(self.target_layer, (int, type(None)))
        return not found and not self._is_of_stages

    def _groups(self, evaluation, score):
        """Returns lists of `SpatialLayer`s: of each, one map is made."""
        inputs = self._shown_inputs(evaluation)
        if self.target_layer is None:
            groups = [evaluation.branches(score, inputs)]
        elif self._is_of_stages:
            groups = evaluation.branches_of_stages(score, inputs)
        elif isinstance(self.target_layer, int):
            groups = evaluation.branches_of_sizes(
                self.target_layer, score, inputs
            )
        else:
            names = self.target_layer if self._is_fused else [self.target_layer]
            groups = [
                [evaluation.layer_call(name, score, inputs)] for name in names
            ]
        return [
            [
                SpatialLayer(evaluation, call, self.tokens, inputs)
                for call in group
            ]
            for group in groups
        ]

    def _shown_inputs(self, evaluation):
        return engine.chosen_inputs(
            self.model, evaluation.inputs, self.input_name
        )

    def _maps_of_group(self, evaluation, layers, scores, target, parts):
        if len(layers) == 1:
            (layer,) = layers
            maps = self.maps_of_layer(evaluation, layer, scores, target, parts)
            return [layer.lay(x) for x in maps] if self.resize else maps
        alike = all(layer.lies_as(layers[0]) for layer in layers)
        if not self.resize and not alike:
            names = [layer.path for layer in layers]
            raise ValueError(
                "The score sees the image by several branches, whose maps are "
                "summed at the size of the input. Received: resize=False for "
                f"branches of unlike positions, that end in {names}. Pass "
                "`resize=True`, or name one of them as `target_layer`."
            )
        self.check_model(evaluation, layers, scores[0])
        return self.maps_of_branches(evaluation, layers, scores)

    def _check_whole(self, evaluation, layers, score):
        inputs = self._shown_inputs(evaluation)
        calls = [layer.call for layer in layers]
        past = evaluation.ways_past(calls, score, inputs)
        if past:
            self.check_whole([layer.path for layer in layers], past)

    def _fuse(self, maps):
        maps = ops.stack([normalize(x, "max") for x in maps])
        fuse = ops.mean if self.fusion == "mean" else ops.max
        return fuse(maps, axis=0)


def spatial_axes(x):
    """Returns the axes of `x` between the batch and the channels."""
    return axes_of_rank(len(x.shape))


def _check_several(target_layer, resize):
    if isinstance(target_layer, int):
        check_positive_integer(
            "target_layer", target_layer, "It counts sizes of layers."
        )
    elif not target_layer:
        raise ValueError(
            "`target_layer` must name at least one layer. Received: "
            f"target_layer={target_layer!r}. `None` means the last one."
        )
    if not resize:
        raise ValueError(
            "Maps of several layers are brought to the size of the input. "
            f"Received: resize={resize!r} with target_layer={target_layer!r}. "
            "Explain the layers one by one for maps of their own sizes."
        )
