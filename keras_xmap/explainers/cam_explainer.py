"""Explainers that weigh the activations of a layer: class activation maps."""

import abc

from keras import ops

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap.explainers._spatial_layer import SpatialLayer
from keras_xmap.explainers._tokens import check_tokens
from keras_xmap.explainers.explainer import Explainer
from keras_xmap.explainers.explainer import class_scores
from keras_xmap.explainers.explainer import join_classes
from keras_xmap.ops import normalize
from keras_xmap.ops import resize


class CAMExplainer(Explainer):
    """Base of explainers that weigh the activations of a layer: CAMs.

    Args:
        model: See `Explainer`.
        target_layer: See `GradCAM`.
        resize: See `GradCAM`.
        score: See `Explainer`.
        fusion: See `GradCAM`.
        tokens: See `GradCAM`.
        which: See `GradCAM`.

    Attributes:
        layers_used: List of paths of the layers that were explained; `None`
            before the first explanation.
    """

    cause_of_zeros = (
        "the layer holds nothing that speaks for the target, so that the "
        "ReLU of the method removed the whole map, or all gradients are zero"
    )

    def __init__(
        self,
        model,
        target_layer=None,
        resize=True,
        score="logits",
        fusion="mean",
        tokens="auto",
        which=None,
    ):
        super().__init__(model, score)
        self._is_fused = isinstance(target_layer, (list, tuple, int))
        if self._is_fused:
            _check_several(target_layer, resize)
        self.target_layer = target_layer
        self.resize = resize
        self.fusion = check_one_of("fusion", fusion, ("mean", "max"))
        self.tokens = check_tokens(tokens)
        self.which = which
        self.layers_used = None

    @abc.abstractmethod
    def map(self, activations, gradients):
        """Returns the map of one class, of shape `(batch, *spatial)`.

        Args:
            activations: Float32 `(batch, *spatial, channels)`.
            gradients: Derivatives of the scores by `activations`.
        """

    def maps(self, evaluation, layer, scores, target, parts):
        """Returns a list of one map per class, at the size of the layer.

        Methods that need no gradients override this, so that no backward
        pass is made.

        Args:
            evaluation: `engine.Evaluation` of the batch.
            layer: The `SpatialLayer` to look at.
            scores: List of one tensor `(batch,)` per class.
            target: The `Target` that chose them, with
            parts: its parts.
        """
        activations = layer.arrange(layer.outputs)
        maps = []
        for score in scores:
            (gradients,) = evaluation.gradients(score, [layer.outputs])
            layer.check_reached(gradients)
            maps.append(self.map(activations, layer.arrange(gradients)))
        return maps

    def check_model(self, evaluation, layer, score):
        """Raises if the method is not defined for this model."""

    def _compute(self, inputs, target, parts):
        evaluation = self._evaluate(inputs)
        scores = class_scores(evaluation, target, parts)
        calls = self._layer_calls(evaluation, scores[0])
        self.layers_used = [call.path for call in calls]
        of_layers = []
        for call in calls:
            layer = SpatialLayer(evaluation, call, self.tokens, self.which)
            self.check_model(evaluation, layer, scores[0])
            maps = self.maps(evaluation, layer, scores, target, parts)
            if self.resize:
                maps = [resize(x[..., None], layer.size)[..., 0] for x in maps]
            of_layers.append(maps)
        if self._is_fused:
            maps = [self._fuse(x) for x in zip(*of_layers, strict=True)]
        return join_classes(maps, target.is_single(parts))

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
    return tuple(range(1, len(x.shape) - 1))


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
