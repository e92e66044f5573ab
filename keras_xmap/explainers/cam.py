from keras import ops

from keras_xmap import engine
from keras_xmap._typing import Tensor
from keras_xmap.explainers._spatial_layer import SpatialLayer
from keras_xmap.explainers.cam_explainer import spatial_axes
from keras_xmap.explainers.channel_sum_explainer import ChannelSumExplainer


class CAM(ChannelSumExplainer):
    """The class map of a network that ends in global average pooling.

    Where the score is `S = sum_k w_k * mean_xy(A_k) + b`, the same weights
    applied before the pooling show where it comes from:

    `M = sum_k w_k * A_k`, with `mean_xy(M) + b = S`

    Positive values speak for the class, negative ones against it. Where the
    score is such a sum over several layers, as of two networks side by side,
    so is the map by default. Models with anything but one linear layer behind
    the pooling are refused, and so is a layer that is named and not all that
    the score sees: `GradCAM` is the generalisation to those.

    Args:
        model: See `GradCAM`; between the layer and the score there may be
            global average pooling and linear layers only.
        target_layer: See `GradCAM`.
        resize: See `GradCAM`.
        fusion: See `GradCAM`.
        tokens: See `GradCAM`.
        input_name: See `GradCAM`.
        score: See `GradCAM`.

    Raises:
        ValueError: On explaining, if the model has no such head, or if the
            score sees the image past `target_layer`.

    References:
        - [Zhou et al., 2015](https://arxiv.org/abs/1512.04150)
    """

    adds_up_by = "mean"

    def check_model(
        self,
        evaluation: engine.Evaluation,
        layers: list[SpatialLayer],
        score: Tensor,
    ) -> None:
        outputs = [layer.outputs for layer in layers]
        obstacles = evaluation.nonlinear_operations(outputs, score)
        if obstacles:
            names = " and ".join(repr(layer.path) for layer in layers)
            raise ValueError(
                "CAM needs a model that ends in global average pooling and "
                "one linear layer. Received: between layer "
                f"{names} and the score stands "
                f"{obstacles}. Use GradCAM, or name the last layer "
                "before the pooling as `target_layer`."
            )

    def check_whole(self, layers: list[str], past: engine.WaysPast) -> None:
        remedy = "" if past.inputs else "Pass target_layer=None for the sum "
        remedy += "of all branches, or use" if remedy else "Use"
        raise ValueError(
            "The mean of a CAM plus the bias is the score, so it needs layers "
            "by which all comes that the score sees of the image. Received: "
            f"target_layer={layers}, past which the score sees it by {past}. "
            f"{remedy} GradCAM for what this layer holds alone."
        )

    def channel_sum(self, activations: Tensor, gradients: Tensor) -> Tensor:
        axes = spatial_axes(gradients)
        mean = ops.mean(gradients, axes, keepdims=True)
        engine.require(
            ops.max(ops.abs(gradients - mean))
            <= 1e-3 * ops.max(ops.abs(gradients)),
            "CAM needs a model that ends in global average pooling: every "
            "position must have the same weight. Received: a head that weighs "
            "positions differently, such as Flatten and Dense. Use HiResCAM, "
            "which is complete for those, or GradCAM.",
        )
        # S = mean(M) + b: the sum of the derivatives undoes the pooling's 1/Z.
        weights = ops.sum(gradients, axes, keepdims=True)
        return ops.sum(weights * activations, axis=-1)
