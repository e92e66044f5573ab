from typing import Any

import keras
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._axes import check_data_format
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_share
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Number
from keras_xmap._typing import Tensor
from keras_xmap.ops import global_weighted_rank_pooling


@registered
class GlobalWeightedRankPooling2D(keras.layers.Layer):
    """Global pooling between the maximum and the mean of a feature map.

    Under image labels, pooling decides what a map looks like: the maximum
    trains one position of an object and underestimates its extent, the mean
    trains all positions of the image and overestimates it. Here the values
    of a channel count by rank, each by a factor `d` less than the one above
    it; see `ops.global_weighted_rank_pooling` for the formula. In place of
    `GlobalAveragePooling2D` before the logits of a classifier, or on maps of
    classes.

    Args:
        decay: Float from 0, the maximum, to 1, the mean. Defaults to `0.996`,
            as SEC for the classes that are in the image.
        reference_size: Integer >= 1: the number of positions of the maps that
            `decay` is told for. On maps of another size it is changed so that
            the weight reaches the same share of the map. `None` leaves it as
            it is. Defaults to `1681`, the 41 x 41 of SEC.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, under `"channels_first"` `(batch,
        channels, height, width)`. Height and width may be unknown until the
        call.

    Output shape:
        `(batch, channels)`.

    Raises:
        ValueError: If an argument is out of range.

    References:
        - [Kolesnikov & Lampert, 2016](https://arxiv.org/abs/1603.06098)

    Example:

    >>> x = np.zeros((1, 41, 41, 1))
    >>> x[:, :10, :17] = 1.0  # 170 positions, a tenth of all
    >>> y = keras_xmap.layers.GlobalWeightedRankPooling2D()(x)
    >>> round(float(y[0, 0]), 2)  # the maximum is 1.0, the mean 0.1
    0.49
    """

    def __init__(
        self,
        decay: Number = 0.996,
        reference_size: int | None = 1681,
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decay = check_share("decay", decay)
        self.reference_size = check_optional(
            check_positive_integer, "reference_size", reference_size
        )
        self.data_format = check_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs: Tensor) -> Tensor:
        if self.data_format == "channels_first":
            inputs = ops.moveaxis(inputs, 1, -1)
        return global_weighted_rank_pooling(
            inputs, self.decay, self.reference_size
        )

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[channel_axis(self.data_format)])

    def get_config(self):
        config = {
            "decay": self.decay,
            "reference_size": self.reference_size,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}
