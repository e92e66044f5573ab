from keras import ops

from keras_xmap._saving import registered
from keras_xmap._typing import Tensor
from keras_xmap.metrics._localization_metric import LocalizationMetric
from keras_xmap.metrics._localization_metric import check_values
from keras_xmap.ops import normalize


@registered
class EnergyInMask(LocalizationMetric):
    """Mean share of a map's total that lies on the object.

    `energy = sum(map * mask) / sum(map)`

    Unlike `PointingGame` it sees the whole map: attention spent on the
    background lowers it, wherever the maximum stands. It asks for no
    threshold. It does not ask for the whole object either: one bright spot
    inside the mask reaches 1, and a flat map reaches the object's share of
    the image.

    A map of zeros puts nothing on the object and counts 0. It is not left
    out: an explainer must not gain by staying silent on hard images.

    Args:
        name: String. Defaults to `"energy_in_mask"`.
        dtype: Dtype of the computation. Defaults to `None`, which is
            `keras.config.floatx()`.

    Call arguments:
        y_true: Masks, see `LocalizationMetric`.
        y_pred: Maps >= 0, see `LocalizationMetric`.
        sample_weight: `None` or weights `(batch,)`. Defaults to `None`.

    Raises:
        ValueError: If the shapes differ, a mask holds other values than 0
            and 1, or a map is negative somewhere or not finite.

    References:
        - [Wang et al., 2020](https://arxiv.org/abs/1910.01279)

    Example:

    >>> metric = keras_xmap.metrics.EnergyInMask()
    >>> metric.update_state(np.array([[[1, 0]]]), np.array([[[3.0, 1.0]]]))
    >>> float(metric.result())
    0.75
    """

    def __init__(self, name: str = "energy_in_mask", dtype: str | None = None):
        super().__init__(name=name, dtype=dtype)

    def image_scores(self, masks: Tensor, maps: Tensor) -> Tensor:
        # Divided by their peak first: the sum of large values stays finite.
        maps = normalize(maps, "max", axis=(1, 2))
        inside = ops.sum(maps * masks, axis=(1, 2))
        return ops.divide_no_nan(inside, ops.sum(maps, axis=(1, 2)))

    def _check_values(self, masks, maps):
        return ops.logical_and(
            super()._check_values(masks, maps),
            check_values(
                maps,
                maps >= 0,
                "`y_pred` must hold maps >= 0, since a share of a total that "
                "may cancel means nothing.",
                "y_pred",
                "Use keras.ops.relu(maps) or keras.ops.abs(maps) first.",
            ),
        )
