from keras import ops

from keras_xmap._typing import Tensor
from keras_xmap.explainers.channel_sum_explainer import ChannelSumExplainer


class HiResCAM(ChannelSumExplainer):
    """What each position of a layer adds to the score.

    Activations are weighed position by position, without averaging:

    `M = sum_k dS / dA_k * A_k`

    Where all that follows the layer is linear, and the score sees the image by
    this layer alone, the map is complete: with `resize=False` its sum plus the
    head's bias is the score. A layer that is named and bypassed has the map of
    what it adds itself, with a warning. Of several branches the maps are
    summed: spread over the pixels that they stand for, they are complete
    together. Positive values speak for the target, negative ones against it.

    Args:
        model: See `GradCAM`.
        target_layer: See `GradCAM`.
        resize: See `GradCAM`.
        fusion: See `GradCAM`.
        tokens: See `GradCAM`.
        input_name: See `GradCAM`.
        score: See `GradCAM`.

    References:
        - [Draelos & Carin, 2020](https://arxiv.org/abs/2011.08891)
    """

    def channel_sum(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return ops.sum(gradients * activations, axis=-1)
