import keras
from keras import ops

from keras_xmap._numeric import as_tensor
from keras_xmap._saving import registered
from keras_xmap._typing import Tensor
from keras_xmap.metrics._image_mean import ImageMean
from keras_xmap.metrics._image_mean import weights_of
from keras_xmap.metrics._localization_metric import check_values


@registered
class Sparseness(ImageMean):
    """How few pixels hold a map: the Gini index of its absolute values.

    `G = sum_i (2 i - n - 1) * a_i / (n * sum_i a_i)`

    over the `n` absolute values `a_1 <= ... <= a_n` of a map. It is 0 for a
    flat map and `1 - 1 / n` for a map of one pixel, the most there is; a
    number, not a verdict, for it knows neither the model nor the object:
    **higher is more concise**, and a map of one pixel in the wrong place is
    very concise.

    A map of zeros shows nothing and counts 0, like every flat one. It runs on
    every backend.

    Args:
        name: String. Defaults to `"sparseness"`.
        dtype: Dtype of the computation. Defaults to `None`, which is
            `keras.config.floatx()`.

    Call arguments:
        maps: Maps `(batch, height, width)`, or of any other number of
            positions, `(batch, ...)`, finite. Maps per class `(batch,
            classes, height, width)` are reshaped to `(batch * classes,
            height, width)` first.
        sample_weight: `None` or weights `(batch,)`. Defaults to `None`.

    Raises:
        ValueError: If maps have no axis of positions, or are not finite.
            Inside a compiled function the result is NaN instead.

    References:
        - [Chalasani et al., 2020](https://arxiv.org/abs/1810.06583)
        - [Hurley & Rickard, 2009](https://arxiv.org/abs/0811.4706)

    Example:

    >>> metric = keras_xmap.metrics.Sparseness()
    >>> metric.update_state(np.array([[[0.0, 0.0, 0.0, 5.0]]]))
    >>> float(metric.result())
    0.75
    """

    higher_is_better = True

    def __init__(self, name: str = "sparseness", dtype: str | None = None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, maps: Tensor, sample_weight: object = None) -> None:
        """Adds maps to the mean.

        Args:
            maps: Maps `(batch, ...)`, finite.
            sample_weight: `None` or weights `(batch,)`. Defaults to `None`.
        """
        scores = self.image_scores(maps)
        self._add(scores, weights_of(sample_weight, scores))

    def image_scores(self, maps: Tensor) -> Tensor:
        """Returns the Gini index of each map, a tensor `(batch,)`.

        Args:
            maps: Maps `(batch, ...)`, finite.
        """
        if isinstance(maps, keras.KerasTensor):
            raise TypeError(
                "`maps` must be an array or a tensor. Received: maps="
                f"{maps!r}, which has no values yet."
            )
        maps = as_tensor("maps", maps)
        if len(maps.shape) < 2:
            raise ValueError(
                "`maps` must have a batch axis and at least one of positions. "
                f"Received: maps.shape={tuple(maps.shape)}. For a single map "
                "pass `maps[None]`."
            )
        maps = ops.cast(maps, self.dtype)
        valid = check_values(
            maps, ops.isfinite(maps), "`maps` must hold finite values.", "maps"
        )
        flat = ops.abs(ops.reshape(maps, (ops.shape(maps)[0], -1)))
        # Divided by their peak first: the sum of large values stays finite.
        peak = ops.max(flat, axis=-1, keepdims=True)
        shares = ops.sort(ops.divide_no_nan(flat, peak), axis=-1)
        count = ops.cast(ops.shape(flat)[-1], self.dtype)
        places = ops.arange(ops.shape(flat)[-1], dtype=self.dtype)
        weights = (2 * places + 1 - count) / count
        scores = ops.divide_no_nan(
            ops.sum(weights * shares, axis=-1), ops.sum(shares, axis=-1)
        )
        # Of a flat map rounding leaves a little, of either sign.
        return ops.where(valid, ops.maximum(scores, 0.0), float("nan"))
