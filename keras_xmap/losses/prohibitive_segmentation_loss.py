import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._checks import check_boolean
from keras_xmap._numeric import as_tensor
from keras_xmap._numeric import of_each
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.losses import _class_maps
from keras_xmap.ops import suppress_classes


@keras.saving.register_keras_serializable(package="keras_xmap")
def prohibitive_segmentation_loss(
    y_true: Structure,
    y_pred: Structure,
    from_logits: bool = False,
    ignore_class: int | None = 255,
    data_format: DataFormat | None = None,
) -> Tensor:
    """Computes a segmentation's loss on labels that are partly wrong.

    Labels `S` that were mined from image labels miss parts of objects. Beside
    them the network learns from what it says itself, `f`, without the classes
    that the image does not hold, with `v` the probabilities of the classes in
    the whole image and 1 for the background:

    `loss = J(f, S) + J(f, S^)`, `S^ = argmax_c([1, v] * f)`

    where `J` is the cross-entropy, a mean over the pixels that have a label.
    `S^` is a label at every pixel. No gradient flows through `S^`, nor into
    `v`. What a network trained so predicts passes through
    `ops.suppress_classes`, with its own `v`.

    Args:
        y_true: Dict with `"masks"`, labels `(batch, height, width)`, also
            with one channel: 0 for the background, or `ignore_class` where
            nothing is known. Any other value makes the loss of the image NaN.
            Or these labels alone. An image without a label has the loss 0:
            nothing holds what it would teach itself.
        y_pred: Dict with `"masks"`, maps `(batch, height, width, 1 +
            classes)` of the size of the labels, the background first,
            probabilities or logits; and `"classes"`, probabilities `(batch,
            classes)`.
        from_logits: Boolean. Whether `"masks"` are logits; `"classes"` never
            are. Defaults to `False`.
        ignore_class: Integer or `None`. Defaults to `255`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.

    Returns:
        Tensor of shape `(batch,)`, computed in float32 for half precision.

    Raises:
        TypeError: If `y_pred` is no such dict.
        ValueError: If the shapes do not fit, or if an option is out of range.

    References:
        - [Wei et al., 2017](https://arxiv.org/abs/1703.08448)

    Example:

    >>> maps = np.reshape([0.5, 0.3, 0.2, 0.3, 0.25, 0.45], (1, 1, 2, 3))
    >>> classes = np.array([[0.9, 0.1]])  # so that both pixels are background
    >>> loss = keras_xmap.losses.prohibitive_segmentation_loss(
    ...     np.array([[[1, 255]]]), {"masks": maps, "classes": classes}
    ... )
    >>> round(float(loss[0]), 4)  # -log .3 - (log .5 + log .3) / 2
    2.1525
    """
    _class_maps.check_ignore_class(ignore_class)
    masks, classes = _masks_and_classes(y_pred)
    maps = _class_maps.class_maps(masks, data_format)
    labels, wrong = _class_maps.one_hot_labels(
        _masks_of(y_true), maps, ignore_class, data_format
    )
    if check_boolean("from_logits", from_logits):
        log_p = ops.log_softmax(maps)
        p = ops.softmax(ops.stop_gradient(maps))
    else:
        log_p = ops.log(_class_maps.at_least(keras.config.epsilon(), maps))
        p = ops.stop_gradient(maps)
    classes = ops.stop_gradient(as_tensor("y_pred['classes']", classes))
    suppressed = suppress_classes(p, classes)
    own = ops.one_hot(
        ops.argmax(suppressed, axis=-1), maps.shape[-1], dtype=maps.dtype
    )
    total = _class_maps.mean_log(labels, log_p)
    total += _class_maps.mean_log(own, log_p)
    is_labelled = of_each(ops.any, labels > 0)
    return wrong - ops.where(is_labelled, total, 0.0)


@registered
class ProhibitiveSegmentationLoss(keras.losses.Loss):
    """Trains a segmentation on labels that are partly wrong.

    See `prohibitive_segmentation_loss`. It needs two results of the model,
    maps and the classes of the image, so that the output it is compiled on is
    a dict of both, and Keras asks for labels of that structure; those of
    `"classes"` are not read. The branch of the classes is trained by a loss
    of its own:

        outputs = {
            "segmentation": {"masks": maps, "classes": classes},
            "classes": classes,
        }
        model = keras.Model(images, outputs)
        model.compile(
            loss={
                "segmentation": ProhibitiveSegmentationLoss(),
                "classes": "binary_crossentropy",
            }
        )

    Where the classes of the images are known they may be an input of the
    model, in place of a branch.

    Args:
        from_logits: Boolean. Whether the maps are logits. Defaults to
            `False`.
        ignore_class: Integer, the label of pixels that are not known, or
            `None`. Defaults to `255`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        name: String. Defaults to `"prohibitive_segmentation_loss"`.
        reduction: See `keras.losses.Loss`. Defaults to
            `"sum_over_batch_size"`.
        dtype: See `keras.losses.Loss`. Defaults to `None`.

    Raises:
        ValueError: If an option is out of its range.

    Example:

    >>> maps = np.full((2, 4, 4, 2), 0.5)
    >>> y_pred = {"masks": maps, "classes": np.ones((2, 1))}
    >>> labels = {"masks": np.zeros((2, 4, 4)), "classes": np.ones((2, 1))}
    >>> loss = keras_xmap.losses.ProhibitiveSegmentationLoss()
    >>> round(float(loss(labels, y_pred)), 4)  # 2 log 2
    1.3863
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = 255,
        data_format: DataFormat | None = None,
        name: str = "prohibitive_segmentation_loss",
        reduction: str | None = "sum_over_batch_size",
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = check_boolean("from_logits", from_logits)
        self.ignore_class = _class_maps.check_ignore_class(ignore_class)
        self.data_format = check_data_format(data_format)

    def call(self, y_true: Structure, y_pred: Structure) -> Tensor:
        return prohibitive_segmentation_loss(
            y_true,
            y_pred,
            self.from_logits,
            self.ignore_class,
            self.data_format,
        )

    def get_config(self):
        config = {
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}


def _masks_of(y_true):
    if not isinstance(y_true, dict):
        return y_true
    if "masks" not in y_true:
        raise TypeError(
            "`y_true` must be label maps, or a dict with the keys 'masks' and "
            f"'classes'. Received: y_true with the keys {sorted(y_true)}."
        )
    return y_true["masks"]


def _masks_and_classes(y_pred):
    if not isinstance(y_pred, dict) or not {"masks", "classes"} <= set(y_pred):
        keys = sorted(y_pred) if isinstance(y_pred, dict) else type(y_pred)
        raise TypeError(
            "`y_pred` must be a dict with the keys 'masks' and 'classes'. "
            f"Received: {keys}. Let one output of the model be a dict: "
            "keras.Model(images, {'segmentation': {'masks': maps, 'classes': "
            "classes}})."
        )
    return y_pred["masks"], y_pred["classes"]
