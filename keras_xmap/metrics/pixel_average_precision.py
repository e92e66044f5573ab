import numpy as np
from keras import ops

from keras_xmap._checks import check_positive_integer
from keras_xmap._saving import registered
from keras_xmap._typing import Tensor
from keras_xmap.metrics._levels import counts_above
from keras_xmap.metrics._localization_metric import LocalizationMetric
from keras_xmap.ops import normalize


@registered
class PixelAveragePrecision(LocalizationMetric):
    """Area under the curve of precision and recall of the maps' pixels.

    Pixels are taken from the highest share of their map's maximum to the
    lowest, those of all images together:

    `PxAP = sum_t precision_t * (recall_t - recall_(t+1))`, from high `t` to low

    with `precision_t`, the part of the pixels above `t` that is on objects,
    and `recall_t`, the part of the objects' pixels that is above `t`. Values
    <= 0 are above no `t` and come last, at the precision of whole images.

    No threshold has to be chosen, on whatever images: it is how well maps
    rank pixels. It tells a map that is high on all of the object from one that
    is high on a spot, which `EnergyInMask` and `PointingGame` do not, and
    other than `MeanIoU` it sees more than the one best cut. A flat map, and
    one of zeros, reaches the objects' share of the images; maps that are a
    mask each reach 1.

    Each image counts the same, whatever its size. Choe et al. bring maps to
    [0, 1] by their minimum first: pass `ops.normalize(maps)` for that.

    Args:
        num_thresholds: Integer >= 1, how many thresholds `0`,
            `1 / num_thresholds`, ... there are. Pixels between two of them
            are taken together. Defaults to `1000`, as in the paper.
        name: String. Defaults to `"pixel_average_precision"`.
        dtype: Dtype of the computation. Defaults to `None`, which is
            `keras.config.floatx()`.

    Call arguments:
        y_true: Masks, see `LocalizationMetric`.
        y_pred: Maps, see `LocalizationMetric`.
        sample_weight: `None` or weights `(batch,)`. Defaults to `None`.

    Raises:
        ValueError: If an argument is out of its range, the shapes differ, a
            mask holds other values than 0 and 1, or a map is not finite.

    References:
        - [Choe et al., 2020](https://arxiv.org/abs/2001.07437)

    Example:

    >>> metric = keras_xmap.metrics.PixelAveragePrecision()
    >>> mask = np.array([[[1, 0, 1, 0]]])
    >>> metric.update_state(mask, np.array([[[0.9, 0.7, 0.3, 0.0]]]))
    >>> round(float(metric.result()), 4)  # (1 + 2 / 3) / 2
    0.8333
    """

    def __init__(
        self,
        num_thresholds: int = 1000,
        name: str = "pixel_average_precision",
        dtype: str | None = None,
    ):
        num_thresholds = check_positive_integer(
            "num_thresholds", num_thresholds
        )
        super().__init__(
            num_scores=2 * (num_thresholds + 1), name=name, dtype=dtype
        )
        self.num_thresholds = num_thresholds
        self._thresholds = np.arange(num_thresholds) / num_thresholds

    def result(self):
        return ops.sum(self._precisions() * self._steps())

    def image_scores(self, masks: Tensor, maps: Tensor) -> Tensor:
        """Returns the shares of pixels above each threshold, flat."""
        shares = normalize(maps, "max", axis=(1, 2))
        thresholds = self._thresholds.astype(self.dtype)
        counts = counts_above(shares, masks, thresholds)
        counts = ops.divide_no_nan(counts, counts[:, :1, :1])
        return ops.reshape(counts, (-1, 2 * (self.num_thresholds + 1)))

    @property
    def precisions(self) -> np.ndarray:
        """Array `(1 + num_thresholds,)`, of all pixels first."""
        return ops.convert_to_numpy(self._precisions())

    @property
    def recalls(self) -> np.ndarray:
        """Array `(1 + num_thresholds,)` beside `precisions`, from 1 down."""
        return ops.convert_to_numpy(self._recalls())

    def _means(self):
        return ops.reshape(self.mean_scores(), (-1, 2))

    def _precisions(self):
        means = self._means()
        return ops.divide_no_nan(means[:, 1], means[:, 0])

    def _recalls(self):
        on_object = self._means()[:, 1]
        return ops.divide_no_nan(on_object, on_object[:1])

    def _steps(self):
        recalls = self._recalls()
        return recalls - ops.pad(recalls[1:], (0, 1))

    def get_config(self):
        config = {"num_thresholds": self.num_thresholds}
        return {**super().get_config(), **config}
