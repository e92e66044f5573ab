import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._checks import check_boolean
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Number
from keras_xmap._typing import Tensor
from keras_xmap.losses import _class_maps


@keras.saving.register_keras_serializable(package="keras_xmap")
def seeding_loss(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool = False,
    ignore_class: int | None = 255,
    min_probability: Number = 1e-4,
    data_format: DataFormat | None = None,
) -> Tensor:
    """Computes how far maps of classes are from cues at a few pixels.

    Cues say of some pixels what they are, and nothing of all others. With
    `S_c` the pixels of an image that are a cue for class `c`, the background
    among the classes,

    `loss = -sum_c sum_{u in S_c} log f_{u,c} / sum_c |S_c|`

    which is the "seed" of SEC. All cues of an image count alike, so that a
    class of many counts for more.

    Args:
        y_true: Cues `(batch, height, width)`, also with one channel: the
            class of a pixel, 0 for the background, or `ignore_class` where
            nothing is known. Any other value makes the loss of the image NaN.
        y_pred: Maps `(batch, height, width, classes)` of the size of the
            cues, the background first: probabilities, or logits.
        from_logits: Boolean. Whether `y_pred` holds logits. Defaults to
            `False`.
        ignore_class: Integer or `None`, for cues at every pixel. Defaults to
            `255`.
        min_probability: Float above 0 and below `1 / classes`. Probabilities
            below it count as this, and all are divided by their sum. The
            gradient is that of the formula without a floor: a class that a
            network has lost everywhere comes back. Defaults to `1e-4`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.

    Returns:
        Tensor of shape `(batch,)`, computed in float32 for half precision; 0
        for an image without cues.

    Raises:
        ValueError: If the shapes do not fit, or if an option is out of range.

    References:
        - [Kolesnikov & Lampert, 2016](https://arxiv.org/abs/1603.06098)

    Example:

    >>> maps = np.reshape([0.7, 0.3, 0.2, 0.8, 0.5, 0.5], (1, 1, 3, 2))
    >>> cues = np.array([[[0, 1, 255]]])
    >>> loss = keras_xmap.losses.seeding_loss(cues, maps)
    >>> round(float(loss[0]), 4)  # -(log .7 + log .8) / 2
    0.2899
    """
    _class_maps.check_ignore_class(ignore_class)
    min_probability = _class_maps.check_min_probability(min_probability)
    maps = _class_maps.class_maps(y_pred, data_format)
    weights, wrong = _class_maps.one_hot_labels(
        y_true, maps, ignore_class, data_format
    )
    p = _class_maps.floored(maps, min_probability, from_logits)
    return wrong - _class_maps.mean_log(weights, ops.log(p))


@registered
class SeedingLoss(keras.losses.Loss):
    """Trains maps of classes on cues at a few pixels; see `seeding_loss`.

    The first of the three losses of SEC, beside `ExpansionLoss` and
    `ConstrainToBoundaryLoss`.

    Args:
        from_logits: Boolean. Whether the maps are logits. Defaults to
            `False`.
        ignore_class: Integer, the label of pixels without a cue, or `None`.
            Defaults to `255`.
        min_probability: Float above 0 and below `1 / classes`. Defaults to
            `1e-4`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        name: String. Defaults to `"seeding_loss"`.
        reduction: See `keras.losses.Loss`. Defaults to
            `"sum_over_batch_size"`.
        dtype: See `keras.losses.Loss`. Defaults to `None`.

    Raises:
        ValueError: If an option is out of its range.

    Example:

    >>> maps = np.full((2, 4, 4, 3), 1 / 3)
    >>> cues = np.full((2, 4, 4), 255)  # in the second image nothing is known
    >>> cues[0, 1, 1:3] = 2
    >>> loss = keras_xmap.losses.SeedingLoss(reduction=None)
    >>> [round(float(value), 4) for value in loss(cues, maps)]
    [1.0986, 0.0]
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = 255,
        min_probability: Number = 1e-4,
        data_format: DataFormat | None = None,
        name: str = "seeding_loss",
        reduction: str | None = "sum_over_batch_size",
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = check_boolean("from_logits", from_logits)
        self.ignore_class = _class_maps.check_ignore_class(ignore_class)
        self.min_probability = _class_maps.check_min_probability(
            min_probability
        )
        self.data_format = check_data_format(data_format)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return seeding_loss(
            y_true,
            y_pred,
            self.from_logits,
            self.ignore_class,
            self.min_probability,
            self.data_format,
        )

    def get_config(self):
        config = {
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
            "min_probability": self.min_probability,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}
