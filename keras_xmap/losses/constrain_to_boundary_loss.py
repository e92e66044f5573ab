import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_positive_integer
from keras_xmap._numeric import as_tensor
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Number
from keras_xmap._typing import Tensor
from keras_xmap.losses import _class_maps
from keras_xmap.ops import crf_parameters
from keras_xmap.ops import mean_field
from keras_xmap.ops import resize

# Keeps the logarithm of a probability finite, as `layers.DenseCRF` does.
_SMALLEST_PROBABILITY = 1e-5


@keras.saving.register_keras_serializable(package="keras_xmap")
def constrain_to_boundary_loss(
    y_true: Tensor,
    y_pred: Tensor,
    parameters: str | dict[str, float] = "sec",
    num_iterations: int = 10,
    from_logits: bool = False,
    min_probability: Number = 1e-4,
    data_format: DataFormat | None = None,
) -> Tensor:
    """Computes how far maps of classes are from ending where the image does.

    A dense CRF moves the maps `f` to the edges of the image; what it gives,
    `q`, is the target that they are compared with:

    `loss = mean_u sum_c q_{u,c} log(q_{u,c} / f_{u,c})`

    which is the "constrain" of SEC. No gradient flows through `q`: the maps
    are drawn to it, and not it to the maps.

    Args:
        y_true: The images themselves, `(batch, height, width, channels)`,
            integers or floats from 0 to 255, not normalised: for an image in
            [0, 1] all colours are alike. Images of another size than the maps
            are resized to it, linearly and without antialiasing.
        y_pred: Maps `(batch, height, width, classes)`: probabilities, or
            logits. Time grows with the square of the number of positions: see
            `ops.mean_field`.
        parameters: `"sec"`, those of the paper for maps 12 times smaller than
            the image, or others; see `ops.mean_field`. Standard deviations in
            pixels are those of the maps. Defaults to `"sec"`.
        num_iterations: Integer >= 1. Defaults to `10`.
        from_logits: Boolean. Whether `y_pred` holds logits. Defaults to
            `False`.
        min_probability: Float above 0 and below `1 / classes`, for the maps
            and the target. See `seeding_loss`. Defaults to `1e-4`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`, of images and maps. Defaults
            to `None`.

    Returns:
        Tensor of shape `(batch,)`, computed in float32 for half precision.

    Raises:
        ValueError: If the shapes do not fit, or if an option is out of range.

    References:
        - [Kolesnikov & Lampert, 2016](https://arxiv.org/abs/1603.06098)

    Example:

    >>> image = np.zeros((1, 4, 4, 3))
    >>> image[:, :, 2:] = 200
    >>> maps = np.zeros((1, 4, 4, 2))
    >>> maps[:, :, :2] = (0.7, 0.3)
    >>> maps[:, :, 2:] = (0.3, 0.7)
    >>> loss = keras_xmap.losses.constrain_to_boundary_loss(image, maps)
    >>> round(float(loss[0]), 2)  # the field is sure: -log .7, nearly
    0.36
    """
    parameters = crf_parameters(parameters)
    check_positive_integer("num_iterations", num_iterations)
    min_probability = _class_maps.check_min_probability(min_probability)
    maps = _class_maps.class_maps(y_pred, data_format)
    image = _image(y_true, maps, data_format)
    p = _class_maps.floored(maps, min_probability, from_logits)
    scores = maps
    if not from_logits:
        scores = ops.log(ops.maximum(maps, _SMALLEST_PROBABILITY))
    q = mean_field(image, ops.stop_gradient(scores), parameters, num_iterations)
    q = _class_maps.floored(q, min_probability, from_logits=False)
    q = ops.stop_gradient(q)
    divergence = ops.sum(q * (ops.log(q) - ops.log(p)), axis=-1)
    return ops.mean(divergence, axis=(1, 2))


@registered
class ConstrainToBoundaryLoss(keras.losses.Loss):
    """Draws maps of classes to the edges of the image.

    The third of the three losses of SEC; see `constrain_to_boundary_loss`.
    The labels of its output are the images: `fit(x, {"boundary": images})`.

    Args:
        parameters: `"paper"`, `"deeplab"`, `"sec"` or `"irn"`, or a dict; see
            `ops.mean_field`. Defaults to `"sec"`.
        num_iterations: Integer >= 1. Defaults to `10`.
        from_logits: Boolean. Whether the maps are logits. Defaults to
            `False`.
        min_probability: Float above 0 and below `1 / classes`. Defaults to
            `1e-4`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        name: String. Defaults to `"constrain_to_boundary_loss"`.
        reduction: See `keras.losses.Loss`. Defaults to
            `"sum_over_batch_size"`.
        dtype: See `keras.losses.Loss`. Defaults to `None`.

    Raises:
        ValueError: If an option is out of its range.

    Example:

    >>> images = np.zeros((2, 8, 8, 3), "uint8")
    >>> loss = keras_xmap.losses.ConstrainToBoundaryLoss(num_iterations=2)
    >>> float(loss(images, np.full((2, 4, 4, 2), 0.5)))
    0.0
    """

    def __init__(
        self,
        parameters: str | dict[str, float] = "sec",
        num_iterations: int = 10,
        from_logits: bool = False,
        min_probability: Number = 1e-4,
        data_format: DataFormat | None = None,
        name: str = "constrain_to_boundary_loss",
        reduction: str | None = "sum_over_batch_size",
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        crf_parameters(parameters)
        self.parameters = parameters
        self.num_iterations = check_positive_integer(
            "num_iterations", num_iterations
        )
        self.from_logits = check_boolean("from_logits", from_logits)
        self.min_probability = _class_maps.check_min_probability(
            min_probability
        )
        self.data_format = check_data_format(data_format)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return constrain_to_boundary_loss(
            y_true,
            y_pred,
            self.parameters,
            self.num_iterations,
            self.from_logits,
            self.min_probability,
            self.data_format,
        )

    def get_config(self):
        config = {
            "parameters": self.parameters,
            "num_iterations": self.num_iterations,
            "from_logits": self.from_logits,
            "min_probability": self.min_probability,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}


def _image(y_true, maps, data_format):
    """Returns the images, channels last, of the size of the maps."""
    image = as_tensor("y_true", y_true)
    if len(image.shape) != 4:
        raise ValueError(
            "`y_true` must be the images, (batch, height, width, channels), "
            f"from 0 to 255. Received: y_true.shape={tuple(image.shape)}."
        )
    if check_data_format(data_format) == "channels_first":
        image = ops.moveaxis(image, 1, -1)
    size = ops.shape(maps)[1:3]
    return ops.stop_gradient(resize(ops.cast(image, maps.dtype), size))
