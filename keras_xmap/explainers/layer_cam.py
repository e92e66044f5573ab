import keras
from keras import ops

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive
from keras_xmap._typing import Tensor
from keras_xmap.explainers.channel_sum_explainer import ChannelSumExplainer
from keras_xmap.ops import normalize


class LayerCAM(ChannelSumExplainer):
    """Where a layer sees something that raises the score, at every depth.

    Every position is weighed by its own derivative, where that is positive:

    `M = relu(sum_k relu(dS / dA_k) * A_k)`

    The formula is made for activations that are not negative. At a layer that
    has negative ones, such as the sum of a residual block before its ReLU,
    `rectify="products"` asks instead what each position adds:
    `M = sum_k relu(dS / dA_k * A_k)`. Where nothing is negative, both are one.

    One forward pass for all classes, and one backward pass per class, as for
    `GradCAM`. The weights need no mean over positions, so that shallow layers
    have sharp maps too. Do not use it to see what speaks against a class:
    negative derivatives are left out, and the map is not complete
    (`HiResCAM` is).

    Args:
        model: See `GradCAM`.
        target_layer: See `GradCAM`.
        gamma: `None`, or a float > 0: the map of each image becomes
            `tanh(gamma * M / max(M))`, which lifts weak values. The paper
            takes `2.0` for its shallow layers, before it fuses them with deep
            ones. Defaults to `None`: `M` as it is.
        rectify: `"gradients"`, as published, or `"products"`. Defaults to
            `"gradients"`.
        resize: See `GradCAM`.
        fusion: See `GradCAM`.
        tokens: See `GradCAM`.
        input_name: See `GradCAM`.
        score: See `GradCAM`.

    Raises:
        ValueError: If `gamma` is not a positive number, or `rectify` none of
            the two.

    References:
        - [Jiang et al., 2021](https://doi.org/10.1109/TIP.2021.3089943)

    Example:

    >>> model = keras.Sequential([keras.Input((32, 32, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu", name="shallow"),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    >>> layer_cam = keras_xmap.explainers.LayerCAM(model, "shallow", gamma=2.0)
    >>> layer_cam.explain(np.ones((2, 32, 32, 3), "float32"), target=7).shape
    (2, 32, 32)
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        target_layer: object = None,
        gamma: float | None = None,
        rectify: str = "gradients",
        resize: bool = True,
        fusion: str = "mean",
        tokens: str | tuple[int, int] = "auto",
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(
            model, target_layer, resize, fusion, tokens, input_name, score
        )
        if gamma is not None:
            gamma = check_positive("gamma", gamma, "None leaves maps unscaled.")
        self.gamma = gamma
        self.rectify = check_one_of(
            "rectify", rectify, ("gradients", "products")
        )

    def channel_sum(self, activations: Tensor, gradients: Tensor) -> Tensor:
        if self.rectify == "gradients":
            return ops.sum(ops.relu(gradients) * activations, axis=-1)
        return ops.sum(ops.relu(gradients * activations), axis=-1)

    def map_of_sum(self, total: Tensor) -> Tensor:
        maps = ops.relu(total)
        if self.gamma is None:
            return maps
        return ops.tanh(self.gamma * normalize(maps, "max"))
