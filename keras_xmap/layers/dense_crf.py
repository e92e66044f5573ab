from typing import Any

import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_image_and_scores
from keras_xmap._checks import check_positive_integer
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.layers._mask import shapes_of
from keras_xmap.ops import crf_parameters
from keras_xmap.ops import mean_field

# Keeps the logarithm of a probability finite, as the usual CRF codes do.
_SMALLEST_PROBABILITY = 1e-5


@registered
class DenseCRF(keras.layers.Layer):
    """Draws the borders of classes where the image has its edges.

    Scores of classes that come out of a network are coarse. A conditional
    random field over all pairs of pixels moves them to what the image shows:
    pixels that are near and alike in colour want the same class. The layer
    runs mean field on it; see `ops.mean_field` for the formula, which is
    exact and differentiable in both inputs. It has no weights.

    As a target that scores are compared with it is in
    `losses.ConstrainToBoundaryLoss`. Time grows with the square of the number
    of pixels: for whole photos after training see
    `segmentation.refine_with_crf`.

    Args:
        parameters: `"paper"`, `"deeplab"`, `"sec"` or `"irn"`, or a dict; see
            `ops.mean_field`. `"sec"` is for training, on maps 12 times
            smaller than the photo. Defaults to `"paper"`.
        num_iterations: Integer >= 1. Defaults to `10`.
        from_logits: Boolean. `True` if the scores are logits or logarithms
            of probabilities, `False` for probabilities, of which those below
            1e-5 count as 1e-5. Defaults to `True`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        A list `[image, scores]` of one batch and size: the image `(batch,
        height, width, channels)` from 0 to 255, integer or float, not
        normalised, grey, of colours or of any other channels, all of which
        count alike (an opaque alpha has no effect; lay transparent images over
        a background first), and scores `(batch, height, width, classes)`; under
        `"channels_first"` channels and classes come second. Sizes may be
        unknown until the call. Neither is cast to half precision first.

    Output shape:
        That of the scores: probabilities.

    Raises:
        ValueError: If an argument is unknown, or if image and scores do not
            fit together.

    References:
        - [Krähenbühl & Koltun, 2011](https://arxiv.org/abs/1210.5644)
        - [Kolesnikov & Lampert, 2016](https://arxiv.org/abs/1603.06098)

    Example:

    >>> image = np.zeros((1, 8, 8, 3))
    >>> image[:, :, 4:] = 200.0
    >>> scores = np.zeros((1, 8, 8, 2))
    >>> scores[:, :, 2:, 1] = 1.0  # reaches over the edge by two columns
    >>> scores[:, :, :2, 0] = 3.0
    >>> q = keras_xmap.layers.DenseCRF()([image, scores])
    >>> np.asarray(q)[0, 0].argmax(-1)
    array([0, 0, 0, 0, 1, 1, 1, 1])
    """

    def __init__(
        self,
        parameters: str | dict[str, float] = "paper",
        num_iterations: int = 10,
        from_logits: bool = True,
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        # Half precision has too few digits for colours of 0 to 255.
        super().__init__(**{"autocast": False, **kwargs})
        crf_parameters(parameters)
        self.parameters = parameters
        self.num_iterations = check_positive_integer(
            "num_iterations", num_iterations
        )
        self.from_logits = check_boolean("from_logits", from_logits)
        self.data_format = check_data_format(data_format)

    def call(self, inputs: Structure) -> Tensor:
        self.compute_output_shape(shapes_of(inputs, "image", "scores"))
        image, scores = inputs
        if self.data_format == "channels_first":
            image = ops.moveaxis(image, 1, -1)
            scores = ops.moveaxis(scores, 1, -1)
        if not self.from_logits:
            dtype = keras.backend.result_type(scores.dtype, "float32")
            scores = ops.cast(scores, dtype)
            scores = ops.log(ops.maximum(scores, _SMALLEST_PROBABILITY))
        q = mean_field(image, scores, self.parameters, self.num_iterations)
        if self.data_format == "channels_first":
            q = ops.moveaxis(q, -1, 1)
        return ops.cast(q, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        pair = input_shape if isinstance(input_shape, (list, tuple)) else ()
        if len(pair) != 2 or not all(
            isinstance(shape, (list, tuple)) for shape in pair
        ):
            raise ValueError(
                "The layer must be called on a list `[image, scores]`. "
                f"Received: input_shape={input_shape}."
            )
        if self.data_format == "channels_first":
            moved = [(*s[:1], *s[2:], *s[1:2]) for s in map(tuple, pair)]
            check_image_and_scores(*moved)
        else:
            check_image_and_scores(*pair)
        return tuple(pair[1])

    def get_config(self):
        plain = self.parameters
        if isinstance(plain, dict):
            plain = dict(plain)  # Keras tracks what a layer holds
        config = {
            "parameters": plain,
            "num_iterations": self.num_iterations,
            "from_logits": self.from_logits,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}
