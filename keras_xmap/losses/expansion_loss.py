from collections.abc import Sequence

import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_share
from keras_xmap._numeric import as_tensor
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Number
from keras_xmap._typing import Tensor
from keras_xmap.losses import _class_maps
from keras_xmap.ops import global_weighted_rank_pooling

# Positions of the 41 x 41 maps for which SEC tells its decays.
_REFERENCE_SIZE = 41 * 41
_DECAYS = (0.996, 0.0, 0.999)


@keras.saving.register_keras_serializable(package="keras_xmap")
def expansion_loss(
    y_true: Tensor,
    y_pred: Tensor,
    decays: Sequence[Number] = _DECAYS,
    from_logits: bool = False,
    ignore_class: int | None = 255,
    min_probability: Number = 1e-4,
    data_format: DataFormat | None = None,
) -> Tensor:
    """Computes how far maps of classes are from what the image holds.

    A class that is in the image covers a good part of it, one that is not
    covers none, and the background covers most of the rest. With `T` the
    classes of the image, and `G_c(d)` the global weighted rank pooling of the
    map of class `c` (see `ops.global_weighted_rank_pooling`),

    `loss = -mean_{c in T} log G_c(d_present)`
    `- mean_{c not in T} log(1 - G_c(d_absent)) - log G_background(d)`

    which is the "expand" of SEC. A mean over no class is 0.

    Args:
        y_true: The image's labels `(batch, classes)`, without the background:
            1 for a class that is there, 0 for one that is not, and
            `ignore_class` where nobody looked. Any other value makes the loss
            of the image NaN. Where nothing is known of an image, its loss
            is 0.
        y_pred: Maps `(batch, height, width, 1 + classes)`, the background
            first: probabilities, or logits.
        decays: Three floats from 0, the maximum, to 1, the mean: for classes
            that are there, for those that are not, and for the background.
            They are meant for maps of 41 x 41 and changed on maps of another
            size so that they reach the same share. Defaults to
            `(0.996, 0.0, 0.999)`.
        from_logits: Boolean. Whether `y_pred` holds logits. Defaults to
            `False`.
        ignore_class: Integer or `None`. Defaults to `255`.
        min_probability: Float above 0 and below `1 / (1 + classes)`. See
            `seeding_loss`. Defaults to `1e-4`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.

    Returns:
        Tensor of shape `(batch,)`, computed in float32 for half precision.

    Raises:
        ValueError: If the shapes do not fit, or if an option is out of range.

    References:
        - [Kolesnikov & Lampert, 2016](https://arxiv.org/abs/1603.06098)

    Example:

    >>> maps = np.reshape([0.9, 0.1, 0.2, 0.8], (1, 1, 2, 2))
    >>> labels = np.array([[1]])  # the one class is in the image
    >>> loss = keras_xmap.losses.expansion_loss(labels, maps, (0.0, 0.0, 1.0))
    >>> round(float(loss[0]), 4)  # -log .8 - log .55
    0.821
    """
    decays = _check_decays(decays)
    _class_maps.check_ignore_class(ignore_class)
    min_probability = _class_maps.check_min_probability(min_probability)
    maps = _class_maps.class_maps(y_pred, data_format)
    there, absent, wrong = _image_labels(y_true, maps, ignore_class)
    p = _class_maps.floored(maps, min_probability, from_logits)
    parts = (p[..., 1:], p[..., 1:], p[..., :1])
    high, peak, background = (
        global_weighted_rank_pooling(part, decay, _REFERENCE_SIZE)
        for part, decay in zip(parts, decays, strict=True)
    )
    total = (
        _class_maps.mean_log(there, ops.log(high))
        + _class_maps.mean_log(absent, ops.log(1 - peak))
        + ops.log(background[:, 0])
    )
    is_known = ops.any(there + absent > 0, axis=-1)
    return wrong - ops.where(is_known, total, 0.0)


@registered
class ExpansionLoss(keras.losses.Loss):
    """Trains maps of classes on labels of images; see `expansion_loss`.

    The second of the three losses of SEC, beside `SeedingLoss` and
    `ConstrainToBoundaryLoss`.

    Args:
        decays: Three floats from 0 to 1: for classes that are in the image,
            for those that are not, and for the background. Defaults to
            `(0.996, 0.0, 0.999)`.
        from_logits: Boolean. Whether the maps are logits. Defaults to
            `False`.
        ignore_class: Integer, the value of labels that are not known, or
            `None`. Defaults to `255`.
        min_probability: Float above 0 and below `1 / (1 + classes)`. Defaults
            to `1e-4`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        name: String. Defaults to `"expansion_loss"`.
        reduction: See `keras.losses.Loss`. Defaults to
            `"sum_over_batch_size"`.
        dtype: See `keras.losses.Loss`. Defaults to `None`.

    Raises:
        ValueError: If an option is out of its range.

    Example:

    >>> maps = np.full((1, 4, 4, 3), 1 / 3)
    >>> loss = keras_xmap.losses.ExpansionLoss()
    >>> round(float(loss(np.array([[1, 0]]), maps)), 4)
    2.6027
    """

    def __init__(
        self,
        decays: Sequence[Number] = _DECAYS,
        from_logits: bool = False,
        ignore_class: int | None = 255,
        min_probability: Number = 1e-4,
        data_format: DataFormat | None = None,
        name: str = "expansion_loss",
        reduction: str | None = "sum_over_batch_size",
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.decays = _check_decays(decays)
        self.from_logits = check_boolean("from_logits", from_logits)
        self.ignore_class = _class_maps.check_ignore_class(ignore_class)
        self.min_probability = _class_maps.check_min_probability(
            min_probability
        )
        self.data_format = check_data_format(data_format)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return expansion_loss(
            y_true,
            y_pred,
            self.decays,
            self.from_logits,
            self.ignore_class,
            self.min_probability,
            self.data_format,
        )

    def get_config(self):
        config = {
            "decays": list(self.decays),
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
            "min_probability": self.min_probability,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}


def _check_decays(decays):
    if not isinstance(decays, (list, tuple)) or len(decays) != 3:
        raise ValueError(
            "`decays` must be three numbers from 0 to 1: for classes that are "
            "in the image, for those that are not, and for the background. "
            f"Received: decays={decays!r}."
        )
    return tuple(check_share("decays", decay) for decay in decays)


def _image_labels(y_true, maps, ignore_class):
    """Returns which classes are there and which are not, as 0 and 1.

    And a summand for each image: NaN where a label is none.
    """
    labels = as_tensor("y_true", y_true)
    num_classes = maps.shape[-1] - 1
    if tuple(labels.shape[1:]) != (num_classes,):
        raise ValueError(
            "`y_true` must be (batch, classes) of 0 and 1, without the "
            f"background. Received: y_true.shape={tuple(labels.shape)} for "
            f"maps of {num_classes} classes beside the background. Leave the "
            "background out, labels[:, 1:], or take "
            "`keras.ops.one_hot(labels, classes)` of single classes."
        )
    labels = ops.cast(labels, maps.dtype)
    is_there, is_absent = labels == 1, labels == 0
    is_right = ops.logical_or(is_there, is_absent)
    if ignore_class is not None:
        ignored = labels == ignore_class
        is_right = ops.logical_or(is_right, ignored)
        is_there = ops.logical_and(is_there, ops.logical_not(ignored))
        is_absent = ops.logical_and(is_absent, ops.logical_not(ignored))
    wrong = _class_maps.nan_unless(ops.all(is_right, axis=-1), maps.dtype)
    there, absent = (ops.cast(x, maps.dtype) for x in (is_there, is_absent))
    return there, absent, wrong
