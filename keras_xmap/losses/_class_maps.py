"""What the losses over maps of classes share."""

import keras
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._axes import check_data_format
from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_integer
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_single_map
from keras_xmap._numeric import as_tensor
from keras_xmap._numeric import of_each

# The inverse is a float32.
_SMALLEST = 1e-30


def check_ignore_class(ignore_class):
    return check_optional(check_integer, "ignore_class", ignore_class)


def check_min_probability(min_probability):
    return check_fraction("min_probability", min_probability)


def class_maps(y_pred, data_format):
    """Returns maps of classes, channels last, in float32 at least."""
    y_pred = as_tensor("y_pred", y_pred)
    shape = tuple(y_pred.shape)
    axis = channel_axis(check_data_format(data_format))
    if len(shape) != 4 or shape[axis] in (1, None):
        raise ValueError(
            "`y_pred` must be maps of two classes at least, (batch, height, "
            "width, classes), or (batch, classes, height, width) under "
            f"'channels_first'. Received: y_pred.shape={shape}. Let a single "
            "map of a foreground be one of two: concatenate 1 - map and map."
        )
    # Half precision has too few digits for small probabilities.
    dtype = keras.backend.result_type(y_pred.dtype, "float32")
    return ops.cast(ops.moveaxis(y_pred, axis, -1), dtype)


def floored(maps, min_probability, from_logits):
    """Returns probabilities of which none is below the floor, sum 1."""
    num_classes = maps.shape[-1]
    if min_probability * num_classes >= 1:
        raise ValueError(
            "`min_probability` must be below 1 / classes. Received: "
            f"min_probability={min_probability}, with {num_classes} classes."
        )
    if check_boolean("from_logits", from_logits):
        maps = ops.softmax(maps)
    missing = ops.maximum(min_probability - maps, 0)
    total = ops.sum(maps + ops.stop_gradient(missing), axis=-1, keepdims=True)
    return at_least(min_probability, maps) / total


def at_least(lowest, p):
    """Returns probabilities, `lowest` where they are below.

    Their logarithm has the gradient that it has without a floor. A floor that
    let none through would hold what fell below: a network that finds a class
    nowhere, as after a large step, would not find it again.
    """
    log_p = ops.log(ops.maximum(p, _SMALLEST))
    value = ops.stop_gradient(ops.maximum(p, lowest))
    return value * ops.exp(log_p - ops.stop_gradient(log_p))


def one_hot_labels(y_true, maps, ignore_class, data_format):
    """Returns what a map of labels says of each class and pixel.

    Those are weights `(batch, height, width, classes)` of 0 and 1, all 0
    where the label is `ignore_class`, and a summand for each image: 0, or
    NaN where a label is neither that nor a class.
    """
    labels = _labels(y_true, maps, data_format)[..., None]
    classes = ops.arange(maps.shape[-1], dtype=maps.dtype)
    is_class = labels == classes
    ignored = ops.zeros_like(labels, "bool")
    if ignore_class is not None:
        ignored = labels == ignore_class
        is_class = ops.logical_and(is_class, ops.logical_not(ignored))
    known = ops.any(ops.concatenate([is_class, ignored], axis=-1), axis=-1)
    weights = ops.cast(is_class, maps.dtype)
    return weights, nan_unless(of_each(ops.all, known), maps.dtype)


def nan_unless(is_right, dtype):
    """Returns 0 where true and NaN elsewhere.

    A step that is compiled cannot raise on every backend. As a summand, NaN
    shows in the loss and leaves the gradients, and so the weights, whole.
    """
    zero = ops.zeros_like(is_right, dtype)
    return ops.where(is_right, zero, ops.full_like(zero, float("nan")))


def mean_log(weights, log_probabilities):
    """Returns the mean over what has weight 1, per image; 0 if nothing has."""
    axes = tuple(range(1, len(weights.shape)))
    total = ops.sum(weights * log_probabilities, axis=axes)
    return total / ops.maximum(ops.sum(weights, axis=axes), 1.0)


def _labels(y_true, maps, data_format):
    """Returns labels `(batch, height, width)` in the dtype of the maps."""
    labels = as_tensor("y_true", y_true)
    shape = tuple(labels.shape)
    check_single_map("y_true", shape, "Pass `argmax` of one-hot labels.")
    if len(shape) == 4:
        first = channel_axis(check_data_format(data_format)) % 4
        axis = first if shape[first] in (1, None) else 4 - first
        labels = ops.squeeze(labels, axis=axis)
    for length, wanted in zip(labels.shape[1:], maps.shape[1:3], strict=True):
        if None not in (length, wanted) and length != wanted:
            raise ValueError(
                "`y_true` must be of the size of `y_pred`. Received: labels "
                f"of {tuple(labels.shape[1:])} for maps of "
                f"{tuple(maps.shape[1:3])}. Resize labels with "
                "`keras_xmap.ops.resize(labels[..., None], size, 'nearest')`."
            )
    return ops.cast(labels, maps.dtype)
