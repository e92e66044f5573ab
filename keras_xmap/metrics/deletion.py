from collections.abc import Callable

import keras
from keras import ops

from keras_xmap import engine
from keras_xmap._typing import Tensor
from keras_xmap.metrics._pixel_curve import PixelCurve


class Deletion(PixelCurve):
    """Area under the score as the most important pixels are hidden first.

    `deletion = integral over s in [0, 1] of S(I without its top share s)`

    by trapezoids, both ends included. If a map is right about what the model
    looks at, the score falls early and the area is small: **lower is
    better**. It asks the model and no mask, so it tells whether a map is true
    of the model, which may look at something else than the object.

    A hidden pixel is itself a sight: a score may fall because of the edges of
    what was hidden, most of all with the baseline 0 on images that are not
    centred on it. Compare methods with the same baseline, beside a random map
    (`np.random.default_rng(0).random(maps.shape)`), and see whether `Insertion`
    and `ROAD` agree.

    `num_steps + 1` forward passes an image, of `batch_size` images at a time.
    Equal values are taken in reading order, row by row.

    Args:
        model: `keras.Model` or Keras layer that runs on TensorFlow, see
            `GradCAM`. It is only called.
        num_steps: Integer >= 1: how often pixels are hidden, each time the
            same number of them, but for rounding; one each where there are
            fewer. Defaults to `224`, a row of the paper's images each.
        baseline: What hidden pixels become: `"mean"`, each image's own mean
            colour; `"blur"`, the image blurred by a Gaussian with a tenth of
            its size as standard deviation; `"zero"`; a number; or an array,
            one number for each channel or one image. Defaults to `"mean"`, the
            grey of the paper for whatever range the images have.
        input_name: Name or number of the input that the maps are of, in a
            model with several floating-point inputs. Defaults to `None`: the
            only one.
        score: `"output"` measures the output as it is, a probability as in
            the paper; `"logits"` the score before the softmax or sigmoid
            that ends the model. Defaults to `"output"`.
        batch_size: Integer >= 1: images in one forward pass. Defaults to
            `32`.
        name: String. Defaults to `"deletion"`.
        dtype: Dtype of the sums. Defaults to `None`, which is
            `keras.config.floatx()`.

    Call arguments:
        inputs: Array or tensor `(batch, ...)`, or the structure of them that
            the model takes.
        maps: Maps `(batch, height, width)` on the pixels of the input, finite,
            as explainers return them; `(batch, *positions)` of other inputs.
        target: What the maps explain, see `keras_xmap.targets`. Defaults to
            `None`: the class with the highest score of the image.
        sample_weight: `None` or weights `(batch,)`. Defaults to `None`.

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
    >>> deletion = keras_xmap.metrics.Deletion(model, baseline="zero")
    >>> image = np.ones((1, 2, 2, 1), "float32")
    >>> right = np.array([[[4.0, 2.0], [1.0, 1.0]]])
    >>> deletion.curves(image, right, number).scores.tolist()
    [[8.0, 4.0, 2.0, 1.0, 0.0]]
    >>> deletion.update_state(image, right, number)
    >>> float(deletion.result())
    2.75
    """

    higher_is_better = False

    def __init__(
        self,
        model: keras.layers.Layer,
        num_steps: int = 224,
        baseline: object = "mean",
        input_name: str | int | None = None,
        score: str = "output",
        batch_size: int = 32,
        name: str = "deletion",
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
        hidden = self._scores_of(x, maps, score, layout, first=1)
        return ops.concatenate([clean[:, None], hidden], axis=1)

    def _copy(self, x, hidden, is_first):
        return ops.where(is_first, hidden, x)
