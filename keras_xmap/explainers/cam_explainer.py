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
from keras_xmap.explainers.explainer import class_scores
from keras_xmap.explainers.explainer import join_classes
from keras_xmap.ops import normalize
from keras_xmap.ops import resize


class CAMExplainer(Explainer):
    """Base of explainers that weigh the activations of a layer: CAMs.

    A subclass is its formula, `map`: of activations and gradients of one
    layer, for one class, in `keras.ops`. This class finds the layer, takes
    the gradients, lays tokens out as a grid, resizes and fuses.

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
        self, evaluation: engine.Evaluation, layer: SpatialLayer, score: Tensor
    ) -> None:
        """Raises if the method is not defined for this model."""

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
        self.check_model(evaluation, layer, scores[0])
        activations, weights = self.weights(
            evaluation, layer, scores, target, parts
        )
        return [self.map(activations, of_class) for of_class in weights]

    def compute(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> tuple[Structure, dict]:
        evaluation = self.evaluate(inputs)
        scores = class_scores(evaluation, target, parts)
        calls = self._layer_calls(evaluation, scores[0])
        of_layers = []
        for call in calls:
            layer = SpatialLayer(evaluation, call, self.tokens, self.input_name)
            maps = self.maps_of_layer(evaluation, layer, scores, target, parts)
            if self.resize:
                maps = [resize(x[..., None], layer.size)[..., 0] for x in maps]
            of_layers.append(maps)
        maps = of_layers[0]
        if self._is_fused:
            maps = [self._fuse(x) for x in zip(*of_layers, strict=True)]
        return join_classes(maps, target.is_single(parts)), {
            "layers_used": [call.path for call in calls],
            "score_used": evaluation.score_used,
        }

    @property
    def _is_fused(self):
        return isinstance(self.target_layer, (list, tuple, int))

    def _layer_calls(self, evaluation, score):
        if isinstance(self.target_layer, int):
            return evaluation.last_layer_calls(self.target_layer, score)
        names = self.target_layer if self._is_fused else [self.target_layer]
        return [evaluation.layer_call(name, score) for name in names]

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
