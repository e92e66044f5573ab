import keras
from keras import ops

from keras_xmap._checks import check_boolean
from keras_xmap._typing import Tensor
from keras_xmap.explainers.cam_explainer import spatial_axes
from keras_xmap.explainers.channel_sum_explainer import ChannelSumExplainer


class GradCAMPlusPlus(ChannelSumExplainer):
    """Grad-CAM in which every position has a weight of its own.

    For `Y = exp(S)` and a network of piecewise linear layers, with `g` the
    derivatives of the score `S` by the channel `A_k`:

    - `alpha_k = g^2 / (2 g^2 + sum_xy(A_k) g^3)`, 0 where `g` is 0
    - `w_k = sum_xy(alpha_k * relu(g))`
    - `M = relu(sum_k w_k * A_k)`

    The paper's common factor `exp(S)` is left out: it scales the whole map
    of an image, and overflows for scores above 88.

    One forward pass for all classes, and one backward pass per class, as for
    `GradCAM`. Only what speaks for the class counts, so that several objects
    of it show alike. Do not use it to see what speaks against a class, nor on
    a layer with negative values, where `alpha` has poles: look behind the
    ReLU.

    Args:
        model: See `GradCAM`.
        target_layer: See `GradCAM`.
        normalize_alpha: Boolean: whether the `alpha_k` of a channel are
            divided by their sum over the positions with `g > 0`, as in the
            authors' code, but not in the paper. Defaults to `False`.
        resize: See `GradCAM`.
        fusion: See `GradCAM`.
        tokens: See `GradCAM`.
        input_name: See `GradCAM`.
        score: See `GradCAM`.

    References:
        - [Chattopadhay et al., 2017](https://arxiv.org/abs/1710.11063)

    Example:

    >>> model = keras.Sequential([keras.Input((32, 32, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    >>> explainer = keras_xmap.explainers.GradCAMPlusPlus(model)
    >>> explainer.explain(np.ones((2, 32, 32, 3), "float32"), target=7).shape
    (2, 32, 32)
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        target_layer: object = None,
        normalize_alpha: bool = False,
        resize: bool = True,
        fusion: str = "mean",
        tokens: str | tuple[int, int] = "auto",
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(
            model, target_layer, resize, fusion, tokens, input_name, score
        )
        self.normalize_alpha = check_boolean("normalize_alpha", normalize_alpha)
        # A weight is a mean over positions, or a sum of them.
        self.adds_up_by = "sum" if normalize_alpha else "mean"

    def channel_sum(self, activations: Tensor, gradients: Tensor) -> Tensor:
        axes = spatial_axes(activations)
        total = ops.sum(activations, axes, keepdims=True)
        # The paper's fraction by g^2, which would vanish in float32. Only
        # positions with g > 0 have a part in the weights.
        alpha = ops.where(
            gradients > 0,
            ops.divide_no_nan(1.0, 2.0 + total * gradients),
            0.0,
        )
        if self.normalize_alpha:
            alpha = ops.divide_no_nan(
                alpha, ops.sum(alpha, axes, keepdims=True)
            )
        weights = ops.sum(alpha * ops.relu(gradients), axes, keepdims=True)
        return ops.sum(weights * activations, axis=-1)

    def map_of_sum(self, total: Tensor) -> Tensor:
        return ops.relu(total)
