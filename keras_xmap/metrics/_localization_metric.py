"""The contract of the metrics that hold a map against a mask."""

import abc

from keras import ops

from keras_xmap._numeric import as_tensor
from keras_xmap._numeric import of_each
from keras_xmap._typing import Tensor
from keras_xmap.metrics._image_mean import ImageMean
from keras_xmap.metrics._image_mean import check_weights


class LocalizationMetric(ImageMean, abc.ABC):
    """Mean over images of the score of a map against the object's mask.

    A subclass is its formula, `image_scores`. This class checks the input,
    leaves out images with an empty mask and keeps the weighted mean, also
    under `tf.distribute` and in `keras.Model.evaluate`.

    Call arguments:
        y_true: Masks `(batch, height, width)` of any dtype, 1 (or `True`) on
            the object and 0 elsewhere. An image with an empty mask has
            nothing to be found and is left out of the mean.
        y_pred: Maps `(batch, height, width)`, finite, of the masks' size.
            Maps per class `(batch, classes, height, width)` are reshaped to
            `(batch * classes, height, width)` first.
        sample_weight: `None` or weights `(batch,)`. Defaults to `None`.

    Values that are not allowed raise a `ValueError`. Inside a compiled
    function nothing can be raised; there they turn the result into NaN.
    """

    higher_is_better = True

    def update_state(self, y_true, y_pred, sample_weight=None):
        masks, maps = self._checked_pair(y_true, y_pred)
        valid = self._check_values(masks, maps)
        scores = self.image_scores(masks, maps)
        if len(scores.shape) == 1:
            scores = ops.expand_dims(scores, -1)
        scores = ops.where(ops.expand_dims(valid, -1), scores, float("nan"))
        weights = ops.cast(of_each(ops.any, masks > 0), self.dtype)
        if sample_weight is not None:
            given = check_weights(sample_weight, masks.shape[0])
            weights = weights * ops.cast(given, self.dtype)
        self._add(scores, weights)

    @abc.abstractmethod
    def image_scores(self, masks: Tensor, maps: Tensor) -> Tensor:
        """Returns scores `(batch,)` or `(batch, num_scores)`.

        Both arguments are of the metric's dtype, the masks 0 or 1.
        """

    def _checked_pair(self, y_true, y_pred):
        masks = as_tensor("y_true", y_true)
        maps = as_tensor("y_pred", y_pred)
        shapes = tuple(masks.shape), tuple(maps.shape)
        if len(shapes[0]) != 3 or len(shapes[1]) != 3:
            raise ValueError(
                "Masks and maps must have the shape (batch, height, width). "
                f"Received: y_true.shape={shapes[0]}, "
                f"y_pred.shape={shapes[1]}. Index or reshape other axes."
            )
        for mask_size, map_size in zip(*shapes, strict=True):
            if None not in (mask_size, map_size) and mask_size != map_size:
                raise ValueError(
                    "Masks and maps must have the same shape. "
                    f"Received: y_true.shape={shapes[0]}, "
                    f"y_pred.shape={shapes[1]}. Bring the maps to the size "
                    "of the masks first, such as with keras.ops.image.resize."
                )
        return ops.cast(masks, self.dtype), ops.cast(maps, self.dtype)

    def _check_values(self, masks, maps):
        return ops.logical_and(
            check_values(
                masks,
                ops.logical_or(masks == 0, masks == 1),
                "`y_true` must hold masks of 0 and 1.",
                "y_true",
                "Compare first, such as `masks == 255`.",
            ),
            check_values(
                maps,
                ops.isfinite(maps),
                "`y_pred` must hold finite maps.",
                "y_pred",
            ),
        )


def check_values(values, allowed, expected, name, remedy=""):
    """Returns which images hold allowed values only, `(batch,)`.

    Raises a `ValueError` for the others where values can be seen, which is
    everywhere but inside a compiled function.
    """
    valid = of_each(ops.all, allowed)
    try:
        all_valid = bool(ops.all(valid))
    except TypeError:  # A tracer of TensorFlow or JAX has no value.
        return valid
    if not all_valid:
        received = ops.convert_to_numpy(values)
        raise ValueError(
            f"{expected} Received: {name} with values from "
            f"{received.min():.4g} to {received.max():.4g}. {remedy}".rstrip()
        )
    return valid
