import keras
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._checks import check_boolean
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.explainers._spatial_layer import SpatialLayer
from keras_xmap.explainers.cam_explainer import CAMExplainer


class EigenCAM(CAMExplainer):
    """What a layer shows most of, whatever the class.

    With the activations of one image as a matrix `A` of positions and
    channels, and `v` its first right singular vector:

    `M = A v`

    A singular vector has no sign; it is chosen so that the entries of `v`
    have a sum >= 0, that is, so that `M` is large where activations are. Of
    activations >= 0 the map is >= 0.

    One forward pass and no backward pass. The map is the same for every
    target: it shows what is salient for the network, not what speaks for a
    class. Do not use it to tell classes apart. Where the first two singular
    values are equal, any mixture of their maps is right.

    Args:
        model: See `GradCAM`.
        target_layer: See `GradCAM`.
        center: Boolean: whether the mean of each channel is subtracted
            first, which makes `M` the first principal component, of mean 0,
            as in pytorch-grad-cam. The paper does not. Defaults to `False`.
        resize: See `GradCAM`.
        fusion: See `GradCAM`.
        tokens: See `GradCAM`.
        input_name: See `GradCAM`.
        score: See `GradCAM`; it has no effect on the map.

    References:
        - [Muhammad & Yeasin, 2020](https://arxiv.org/abs/2008.00299)

    Example:

    >>> model = keras.Sequential([keras.Input((32, 32, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    >>> eigen_cam = keras_xmap.explainers.EigenCAM(model)
    >>> eigen_cam.explain(np.ones((2, 32, 32, 3), "float32")).shape
    (2, 32, 32)
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        target_layer: object = None,
        center: bool = False,
        resize: bool = True,
        fusion: str = "mean",
        tokens: str | tuple[int, int] = "auto",
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(
            model, target_layer, resize, fusion, tokens, input_name, score
        )
        self.center = check_boolean("center", center)

    def maps_of_layer(
        self,
        evaluation: engine.Evaluation,
        layer: SpatialLayer,
        scores: list[Tensor],
        target: targets.Target,
        parts: Structure,
    ) -> list[Tensor]:
        # The same for all classes, and without a gradient.
        activations = layer.arrange(layer.outputs)
        return [self.map(activations, None)] * len(scores)

    def map(self, activations: Tensor, gradients: Tensor | None) -> Tensor:
        _, *spatial, channels = ops.shape(activations)
        positions = 1
        for length in spatial:
            positions = positions * length
        # In float64: a matrix times itself squares its rounding, and its size.
        matrix = ops.reshape(
            ops.cast(activations, "float64"), (-1, positions, channels)
        )
        if self.center:
            matrix -= ops.mean(matrix, axis=1, keepdims=True)
        maps = _first_component(matrix, positions, channels)
        toward = ops.sum(maps * ops.sum(matrix, axis=-1), -1, keepdims=True)
        maps = ops.where(toward < 0, -maps, maps)
        return ops.cast(ops.reshape(maps, (-1, *spatial)), "float32")


def _first_component(matrix, positions, channels):
    """Returns `A v` of shape `(batch, positions)`, of either sign."""

    def from_channels():
        gram = ops.matmul(ops.transpose(matrix, (0, 2, 1)), matrix)
        _, vectors = ops.eigh(gram)
        return ops.matmul(matrix, vectors[..., -1:])[..., 0]

    def from_positions():
        gram = ops.matmul(matrix, ops.transpose(matrix, (0, 2, 1)))
        values, vectors = ops.eigh(gram)
        length = ops.sqrt(ops.relu(values[..., -1:]))
        return length * vectors[..., -1]

    # Both are right; the smaller matrix is the cheaper one.
    if isinstance(positions, int) and isinstance(channels, int):
        return from_channels() if channels < positions else from_positions()
    return ops.cond(channels < positions, from_channels, from_positions)
