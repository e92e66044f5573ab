"""Explainers that weigh the activations of a layer: class activation maps."""

import abc

import keras
from keras import ops

from keras_xmap.explainers.base import Explainer
from keras_xmap.explainers.base import class_scores
from keras_xmap.explainers.base import join_classes
from keras_xmap.ops import resize


class ActivationExplainer(Explainer):
    """Base of explainers that weigh the activations of a layer: CAMs.

    Args:
        model: See `Explainer`.
        target_layer: `keras.layers.Layer`, its name, or its path such as
            `"base/Conv_1"`; `":0"` behind a name means the first call of a
            layer that is called several times. Defaults to `None`: the last
            layer called whose output has more than one position and is not
            itself the model's output.
        resize: Boolean: whether maps are brought to the size of the input,
            by linear interpolation. Defaults to `True`.
        score: See `Explainer`.

    Attributes:
        layers_used: List of paths of the layers that were explained; `None`
            before the first explanation.
    """

    def __init__(self, model, target_layer=None, resize=True, score="logits"):
        super().__init__(model, score)
        self.target_layer = target_layer
        self.resize = resize
        self.layers_used = None

    @abc.abstractmethod
    def map(self, activations, gradients):
        """Returns the map of one class, of shape `(batch, *spatial)`.

        Args:
            activations: Float32 `(batch, *spatial, channels)`.
            gradients: Derivatives of the scores by `activations`.
        """

    def check_model(self, evaluation, layer_call, score):
        """Raises if the method is not defined for this model."""

    def _compute(self, inputs, target, parts):
        evaluation = self._evaluate(inputs)
        scores = class_scores(evaluation, target, parts)
        call = evaluation.layer_call(self.target_layer, scores[0])
        self.layers_used = [call.path]
        _check_spatial(call, self.target_layer)
        self.check_model(evaluation, call, scores[0])
        activations = _channels_last(call.outputs, call.data_format)
        maps = []
        for score in scores:
            (gradients,) = evaluation.gradients(score, [call.outputs])
            gradients = _channels_last(gradients, call.data_format)
            maps.append(self.map(activations, gradients))
        if self.resize:
            size = _input_size(evaluation, call)
            maps = [
                resize(x[..., None], size, data_format="channels_last")[..., 0]
                for x in maps
            ]
        return join_classes(maps, target.is_single(parts))


def spatial_axes(x):
    """Returns the axes of `x` between the batch and the channels."""
    return tuple(range(1, len(x.shape) - 1))


def _channels_last(x, data_format):
    x = ops.cast(x, "float32")
    if data_format == "channels_last":
        return x
    return ops.moveaxis(x, 1, -1)


def _check_spatial(call, target_layer):
    if len(call.outputs.shape) < 3:
        raise ValueError(
            "`target_layer` must be a spatial layer. Expected: an output of "
            "shape (batch, height, width, channels), or of another number of "
            f"positions. Received: target_layer={call.path!r} with shape "
            f"{tuple(call.outputs.shape)}. Name the last convolution."
        )


def _input_size(evaluation, call):
    """Returns the size of the input that the layer's positions stand for."""
    rank = len(call.outputs.shape)
    sizes = [
        ops.shape(x)[1:-1]
        if evaluation.input_data_format == "channels_last"
        else ops.shape(x)[2:]
        for x in keras.tree.flatten(evaluation.inputs)
        if len(x.shape) == rank and evaluation.is_made_from(call.outputs, x)
    ]
    if not sizes or any(size != sizes[0] for size in sizes):
        raise ValueError(
            "It is not clear to which size the map should be brought. "
            f"Expected: inputs of one size that layer {call.path!r} is "
            f"computed from. Received: sizes {sizes}. Pass `resize=False`."
        )
    return sizes[0]
