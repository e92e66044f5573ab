from collections.abc import Callable

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._typing import Tensor
from keras_xmap.metrics._pixel_curve import PixelCurve


class Insertion(PixelCurve):
    """Area under the score as the most important pixels are shown first.

    `insertion = integral over s in [0, 1] of S(only the top share s of I)`

    by trapezoids, both ends included. If a map is right about what the model
    looks at, the score rises early and the area is large: **higher is
    better**. It starts from the blurred image rather than from grey, whose
    edges around the first pixels shown are a sight of their own.

    It is `Deletion` read from the other end: of maps without equal values, the
    insertion by a map is the deletion by its negative, with the same baseline.
    Where a few pixels are enough to recognise an object, every map that
    touches it does well; compare with a random map.

    `num_steps + 1` forward passes an image, of `batch_size` images at a time.
    Equal values are taken in reading order, row by row.

    Args:
        model: See `Deletion`.
        num_steps: Integer >= 1: how often pixels are shown, see `Deletion`.
            Defaults to `224`.
        baseline: What pixels are before they are shown, see `Deletion`.
            Defaults to `"blur"`.
        input_name: See `Deletion`.
        score: See `Deletion`. Defaults to `"output"`.
        batch_size: See `Deletion`. Defaults to `32`.
        name: String. Defaults to `"insertion"`.
        dtype: See `Deletion`.

    Call arguments:
        inputs: See `Deletion`.
        maps: See `Deletion`.
        target: See `Deletion`.
        sample_weight: See `Deletion`.

    Raises:
        TypeError: If `model` is no Keras layer.
        ValueError: If an argument is out of its range, or maps, inputs,
            target and model do not fit each other.
        ImportError: If models of this Keras backend cannot be explained.

    References:
        - [Petsiuk et al., 2018](https://arxiv.org/abs/1806.07421)

    Example:

    >>> model = keras.Sequential([keras.Input((2, 2, 1)),
    ...     keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[4.0], [2.0], [1.0], [1.0]])])
    >>> number = keras_xmap.targets.Component()
    >>> insertion = keras_xmap.metrics.Insertion(model, baseline="zero")
    >>> image = np.ones((1, 2, 2, 1), "float32")
    >>> right = np.array([[[4.0, 2.0], [1.0, 1.0]]])
    >>> insertion.curves(image, right, number).scores.tolist()
    [[0.0, 4.0, 6.0, 7.0, 8.0]]
    >>> insertion.image_scores(image, right, number).tolist()
    [5.25]
    """

    higher_is_better = True

    def __init__(
        self,
        model: keras.layers.Layer,
        num_steps: int = 224,
        baseline: object = "blur",
        input_name: str | int | None = None,
        score: str = "output",
        batch_size: int = 32,
        name: str = "insertion",
        dtype: str | None = None,
    ):
        super().__init__(
            model,
            num_steps,
            baseline,
            input_name,
            score,
            batch_size,
            name,
            dtype,
        )

    def _answers(
        self,
        x: Tensor,
        maps: Tensor,
        clean: Tensor,
        score: Callable,
        layout: engine.InputLayout,
    ) -> Tensor:
        shown = self._scores_of(x, maps, score, layout, first=0)
        return ops.concatenate([shown, clean[:, None]], axis=1)

    def _copy(self, x, hidden, is_first):
        return ops.where(is_first, x, hidden)
