from collections.abc import Callable

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_seed
from keras_xmap._checks import message
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.metrics._linear_imputation import linear_imputation
from keras_xmap.metrics._made_for_one import on_host
from keras_xmap.metrics._model_metric import ModelMetric
from keras_xmap.metrics._model_metric import beside
from keras_xmap.metrics._model_metric import product
from keras_xmap.metrics._pixel_order import ranks
from keras_xmap.metrics.curves import Curves

_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class ROAD(ModelMetric):
    """Mean score of an image whose most important pixels are painted over.

    `ROAD = mean over shares s of S(I, its top share s painted over)`

    "Remove and debias": a pixel that is gone becomes the weighted mean of its
    neighbours, all such pixels at once, and a little noise. What was hidden by
    one colour leaves a silhouette that the model can read, which favours maps
    of a certain shape; a hole that is painted over leaves hardly any. If a map
    is right about what the model looks at, the score falls: **lower is
    better**; with `remove="least_important"` it stays: **higher is better**.
    The difference of the two ranks methods alike in both orders, which
    `Deletion` does not.

    Neighbours beside a pixel weigh 1/6 and diagonal ones 1/12, as in the paper;
    of series and volumes each further step across halves the weight. One
    forward pass for each share and one for the image, of `batch_size` images
    at a time. Solving for the pixels takes about as many steps as the widest
    hole has pixels, on the device: of smooth maps that is more than the passes
    of a small model. All images see the same noise. Equal values are taken in
    reading order.

    Args:
        model: See `Deletion`.
        shares: Tuple of floats between 0 and 1, rising: which shares of the
            pixels go. Defaults to `(0.1, 0.2, ..., 0.9)`, as in the paper.
        remove: `"most_important"` or `"least_important"`: which pixels go
            first. Defaults to `"most_important"`.
        noise_level: Float >= 0: standard deviation of the noise as a share of
            `max(I) - min(I)`, per image. Defaults to `0.01`.
        seed: Integer from 0 to 2147483647: the noise. Defaults to `0`.
        input_name: See `Deletion`.
        score: See `Deletion`. The paper counts right answers; a score says
            the same of one image. Defaults to `"output"`.
        batch_size: See `Deletion`. Defaults to `32`.
        name: String. Defaults to `"road"`.
        dtype: See `Deletion`.

    Call arguments:
        inputs: See `Deletion`; with axes of positions.
        maps: See `Deletion`.
        target: See `Deletion`.
        sample_weight: See `Deletion`.

    Raises:
        TypeError: If `model` is no Keras layer.
        ValueError: If an argument is out of its range, or maps, inputs,
            target and model do not fit each other.
        ImportError: If models of this Keras backend cannot be explained.

    References:
        - [Rong et al., 2022](https://arxiv.org/abs/2202.00449)

    Example:

    >>> model = keras.Sequential([keras.Input((3, 3, 1)),
    ...     keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.eye(9)[:, 4:5]])  # looks at the middle alone
    >>> image = np.zeros((1, 3, 3, 1), "float32")
    >>> image[0, 1, 1] = 1.0
    >>> number = keras_xmap.targets.Component()
    >>> road = keras_xmap.metrics.ROAD(model, shares=[0.2], noise_level=0.0)
    >>> road.image_scores(image, image[..., 0], number).tolist()
    [0.0]
    >>> road.image_scores(image, -image[..., 0], number).tolist()
    [1.0]
    """

    def __init__(
        self,
        model: keras.layers.Layer,
        shares: tuple[float, ...] = _SHARES,
        remove: str = "most_important",
        noise_level: float = 0.01,
        seed: int = 0,
        input_name: str | int | None = None,
        score: str = "output",
        batch_size: int = 32,
        name: str = "road",
        dtype: str | None = None,
    ):
        super().__init__(model, input_name, score, batch_size, name, dtype)
        self.shares = _checked_shares(shares)
        self.remove = check_one_of(
            "remove", remove, ("most_important", "least_important")
        )
        self.noise_level = check_non_negative("noise_level", noise_level)
        self.seed = check_seed("seed", seed)

    @property
    def higher_is_better(self) -> bool:
        """Boolean: that of the order in which pixels go."""
        return self.remove == "least_important"

    def curves(
        self, inputs: Structure, maps: Structure, target: object = None
    ) -> Curves:
        """Returns the scores whose mean is taken.

        Args:
            inputs: See `image_scores`.
            maps: See `image_scores`.
            target: See `image_scores`.

        Returns:
            `Curves` of `shares` `(points,)`, those of the argument, and
            `scores` `(batch, points)`.
        """
        answers, _ = self._answered(inputs, maps, target)
        shares = ops.convert_to_tensor(self.shares, "float32")
        return Curves(*on_host((shares, answers)))

    def _image_scores(self, answers, num_positions):
        return ops.mean(answers, axis=-1)

    def _answers(
        self,
        x: Tensor,
        maps: Tensor,
        clean: Tensor,
        score: Callable,
        layout: engine.InputLayout,
    ) -> Tensor:
        if len(x.shape) < 3:
            raise ValueError(
                "ROAD paints over a pixel what its neighbours show, and inputs "
                "of this kind have no positions. Received: inputs of shape "
                f"{tuple(x.shape)}. Use Deletion."
            )
        first = maps if self.remove == "most_important" else 0.0 - maps
        order = beside(ranks(first), layout)
        counts = self._counts(product(layout.size))

        def under(number):
            is_gone = order < ops.take(counts, number)
            painted = linear_imputation(x, is_gone, layout.axes)
            noise = engine.noise_in_range(
                engine.normal_noise, x, self.noise_level, self.seed, number
            )
            return score(ops.where(is_gone, painted + noise, x))

        return ops.transpose(engine.stack_of_samples(under, len(self.shares)))

    def _counts(self, num_positions):
        """Returns how many pixels go, an int32 tensor `(shares,)`."""
        shares = ops.convert_to_tensor(self.shares, "float32")
        exact = shares * ops.cast(num_positions, "float32")
        # 0.29 of 100 are 29, which the product of floats falls short of.
        counts = ops.cast(ops.floor(exact + 1e-3), "int32")
        # Of one pixel at least the others can be told.
        return ops.minimum(counts, num_positions - 1)


def _checked_shares(shares):
    """Returns shares as a tuple of rising floats between 0 and 1."""
    if not isinstance(shares, (list, tuple)) or not shares:
        expected = "a list of numbers between 0 and 1"
        raise ValueError(message("shares", expected, shares))
    found = tuple(check_fraction("shares", share) for share in shares)
    if list(found) != sorted(set(found)):
        raise ValueError(message("shares", "rising", shares))
    return found
