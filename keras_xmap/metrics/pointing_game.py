import math

import numpy as np
from keras import ops

from keras_xmap._checks import check_non_negative
from keras_xmap._saving import registered
from keras_xmap._typing import Tensor
from keras_xmap.metrics._localization_metric import LocalizationMetric


@registered
class PointingGame(LocalizationMetric):
    """Share of images whose map is highest on the object.

    The strictest question one can ask a map: is its single most important
    pixel a pixel of the object? Extent does not count, so a map that lights
    one spot of every object reaches 1.

    A random map hits as often as the object's share of the image is large;
    quote that share, and the rate of pointing at the image's centre, beside
    the result.

    Where several pixels share the highest value, the image counts the part
    of them that hits: the expected hit if one of them is drawn. A flat map
    therefore counts what a random map does, not what its top left corner
    happens to hold.

    The rate of one object class takes one metric; TorchRay reports the mean
    of such rates over the classes, with `tolerance=15`.

    Args:
        tolerance: Float >= 0. A pixel hits if a pixel of the object is closer
            than this, in pixels (strictly: `distance < tolerance`), or if it
            lies on the object. Defaults to `0`.
        name: String. Defaults to `"pointing_game"`.
        dtype: Dtype of the computation. Defaults to `None`, which is
            `keras.config.floatx()`.

    Call arguments:
        y_true: Masks, see `LocalizationMetric`.
        y_pred: Maps, see `LocalizationMetric`.
        sample_weight: `None` or weights `(batch,)`. Defaults to `None`.

    Raises:
        ValueError: If `tolerance` is negative, the shapes differ, a mask
            holds other values than 0 and 1, or a map is not finite.

    References:
        - [Zhang et al., 2016](https://arxiv.org/abs/1608.00507)

    Example:

    >>> metric = keras_xmap.metrics.PointingGame()
    >>> masks = np.array([[[0, 1], [0, 0]], [[0, 1], [0, 0]]])
    >>> maps = np.array([[[0, 9], [1, 2]], [[3, 0], [0, 0]]])
    >>> metric.update_state(masks, maps)
    >>> float(metric.result())  # the second map points at the left
    0.5
    """

    def __init__(
        self,
        tolerance: float = 0,
        name: str = "pointing_game",
        dtype: str | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.tolerance = check_non_negative("tolerance", tolerance)

    def image_scores(self, masks: Tensor, maps: Tensor) -> Tensor:
        highest = ops.max(maps, axis=(1, 2), keepdims=True)
        peaks = ops.cast(maps == highest, self.dtype)
        hits = ops.sum(peaks * self._widen(masks), axis=(1, 2))
        return hits / ops.sum(peaks, axis=(1, 2))

    def _widen(self, masks):
        radius = math.ceil(self.tolerance) - 1
        if None not in masks.shape[1:]:
            # No pixel of a map is farther from another than this.
            radius = min(radius, max(masks.shape[1:]) - 1)
        if radius < 1:
            return masks
        offsets = np.arange(-radius, radius + 1)
        squares = offsets[:, None] ** 2 + offsets[None, :] ** 2
        disc = (squares < self.tolerance**2)[:, :, None, None]
        count = ops.conv(
            ops.expand_dims(masks, -1),
            ops.cast(disc, self.dtype),
            padding="same",
            data_format="channels_last",
        )
        return ops.cast(ops.squeeze(count, -1) > 0.5, self.dtype)

    def get_config(self):
        return {**super().get_config(), "tolerance": self.tolerance}
