"""Class activation maps that are a sum over the channels of a layer."""

import abc
import math

from keras import ops

from keras_xmap import engine
from keras_xmap._typing import Tensor
from keras_xmap.explainers._spatial_layer import SpatialLayer
from keras_xmap.explainers.cam_explainer import CAMExplainer


class ChannelSumExplainer(CAMExplainer):
    """Base of class activation maps that sum over the channels of a layer.

    Where the score sees an image by several branches, as two networks whose
    features are joined, one sum runs over the channels of all of them: their
    maps are laid on the input and added before anything else is done with
    them. Each channel is weighed by what the score owes to it directly, not
    through another of the branches.

    A subclass is its formula in two parts, `channel_sum` and `map_of_sum`.

    Args:
        model: See `GradCAM`.
        target_layer: See `GradCAM`.
        resize: See `GradCAM`.
        fusion: See `GradCAM`.
        tokens: See `GradCAM`.
        input_name: See `GradCAM`.
        score: See `GradCAM`.

    Attributes:
        adds_up_by: `"sum"`: the values of a map are amounts that add up over
            its positions, so that those of a coarser layer stand for more;
            `"mean"`: they are levels, of which the mean is meant.
        layers_used: See `CAMExplainer`.
        score_used: See `Explainer`.

    Example:

    >>> class Signed(keras_xmap.explainers.ChannelSumExplainer):
    ...     def channel_sum(self, activations, gradients):
    ...         return keras.ops.sum(activations * gradients, axis=-1)
    ...
    >>> image = keras.Input((8, 8, 3))
    >>> features = [keras.layers.GlobalAveragePooling2D()(
    ...     keras.layers.Conv2D(2, 3, padding="same", name=name)(image))
    ...     for name in ("one", "other")]
    >>> joined = keras.layers.Concatenate()(features)
    >>> explainer = Signed(keras.Model(image, keras.layers.Dense(2)(joined)))
    >>> explainer.explain(np.ones((2, 8, 8, 3)), target=1).shape
    (2, 8, 8)
    >>> sorted(explainer.layers_used)
    ['one', 'other']
    """

    adds_up_by = "sum"

    @abc.abstractmethod
    def channel_sum(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """Returns the sum over the channels, of shape `(batch, *spatial)`.

        Arguments as for `map`.
        """

    def map_of_sum(self, total: Tensor) -> Tensor:
        """Returns the map that is made of the sum, here the sum itself.

        Args:
            total: Float32 `(batch, *spatial)`.
        """
        return total

    def map(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return self.map_of_sum(self.channel_sum(activations, gradients))

    def maps_of_branches(
        self,
        evaluation: engine.Evaluation,
        layers: list[SpatialLayer],
        scores: list[Tensor],
    ) -> list[Tensor]:
        outputs = [layer.outputs for layer in layers]
        activations = [layer.arrange(layer.outputs) for layer in layers]
        found = []
        for score in scores:
            gradients = evaluation.gradients(score, outputs, apart=True)
            sums = []
            for layer, x, gradient in zip(
                layers, activations, gradients, strict=True
            ):
                layer.check_reached(gradient)
                sums.append(self.channel_sum(x, layer.arrange(gradient)))
            if self.resize:
                shares = self._shares(layers, activations)
                sums = [
                    share * layer.spread(x)
                    for layer, x, share in zip(
                        layers, sums, shares, strict=True
                    )
                ]
            # Else they are known to lie in the same places.
            found.append(self.map_of_sum(sum(sums)))
        return found

    def _shares(self, layers, activations):
        """Returns what the maps of layers are multiplied by: a list.

        The amount at a position of a coarse layer is spread over the pixels
        that it stands for: all count by the position of the finest layer.
        """
        pixels = ops.cast(math.prod(layers[0].size), "float32")
        counts = [
            ops.cast(math.prod(ops.shape(x)[1:-1]), "float32")
            for x in activations
        ]
        if self.adds_up_by == "mean":
            return [pixels / count for count in counts]
        return [pixels / ops.max(ops.stack(counts))] * len(layers)
