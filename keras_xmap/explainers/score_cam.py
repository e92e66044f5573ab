import keras
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.explainers._spatial_layer import SpatialLayer
from keras_xmap.explainers.cam_explainer import CAMExplainer
from keras_xmap.explainers.cam_explainer import spatial_axes
from keras_xmap.ops import normalize

# A channel whose values differ by less than rounding, of its largest one.
_FLAT = 1e-6


class ScoreCAM(CAMExplainer):
    """Channels weighed by the score of the image that only they let through.

    Each channel of the layer becomes a mask from 0 to 1 on the input `X`,
    and the score under the mask its weight; no gradient is taken:

    - `H_k = min_max(resize(A_k))`
    - `C_k = f(X * H_k) - f(0)`
    - `w = softmax(C)` over the channels
    - `M = relu(sum_k w_k * A_k)`

    `1 + channels` forward passes, which all classes share, one masked copy of
    the batch in memory at a time. Channels that are flat over an image make
    no mask: they are left out of its map.

    A masked input goes to 0, which should stand for "nothing there": after
    the usual subtraction of the mean, but not for pixels from 0 to 255, where
    it is black. All floating-point inputs whose positions the layer shows are
    masked. Do not use the method where a forward
    pass is dear, or where such masked images mean little to the model.

    Args:
        model: See `GradCAM`.
        target_layer: See `GradCAM`.
        max_channels: Integer >= 1: only so many channels, those of largest
            variance in each image ("Faster Score-CAM"). Defaults to `None`:
            all channels.
        weighting: How scores become weights. `"softmax"` of the paper's
            algorithm; `"increase"`: `w = C`, which may be negative;
            `"score"`: `w_k = f(X * H_k)`, as in the authors' code. Defaults
            to `"softmax"`.
        resize: See `GradCAM`.
        fusion: See `GradCAM`.
        tokens: See `GradCAM`.
        input_name: See `GradCAM`.
        score: `"output"` weighs by the output as it is, probabilities of a
            model that ends in softmax or sigmoid; `"logits"` by the score
            before that. Masked images have logits of any size, among which a
            softmax over channels leaves one channel alone. Defaults to
            `"output"`, as in the authors' code.

    Raises:
        ValueError: If an argument is out of range; on explaining, if no
            floating-point input has the positions of the layer.

    References:
        - [Wang et al., 2019](https://arxiv.org/abs/1910.01279)

    Example:

    >>> model = keras.Sequential([keras.Input((32, 32, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(10, activation="softmax")])
    >>> score_cam = keras_xmap.explainers.ScoreCAM(model, max_channels=2)
    >>> score_cam.explain(np.ones((2, 32, 32, 3), "float32"), target=7).shape
    (2, 32, 32)
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        target_layer: object = None,
        max_channels: int | None = None,
        weighting: str = "softmax",
        resize: bool = True,
        fusion: str = "mean",
        tokens: str | tuple[int, int] = "auto",
        input_name: str | int | None = None,
        score: str = "output",
    ):
        super().__init__(
            model, target_layer, resize, fusion, tokens, input_name, score
        )
        if max_channels is not None:
            max_channels = check_positive_integer("max_channels", max_channels)
        self.max_channels = max_channels
        self.weighting = check_one_of(
            "weighting", weighting, ("softmax", "increase", "score")
        )

    def weights(
        self,
        evaluation: engine.Evaluation,
        layer: SpatialLayer,
        scores: list[Tensor],
        target: targets.Target,
        parts: Structure,
    ) -> tuple[Tensor, list[Tensor]]:
        activations = self._chosen_channels(layer.arrange(layer.outputs))
        # The masked copies are explained for the class of the image itself.
        target = target.for_units(evaluation.units)
        parts = target.resolve(evaluation.scores, parts)
        layer.check_placed()
        masked = _masked_inputs(evaluation, layer)

        def scores_under(channel):
            # What no position sees is 0 in the mask, as its darkest place is.
            lowest = ops.min(
                channel, tuple(range(1, len(channel.shape))), keepdims=True
            )
            shown = channel - lowest
            inputs = keras.tree.map_structure(
                lambda x, is_masked: (
                    _masked(x, layer.lay_beside(x, shown)) if is_masked else x
                ),
                evaluation.inputs,
                masked,
            )
            outputs = engine.evaluate(self.model, inputs, self.score).scores
            found = target.scores(outputs, parts)
            return found if len(found.shape) > 1 else found[:, None]

        # (channels, batch, classes)
        under_masks = engine.stack_of_samples(
            lambda k: scores_under(ops.take(activations, k, axis=-1)),
            ops.shape(activations)[-1],
        )
        if self.weighting == "increase":
            nothing = ops.zeros_like(activations[..., 0])
            under_masks -= ops.cast(scores_under(nothing), "float32")
        weights = self._channel_weights(under_masks, _is_flat(activations))
        for _ in spatial_axes(activations):
            weights = ops.expand_dims(weights, 1)
        return activations, [weights[..., k] for k in range(len(scores))]

    def map(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return ops.relu(ops.sum(gradients * activations, axis=-1))

    def _channel_weights(self, scores, is_flat):
        """Returns the weights, of shape `(batch, channels, classes)`."""
        scores = ops.transpose(scores, (1, 0, 2))
        is_flat = is_flat[..., None]
        if self.weighting == "softmax":
            # The softmax does not see `f(0)`, so that no pass is made for it.
            scores = ops.where(is_flat, -float("inf"), scores)
            scores = ops.exp(scores - ops.max(scores, axis=1, keepdims=True))
            scores /= ops.sum(scores, axis=1, keepdims=True)
        return ops.where(is_flat, 0.0, scores)

    def _chosen_channels(self, activations):
        channels = activations.shape[-1]
        if self.max_channels is None or (
            channels is not None and channels <= self.max_channels
        ):
            return activations
        axes = spatial_axes(activations)
        count = self.max_channels
        if channels is None:
            count = ops.minimum(count, ops.shape(activations)[-1])
        _, index = ops.top_k(ops.var(activations, axes), count)
        for _ in axes:
            index = ops.expand_dims(index, 1)
        index = ops.broadcast_to(
            index, (*ops.shape(activations)[:-1], ops.shape(index)[-1])
        )
        return ops.take_along_axis(activations, index, axis=-1)


def _is_flat(activations):
    axes = spatial_axes(activations)
    span = ops.max(activations, axes) - ops.min(activations, axes)
    return span <= _FLAT * ops.max(ops.abs(activations), axes)


def _masked_inputs(evaluation, layer):
    """Returns the structure of the inputs, with whether each is masked."""
    masked = keras.tree.map_structure(
        lambda x: (
            x is not None
            and keras.backend.is_float_dtype(x.dtype)
            and any(x is shown for shown in layer.inputs)
        ),
        evaluation.inputs,
    )
    if not any(keras.tree.flatten(masked)):
        shapes = [tuple(x.shape) for x in evaluation.given_inputs]
        raise ValueError(
            "ScoreCAM masks the input with the channels of the layer. "
            "Expected: a floating-point input whose positions the output of "
            f"layer {layer.path!r}, of shape {tuple(layer.outputs.shape)}, "
            f"shows. Received: inputs of shapes {shapes}. Name another "
            "`target_layer`, or use GradCAM."
        )
    return masked


def _masked(x, channel):
    """Multiplies an input by a channel that is laid on it, made a mask."""
    return x * ops.cast(normalize(channel), x.dtype)
