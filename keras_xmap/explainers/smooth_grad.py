import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._validation import check_non_negative
from keras_xmap._validation import check_positive_integer
from keras_xmap.explainers.gradient import GradientExplainer


class SmoothGrad(GradientExplainer):
    """The gradient, averaged over noisy copies of the image.

    `A = (1 / n) * sum_i dS / dI(I + noise_i)`, then reduced over channels;
    `noise_i` is normal with `noise_level` times the range of the image's
    values as standard deviation.

    `num_samples` forward and backward passes, one batch in memory at a time.
    All images see the same noise fields, so a map does not depend on the
    batch, the order or the replica its image was explained in.

    Args:
        model: See `Saliency`.
        num_samples: Integer >= 1: noisy copies per image. Defaults to `50`.
        noise_level: Float >= 0: standard deviation of the noise as a share
            of `max(I) - min(I)`, per image. Defaults to `0.15`.
        seed: Integer: the noise; the same seed gives the same maps.
            Defaults to `0`.
        channel_reduction: See `Saliency`. Defaults to `"max"`.
        score: See `Saliency`.

    References:
        - [Smilkov et al., 2017](https://arxiv.org/abs/1706.03825)
    """

    def __init__(
        self,
        model,
        num_samples=50,
        noise_level=0.15,
        seed=0,
        channel_reduction="max",
        score="logits",
    ):
        super().__init__(model, channel_reduction, score)
        self.num_samples = check_positive_integer("num_samples", num_samples)
        self.noise_level = check_non_negative("noise_level", noise_level)
        self.seed = seed

    def attributions(self, inputs, target, parts):
        clean = self._evaluate(inputs)
        parts = target.resolve(clean.scores, parts)
        # No pass of its own: only the shapes, which cost nothing, are used.
        scores = target.scores(clean.scores, parts)
        num_classes = 1 if len(scores.shape) == 1 else scores.shape[-1]
        flat = keras.tree.flatten(inputs)
        floating = [x for x in flat if "float" in x.dtype.name]

        def gradients(index):
            noisy = [self._with_noise(x, index, i) for i, x in enumerate(flat)]
            evaluation = self._evaluate(
                keras.tree.pack_sequence_as(inputs, noisy)
            )
            return [
                [x for x in of_class if x is not None]
                for of_class in self._gradients(evaluation, target, parts)
            ]

        means = engine.mean_of_samples(
            gradients, self.num_samples, like=[floating] * num_classes
        )
        return [
            self._with_gaps(flat, of_class) for of_class in means
        ], clean.input_data_format

    def _with_noise(self, x, index, number):
        if "float" not in x.dtype.name:
            return x
        axes = tuple(range(1, len(x.shape)))
        spread = ops.max(x, axis=axes, keepdims=True) - ops.min(
            x, axis=axes, keepdims=True
        )
        noise = engine.normal_noise(
            (1, *ops.shape(x)[1:]), self.seed + number, index
        )
        return x + self.noise_level * spread * ops.cast(noise, x.dtype)

    def _with_gaps(self, flat, gradients):
        found = iter(gradients)
        return [next(found) if "float" in x.dtype.name else None for x in flat]
