import keras
from keras import ops

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._typing import Structure
from keras_xmap.explainers.gradient_explainer import GradientExplainer
from keras_xmap.explainers.gradient_explainer import Gradients
from keras_xmap.explainers.gradient_explainer import floating
from keras_xmap.targets import class_scores


class SmoothGrad(GradientExplainer):
    """The gradient, averaged over noisy copies of the image.

    `A = (1 / n) * sum_i g_i` with `g_i = dS / dI(I + noise_i)`, then reduced
    over channels; `noise_i` is normal with `noise_level` times the range of
    the image's values as standard deviation. `reduction="square"` is
    SquareGrad, `A = (1 / n) * sum_i g_i ** 2`, and `reduction="variance"`
    VarGrad, `A = (1 / n) * sum_i (g_i - mean(g)) ** 2`.

    `num_samples` forward and backward passes, one batch in memory at a time;
    VarGrad takes one more. All images see the same noise fields, so a map
    does not depend on the batch, the order or the replica its image was
    explained in. VarGrad and SquareGrad tell how much a pixel matters, never
    in which direction, and VarGrad is zero where the model is linear.

    Args:
        model: See `Saliency`.
        num_samples: Integer >= 1: noisy copies per image. Defaults to `50`.
        noise_level: Float >= 0: standard deviation of the noise as a share
            of `max(I) - min(I)`, per image. Defaults to `0.15`.
        seed: Integer from 0 to 2147483647: the noise; the same seed gives
            the same maps. Defaults to `0`.
        reduction: How samples become one: `"mean"`, `"variance"` or
            `"square"`. Defaults to `"mean"`.
        channel_reduction: See `Saliency`. Defaults to `"max"`.
        target_layer: See `Saliency`; the noise is on the image also then, or,
            where that takes none, as token ids do, on what the first of the
            layers puts out.
        input_name: See `Saliency`; all inputs are noisy also then.
        score: See `Saliency`.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - [Smilkov et al., 2017](https://arxiv.org/abs/1706.03825)
        - [Adebayo et al., 2018](https://arxiv.org/abs/1810.03307): VarGrad
        - [Hooker et al., 2019](https://arxiv.org/abs/1806.10758): SquareGrad

    Example:

    >>> model = keras.Sequential([keras.Input((2, 2, 1)),
    ...     keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[1.0], [-2.0], [3.0], [0.0]])])
    >>> square_grad = keras_xmap.explainers.SmoothGrad(
    ...     model, num_samples=4, reduction="square")
    >>> number = keras_xmap.targets.Component()
    >>> images = np.eye(2, dtype="float32")[None, ..., None]
    >>> square_grad.explain(images, number)
    array([[[1., 4.],
            [9., 0.]]], dtype=float32)
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        num_samples: int = 50,
        noise_level: float = 0.15,
        seed: int = 0,
        reduction: str = "mean",
        channel_reduction: str | None = "max",
        target_layer: object = None,
        input_name: str | int | None = None,
        score: str = "logits",
    ):
        super().__init__(
            model, channel_reduction, target_layer, input_name, score
        )
        self.num_samples = check_positive_integer("num_samples", num_samples)
        self.noise_level = check_non_negative("noise_level", noise_level)
        self.seed = check_seed("seed", seed)
        self.reduction = check_one_of(
            "reduction", reduction, ("mean", "variance", "square")
        )

    def attributions(
        self, inputs: Structure, target: targets.Target, parts: Structure
    ) -> Gradients:
        clean = self.evaluate(inputs)
        where = self._noisy_layer(clean, target, parts)

        def means(*measures):
            return self.mean_over_copies(
                clean,
                target,
                parts,
                self.num_samples,
                self._with_noise,
                measures,
                where=where,
            )

        def squares(gradients):
            return _each(ops.square, gradients)

        if self.reduction == "mean":
            return means(lambda gradients, number: gradients)[0]
        if self.reduction == "square":
            return means(lambda gradients, number: squares(gradients))[0]
        # Of the distances to the image's own gradient, whose variance is the
        # same: where all gradients are nearly equal, nothing cancels.
        at_image = self.gradients(clean, target, parts).per_class

        def distance(gradients, number):
            return _each(ops.subtract, gradients, at_image)

        def square_distance(gradients, number):
            return squares(distance(gradients, number))

        mean, square = means(distance, square_distance)
        variance = _each(
            lambda s, m: ops.maximum(s - ops.square(m), 0.0),
            square.per_class,
            mean.per_class,
        )
        return mean.replaced(variance)

    def _noisy_layer(self, clean, target, parts):
        """Returns the first of the layers, where no input takes noise."""
        if self._layers is None:
            return None
        score = class_scores(clean, target, parts)[0]
        if any(
            clean.carries_gradient(x, score) for x in floating(clean.inputs)
        ):
            return None
        calls = self._calls(clean, score)
        return min(calls, key=lambda call: clean.calls.index(call))

    def _with_noise(self, images, number):
        return [
            x
            + engine.noise_in_range(
                engine.normal_noise,
                x,
                self.noise_level,
                (self.seed + position) % 2**31,
                number,
            )
            for position, x in enumerate(images)
        ]


def _each(function, *nested):
    """Applies `function` to each tensor of nested lists, side by side."""
    return keras.tree.map_structure(function, *nested)
