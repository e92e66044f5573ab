import numpy as np
from keras import ops

from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_threshold
from keras_xmap._saving import registered
from keras_xmap._typing import Tensor
from keras_xmap.metrics._levels import counts_above
from keras_xmap.metrics._localization_metric import LocalizationMetric
from keras_xmap.ops import normalize


@registered
class MeanIoU(LocalizationMetric):
    """Mean overlap of thresholded maps with the masks of the objects.

    A map is cut at a share of its own maximum and held against the mask:

    `iou = |region & mask| / |region | mask|`, `region = map > t * max(map)`

    as `ops.above_threshold` has it.

    It is the only one of these metrics that asks for the extent of the
    object. One `t` serves all images. A `t` chosen per image has seen that
    image's mask and inflates the result; with `threshold=None` all images
    vote for the one `t` of the highest mean. Choose it so on validation
    images, then pass `best_threshold` as `threshold` for the test images.

    A region is empty where `max(map) <= 0`; values <= 0 are never part of
    one. A flat map above 0 counts the object's share of the image.

    The name is shared with `keras.metrics.MeanIoU`, the mean over classes of
    a segmentation model; this one is the mean over images.

    Args:
        threshold: Float from 0 to below 1, the share of a map's maximum, or
            `None` for the best of `num_thresholds` over all images. Defaults to
            `None`.
        num_thresholds: Integer >= 1, how many thresholds `0`,
            `1 / num_thresholds`, ... are tried. Used if `threshold` is
            `None`. Defaults to `100`.
        name: String. Defaults to `"mean_iou"`.
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
        - [Choe et al., 2020](https://arxiv.org/abs/2001.07437), on
          thresholds chosen per image

    Example:

    >>> metric = keras_xmap.metrics.MeanIoU()
    >>> mask = np.array([[[1, 1, 0, 0]]])
    >>> metric.update_state(mask, np.array([[[1.0, 0.6, 0.3, 0.0]]]))
    >>> float(metric.result()), metric.best_threshold
    (1.0, 0.3)
    """

    def __init__(
        self,
        threshold: float | None = None,
        num_thresholds: int = 100,
        name: str = "mean_iou",
        dtype: str | None = None,
    ):
        num_thresholds = check_positive_integer(
            "num_thresholds", num_thresholds
        )
        if threshold is None:
            thresholds = np.arange(num_thresholds) / num_thresholds
        else:
            check_threshold("threshold", threshold, "Or None for the best one.")
            thresholds = np.array([threshold], dtype="float64")
        super().__init__(num_scores=len(thresholds), name=name, dtype=dtype)
        self.threshold = threshold
        self.num_thresholds = num_thresholds
        self._thresholds = thresholds

    def result(self):
        return ops.max(self.mean_scores())

    @property
    def best_threshold(self) -> float:
        """Float: the threshold `result()` is for; the lowest if several."""
        means = ops.convert_to_numpy(self.mean_scores())
        return float(self._thresholds[means.argmax()])

    def image_scores(self, masks: Tensor, maps: Tensor) -> Tensor:
        shares = normalize(maps, "max", axis=(1, 2))
        thresholds = self._thresholds.astype(self.dtype)
        exceeding = counts_above(shares, masks, thresholds)
        region, overlap = exceeding[:, 1:, 0], exceeding[:, 1:, 1]
        area = exceeding[:, :1, 1]
        return ops.divide_no_nan(overlap, region + area - overlap)

    def get_config(self):
        config = {
            "threshold": self.threshold,
            "num_thresholds": self.num_thresholds,
        }
        return {**super().get_config(), **config}
