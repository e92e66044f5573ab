import keras
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.explainers._spatial_layer import SpatialLayer
from keras_xmap.explainers.cam_explainer import CAMExplainer
from keras_xmap.ops import normalize

# Information that differs by less is the same, but for rounding.
_FLAT = 1e-5


class RegionCAM(CAMExplainer):
    """Which region belongs to what speaks for the class, up to its border.

    Other class activation maps weigh features by derivatives, and show what
    the score hangs on most, which is seldom the whole object. Here the two
    are kept apart, at every stage of the network. With the output `A_l` of the
    last layer of stage `l`, derivatives tell where information about the
    class is:

    `S_l = sum_k relu(dS / dA_lk)`, `S = mean_l min_max(S_l)`

    and features tell which positions belong together, so that each takes the
    mean information of those that look like it:

    `P_l(p) = sum_q cos(p, q) S(q) / sum_q cos(p, q)`,
    `M = mean_l min_max(P_l)`

    where `cos` is the cosine between `relu(A_l)` at two positions of the same
    image, and `S` is read at the positions of the stage. Both means are taken
    at the size of the input, on which maps are laid. A stage whose derivatives
    are the same everywhere, as before a global average pooling, tells nothing
    by its `S_l`, and something by its features.

    The sums over all pairs of positions are two products with the features:
    time and memory grow with the positions, not with their square. One forward
    pass for all classes, and one backward pass per class.

    A network whose layers before a global average pooling are all of one size
    has no map but zeros.

    The maps are between 0 and 1, relative to each image; take another
    threshold than for other class activation maps, such as 0.6. As seeds of
    segmentation they are meant to be combined with the labels of the image: a
    class that is not in it has a map, too.

    Of the paper, `S_l` is as printed. How information is propagated over
    features is a rule of this package, so that the figures of the paper are
    not those of this class.

    Args:
        model: See `GradCAM`.
        target_layer: `"stages"`, the last layers of all sizes, see `GradCAM`;
            an integer for so many of the coarsest; or a layer, or a list of
            layers. Defaults to `"stages"`.
        tokens: See `GradCAM`.
        input_name: See `GradCAM`.
        score: See `GradCAM`.

    Raises:
        ValueError: On explaining, as `GradCAM` does, and where it is not known
            where the positions of a layer lie in the input.

    References:
        - [Cai & Abhayaratne, 2025](https://arxiv.org/abs/2510.25134)

    Example:

    >>> model = keras.Sequential([keras.Input((32, 32, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu", name="fine"),
    ...     keras.layers.Conv2D(8, 3, 2, activation="relu", name="coarse"),
    ...     keras.layers.Flatten(), keras.layers.Dense(10)])
    >>> region_cam = keras_xmap.explainers.RegionCAM(model)
    >>> images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    >>> region_cam.explain(images, target=7).shape
    (2, 32, 32)
    >>> region_cam.layers_used
    ['coarse', 'fine']
    """

    cause_of_zeros = (
        "no layer holds a place whose derivative is larger than that of others"
    )

    def __init__(
        self,
        model: keras.layers.Layer,
        target_layer: object = engine.STAGES,
        tokens: str | tuple[int, int] = "auto",
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(
            model,
            target_layer,
            tokens=tokens,
            input_name=input_name,
            score=score,
        )

    def map(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return _stretched(ops.sum(ops.relu(gradients), axis=-1))

    def explained(
        self,
        evaluation: engine.Evaluation,
        scores: list[Tensor],
        target: targets.Target,
        parts: Structure,
    ) -> tuple[list[Tensor], list[SpatialLayer]]:
        groups = self._groups(evaluation, scores[0])
        layers = [layer for group in groups for layer in group]
        if self._is_named:
            self._check_whole(evaluation, layers, scores[0])
        outputs = [layer.outputs for layer in layers]
        features = [_directions(x.arrange(x.outputs)) for x in layers]
        maps = []
        for score in scores:
            gradients = evaluation.gradients(score, outputs)
            information = _mean_laid(
                layers,
                [
                    self.map(x, self._arranged(layer, gradient))
                    for layer, x, gradient in zip(
                        layers, features, gradients, strict=True
                    )
                ],
            )
            regions = [
                _stretched(_propagated(x, layer.gather(information)))
                for layer, x in zip(layers, features, strict=True)
            ]
            maps.append(_mean_laid(layers, regions))
        return maps, layers

    def _arranged(self, layer, gradient):
        layer.check_reached(gradient)
        return layer.arrange(gradient)


def _mean_laid(layers, maps):
    """Returns the mean of maps of layers, laid on the input."""
    laid = [layer.lay(x) for layer, x in zip(layers, maps, strict=True)]
    return sum(laid) / len(laid)


def _stretched(maps):
    """Returns maps between 0 and 1, flat ones as 0."""
    axes = tuple(range(1, len(maps.shape)))
    highest = ops.max(maps, axes, keepdims=True)
    span = highest - ops.min(maps, axes, keepdims=True)
    return ops.where(span <= _FLAT * highest, 0.0, normalize(maps))


def _directions(activations):
    """Returns rectified features of length 1, `(batch, *spatial, channels)`."""
    x = ops.relu(activations)
    # Divided by the largest first: squares of tiny features would vanish.
    x = ops.divide_no_nan(x, ops.max(x, axis=-1, keepdims=True))
    return ops.divide_no_nan(x, ops.norm(x, axis=-1, keepdims=True))


def _propagated(directions, maps):
    """Returns the mean of maps over all positions, weighed by the cosine.

    Args:
        directions: Float32 `(batch, *spatial, channels)`, of length 1 or 0.
        maps: Float32 `(batch, *spatial)`.
    """
    size = ops.shape(maps)
    x = ops.reshape(directions, (size[0], -1, directions.shape[-1]))
    flat = ops.reshape(maps, (size[0], 1, -1))
    # Deviations alone are rounded: the result is stretched from them.
    mean = ops.mean(flat, axis=-1, keepdims=True)
    both = ops.concatenate([flat - mean, ops.ones_like(flat)], axis=1)
    # (batch, 2, channels): what all directions tell together, and their sum.
    told = ops.matmul(both, x)
    sums = ops.matmul(x, ops.swapaxes(told, 1, 2))
    deviation, total = sums[..., 0], sums[..., 1]
    means = ops.divide_no_nan(deviation, total) + mean[:, 0]
    return ops.reshape(ops.where(total > 0, means, 0.0), size)
