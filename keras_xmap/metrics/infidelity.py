from collections.abc import Callable

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._fillings import check_filling
from keras_xmap._fillings import filling_of_input
from keras_xmap._typing import Tensor
from keras_xmap.metrics._model_metric import ModelMetric
from keras_xmap.metrics._model_metric import beside
from keras_xmap.metrics._model_metric import check_fits


class Infidelity(ModelMetric):
    """How far a map is from the falls of the score that it foretells.

    `infidelity = mean over i of (foretold_i - (S(I) - S(I - P_i)))^2`

    for random changes `P_i` of the image. Of a map of slopes, a gradient, the
    change foretells `sum(P_i * map)`. Of a map of contributions, as
    `GradientInput`, `IntegratedGradients` and `Occlusion` make, taking a window
    away foretells the sum of the map in it. **Lower is better**, 0 is a map
    that is right about every change, such as the gradient of a linear model.

    It is in squared units of the score, and asks for a map that is in units of
    the score. Of other maps, such as class activation maps, `rescale=True`
    asks for the shape alone: each is multiplied by the number that makes its
    infidelity smallest, and a map of zeros then reaches the mean square of the
    falls, which none exceeds.

    `num_samples + 1` forward passes an image, of `batch_size` images at a
    time. All images see the same windows and noise.

    Args:
        model: See `Deletion`.
        num_samples: Integer >= 1: changes of each image. Defaults to `100`.
        maps_of: `"contributions"`, what each pixel adds to the score, or
            `"slopes"`, how the score grows with its value. Defaults to
            `"contributions"`.
        perturbation: `"windows"`, one of random size and place a change, from
            a pixel to the image, falls to the baseline; or `"noise"`, normal
            noise on all values, for `"slopes"`. Defaults to `"windows"`.
        baseline: What windows fall to, see `Deletion`. Defaults to `"zero"`.
        noise_level: Float >= 0: standard deviation of the noise as a share of
            `max(I) - min(I)`, per image. Defaults to `0.15`.
        rescale: Boolean: whether maps are brought to the units of the score
            first. Defaults to `False`.
        seed: Integer from 0 to 2147483647: windows and noise. Defaults to
            `0`.
        input_name: See `Deletion`.
        score: What the maps explain, as the explainer was told: `"logits"` or
            `"output"`. Defaults to `"logits"`.
        batch_size: See `Deletion`. Defaults to `32`.
        name: String. Defaults to `"infidelity"`.
        dtype: See `Deletion`.

    Call arguments:
        inputs: See `Deletion`.
        maps: Maps `(batch, height, width)`, see `Deletion`, or attributions of
            the shape of the input, such as `Saliency(channel_reduction=None)`
            makes. Slopes of several channels must have one value for each.
        target: See `Deletion`.
        sample_weight: See `Deletion`.

    Raises:
        TypeError: If `model` is no Keras layer.
        ValueError: If an argument is out of its range, noise is put on maps of
            contributions, or maps, inputs, target and model do not fit each
            other.
        ImportError: If models of this Keras backend cannot be explained.

    References:
        - [Yeh et al., 2019](https://arxiv.org/abs/1901.09392)

    Example:

    >>> model = keras.Sequential([keras.Input((1, 2, 1)),
    ...     keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[3.0], [1.0]])])
    >>> number = keras_xmap.targets.Component()
    >>> infidelity = keras_xmap.metrics.Infidelity(model)
    >>> image = np.array([[[[2.0], [4.0]]]], "float32")
    >>> right, wrong = np.array([[[6.0, 4.0]]]), np.array([[[4.0, 6.0]]])
    >>> infidelity.image_scores(image, right, number).tolist()
    [0.0]
    >>> bool(infidelity.image_scores(image, wrong, number)[0] > 0.5)
    True
    """

    higher_is_better = False

    def __init__(
        self,
        model: keras.layers.Layer,
        num_samples: int = 100,
        maps_of: str = "contributions",
        perturbation: str = "windows",
        baseline: object = "zero",
        noise_level: float = 0.15,
        rescale: bool = False,
        seed: int = 0,
        input_name: str | int | None = None,
        score: str = "logits",
        batch_size: int = 32,
        name: str = "infidelity",
        dtype: str | None = None,
    ):
        super().__init__(model, input_name, score, batch_size, name, dtype)
        self.num_samples = check_positive_integer("num_samples", num_samples)
        self.maps_of = check_one_of(
            "maps_of", maps_of, ("contributions", "slopes")
        )
        self.perturbation = check_one_of(
            "perturbation", perturbation, ("windows", "noise")
        )
        if (maps_of, perturbation) == ("contributions", "noise"):
            raise ValueError(
                "Noise changes the values of pixels, and contributions tell "
                "what pixels add as they are. Received: perturbation='noise' "
                "with maps_of='contributions'. Take perturbation='windows', or "
                "maps of slopes with maps_of='slopes'."
            )
        self.baseline = check_filling("baseline", baseline)
        self.noise_level = check_non_negative("noise_level", noise_level)
        self.rescale = check_boolean("rescale", rescale)
        self.seed = check_seed("seed", seed)

    def _fitting(self, maps, x, layout):
        has_channels = layout.channel_axis is not None
        if not has_channels or len(maps.shape) != len(x.shape):
            check_fits(maps, x, layout)
            channels = x.shape[layout.channel_axis] if has_channels else 1
            if self.maps_of == "slopes" and channels != 1:
                raise ValueError(
                    "Slopes of an image of several channels must have a value "
                    f"for each. Received: maps.shape={tuple(maps.shape)} for "
                    f"inputs of shape {tuple(x.shape)}. Explain with "
                    "`channel_reduction=None`."
                )
            return beside(maps, layout)
        check_fits(ops.max(maps, axis=layout.channel_axis), x, layout)
        channels = ops.shape(x)[layout.channel_axis]
        engine.require(
            ops.equal(ops.shape(maps)[layout.channel_axis], channels),
            "Attributions must have the channels of the input, or none. "
            "Received: (channels of maps, of inputs)",
            ops.shape(maps)[layout.channel_axis],
            channels,
        )
        if self.maps_of == "slopes":
            return maps
        return ops.sum(maps, axis=layout.channel_axis, keepdims=True)

    def _answers(
        self,
        x: Tensor,
        maps: Tensor,
        clean: Tensor,
        score: Callable,
        layout: engine.InputLayout,
    ) -> Tensor:
        hidden = filling_of_input(x, self.baseline, layout.channel_axis)
        axes = tuple(range(1, len(x.shape)))

        def pair(number):
            if self.perturbation == "noise":
                changed = x - engine.noise_in_range(
                    engine.normal_noise, x, self.noise_level, self.seed, number
                )
            else:
                window = layout.expand(self._window(layout, number))
                changed = ops.where(window, hidden, x)
            if self.maps_of == "slopes":
                foretold = ops.cast(x - changed, "float32") * maps
            else:
                foretold = ops.where(window, maps, 0.0)
            foretold = ops.sum(foretold, axis=axes)
            return ops.stack([foretold, clean - score(changed)], axis=1)

        pairs = engine.stack_of_samples(pair, self.num_samples)
        # (samples, batch, 2), the foretold falls of an image before the found.
        pairs = ops.transpose(pairs, (1, 2, 0))
        return ops.reshape(pairs, (-1, 2 * self.num_samples))

    def _image_scores(self, answers, num_positions):
        foretold = answers[:, : self.num_samples]
        found = answers[:, self.num_samples :]
        if self.rescale:
            both = ops.sum(foretold * found, axis=1, keepdims=True)
            square = ops.sum(foretold * foretold, axis=1, keepdims=True)
            foretold = foretold * ops.divide_no_nan(both, square)
        return ops.mean(ops.square(foretold - found), axis=-1)

    def _window(self, layout, number):
        """Returns which positions a window covers, boolean, of `size`."""
        num_axes = len(layout.axes)
        drawn = engine.uniform_noise((num_axes + 1,), self.seed, number)
        covered = ops.ones((), "bool")
        for axis, size in enumerate(layout.size):
            length = ops.cast(size, "float32")
            # One share of each axis, from 1 pixel to all of them.
            width = 1.0 + ops.floor(drawn[num_axes] * length)
            start = ops.floor(drawn[axis] * (length - width + 1.0))
            place = ops.arange(size, dtype="float32")
            inside = ops.logical_and(place >= start, place < start + width)
            covered = ops.logical_and(covered[..., None], inside)
        return covered
