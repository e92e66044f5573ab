"""The weighted mean over images that every metric of maps streams."""

import keras
from keras import ops

from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Tensor
from keras_xmap.metrics._metric_repr import metric_repr


class ImageMean(keras.metrics.Metric):
    """Mean over images of one score of each, or of several.

    The sums are variables of Keras, so that metrics go on under
    `tf.distribute`, in compiled functions and in `keras.Model.evaluate`.
    """

    def __init__(self, num_scores=1, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable(
            (num_scores,), "zeros", dtype=self.dtype, name="total"
        )
        self.weight = self.add_variable(
            (), "zeros", dtype=self.dtype, name="weight"
        )

    def result(self):
        return self.mean_scores()[0]

    def mean_scores(self) -> Tensor:
        """Returns the mean over the images so far, `(num_scores,)`."""
        return ops.divide_no_nan(self.total, self.weight)

    def __repr__(self):
        return metric_repr(self)

    def _add(self, scores, weights):
        """Adds scores `(batch,)` or `(batch, num_scores)` of images."""
        scores = ops.cast(scores, self.dtype)
        if len(scores.shape) == 1:
            scores = ops.expand_dims(scores, -1)
        weights = ops.cast(weights, self.dtype)
        weighted = ops.expand_dims(weights, -1) * scores
        self.total.assign_add(ops.sum(weighted, axis=0))
        self.weight.assign_add(ops.sum(weights))


def weights_of(sample_weight, scores):
    """Returns the weight of each of `scores`, `(batch,)`: 1 for `None`."""
    ones = ops.ones_like(scores)
    if sample_weight is None:
        return ones
    given = check_weights(sample_weight, scores.shape[0])
    return ones * ops.cast(given, ones.dtype)


def check_weights(sample_weight, batch):
    """Returns weights `(batch,)`, or one for all, as a tensor.

    `batch` may be `None`. What can be seen must be finite and >= 0.
    """
    weights = as_tensor("sample_weight", sample_weight)
    if not keras.backend.is_float_dtype(weights.dtype):
        weights = ops.cast(weights, keras.config.floatx())
    shape = tuple(weights.shape)
    if shape[1:] == (1,):  # as Keras hands them on
        weights = ops.squeeze(weights, -1)
    if len(weights.shape) > 1 or (
        None not in (batch, *weights.shape)
        and (tuple(weights.shape) not in ((), (batch,)))
    ):
        raise ValueError(
            "`sample_weight` must hold one weight for each image. Received: "
            f"sample_weight.shape={shape} for {batch} images."
        )
    allowed = ops.logical_and(ops.isfinite(weights), weights >= 0)
    try:
        all_allowed = bool(ops.all(allowed))
    except TypeError:  # A tracer of TensorFlow or JAX has no value.
        return weights
    if not all_allowed:
        raise ValueError(
            "`sample_weight` must hold finite numbers >= 0. Received: "
            f"sample_weight={ops.convert_to_numpy(weights)}."
        )
    return weights
