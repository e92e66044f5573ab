from typing import Any

import keras
from keras import ops

from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_single_map
from keras_xmap._numeric import check_numeric
from keras_xmap._saving import registered
from keras_xmap._typing import Number
from keras_xmap._typing import Tensor
from keras_xmap.losses import area_ratio


@registered
class AreaRatioLoss(keras.layers.Layer):
    """Passes a map on and adds a loss that holds its area to a given share.

    A map of where noise may go is free to be empty; this term gives it a
    size. The mean is taken over each map, then the batch is averaged:

    `loss = weight * mean_b((mean_xy(map_b) - area_ratio)^2)`

    The loss is an `add_loss` term, so that it needs no labels and no custom
    training step, and has the same size on any number of replicas.

    Args:
        area_ratio: Float strictly between 0 and 1, the wanted mean of a map.
        weight: Float >= 0, the factor of the term. Defaults to `1.0`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width)`, `(batch, height, width, 1)` or
        `(batch, 1, height, width)`, of any dtype.

    Output shape:
        That of the input. Values and dtype are the input's own, also under a
        mixed precision policy; the loss is computed in float32.

    Raises:
        ValueError: If `area_ratio` or `weight` is out of range, or if the
            input is not one map an image.

    References:
        - Li & Shimada, "Discovery of Image Pixels highly Contributing to
          CNN regression" (the area term of its loss).

    Example:

    >>> layer = keras_xmap.layers.AreaRatioLoss(area_ratio=0.5, weight=4.0)
    >>> maps = layer(np.ones((2, 8, 8)))
    >>> [float(loss) for loss in layer.losses]
    [1.0]
    """

    def __init__(
        self, area_ratio: Number, weight: Number = 1.0, **kwargs: Any
    ) -> None:
        # Without autocast: the input leaves as it came.
        super().__init__(autocast=False, **kwargs)
        self.area_ratio = check_fraction("area_ratio", area_ratio)
        self.weight = check_non_negative("weight", weight)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        check_single_map("inputs", check_numeric("inputs", inputs).shape)
        per_image = area_ratio(None, inputs, area_ratio=self.area_ratio)
        # A replica may receive no image at all, whose mean would be NaN.
        count = ops.maximum(ops.shape(per_image)[0], 1)
        mean = ops.sum(per_image) / ops.cast(count, per_image.dtype)
        self.add_loss(self.weight * mean)
        return inputs

    def compute_output_shape(self, input_shape):
        check_single_map("inputs", input_shape)
        return tuple(input_shape)

    def compute_output_spec(self, inputs):
        shape = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, dtype=inputs.dtype)

    def get_config(self):
        config = {"area_ratio": self.area_ratio, "weight": self.weight}
        return {**super().get_config(), **config}
