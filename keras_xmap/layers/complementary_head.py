from typing import Any

import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._numeric import check_numeric
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Number
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.ops import normalize


@registered
class ComplementaryHead(keras.layers.Layer):
    """Two classifiers on one feature map, the second without what the first
    looks at.

    A classifier is content with the most telling part of an object. Here
    head A classifies and its class map says where; features under the map
    are set to zero, and head B must classify by what is left:

    `erased = features * (min_max(map_a[class]) < threshold)`

    Each head is an average pooling of 3 x 3, two convolutions of 3 x 3 with
    ReLU and one of 1 x 1 to the classes, whose output is the class map; its
    mean over positions is the logit, exactly. The fused map is, for each
    class, the larger one of both maps, each from its minimum to its maximum
    brought to 0 to 1; a flat map becomes zeros. No gradient flows through
    what is erased or through the fused map.

    Erasing is a part of the forward pass and happens at inference too. With
    several labels, what is erased is the union over them.

    Args:
        num_classes: Integer >= 1.
        threshold: Float strictly between 0 and 1. Defaults to `0.6`.
        filters: Integer >= 1, of the two inner convolutions. Defaults to
            `1024`.
        seed: Integer or `None`, makes the initial weights repeatable.
            Defaults to `None`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, under `"channels_first"` `(batch,
        channels, height, width)`; or a list `[features, labels]`, labels
        `(batch, num_classes)` of 0 and 1, which say whose maps erase. Where
        an image has no label, or none are given, the top class of head A
        does. Height and width may be unknown until the call.

    Output shape:
        A tuple: logits of head A and of head B, `(batch, num_classes)`, and
        the fused map `(batch, height, width, num_classes)`, under
        `"channels_first"` `(batch, num_classes, height, width)`.

    Raises:
        ValueError: If an argument is out of range, or if an input does not
            have the shape above.

    References:
        - [Zhang et al., 2018](https://arxiv.org/abs/1804.06962)

    Example:

    >>> features = np.random.default_rng(0).uniform(size=(2, 8, 8, 4))
    >>> head = keras_xmap.layers.ComplementaryHead(num_classes=3, filters=8)
    >>> logits_a, logits_b, fused_map = head(features)
    >>> tuple(logits_b.shape), tuple(fused_map.shape)
    ((2, 3), (2, 8, 8, 3))
    """

    def __init__(
        self,
        num_classes: int,
        threshold: Number = 0.6,
        filters: int = 1024,
        seed: int | None = None,
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = check_positive_integer("num_classes", num_classes)
        self.threshold = check_fraction("threshold", threshold)
        self.filters = check_positive_integer("filters", filters)
        self.data_format = check_data_format(data_format)
        self.seed = check_optional(check_seed, "seed", seed)
        self.head_a = self._make_head("head_a", 0)
        self.head_b = self._make_head("head_b", 3)

    def build(self, input_shape):
        shape, _ = self._split(input_shape)
        if self.data_format == "channels_first":
            shape = (shape[0], shape[2], shape[3], shape[1])
        for head in (self.head_a, self.head_b):
            head.build(shape)

    def call(self, inputs: Structure) -> tuple[Tensor, Tensor, Tensor]:
        features, labels = (
            inputs if isinstance(inputs, (list, tuple)) else (inputs, None)
        )
        check_numeric("features", features)
        if labels is not None:
            check_numeric("labels", labels)
        # CPUs convolve with the channels last only.
        if self.data_format == "channels_first":
            features = ops.moveaxis(features, 1, -1)
        map_a = self.head_a(features)
        logits_a = ops.mean(map_a, axis=(1, 2))
        scaled_a = _scaled(map_a)
        kept = self._kept(scaled_a, ops.stop_gradient(logits_a), labels)
        map_b = self.head_b(features * ops.cast(kept, features.dtype))
        fused = ops.maximum(scaled_a, _scaled(map_b))
        fused = ops.cast(fused, self.compute_dtype)
        if self.data_format == "channels_first":
            fused = ops.moveaxis(fused, -1, 1)
        return logits_a, ops.mean(map_b, axis=(1, 2)), fused

    def _kept(self, maps, logits, labels):
        """Returns where features stay, as booleans with one channel."""
        classes = ops.one_hot(ops.argmax(logits, axis=-1), self.num_classes)
        classes = ops.cast(classes, "bool")
        if labels is not None:
            labels = ops.cast(labels, "bool")
            given = ops.any(labels, axis=-1, keepdims=True)
            classes = ops.where(given, labels, classes)
        erased = maps >= self.threshold
        erased = ops.logical_and(erased, classes[:, None, None, :])
        return ops.logical_not(ops.any(erased, axis=-1, keepdims=True))

    def _make_head(self, name, first):
        def convolution(index, filters, kernel_size, activation):
            seed = None if self.seed is None else self.seed + first + index
            return keras.layers.Conv2D(
                filters,
                kernel_size,
                padding="same",
                activation=activation,
                kernel_initializer=keras.initializers.GlorotUniform(seed),
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=f"convolution_{index}",
            )

        pooling = keras.layers.AveragePooling2D(
            3,
            strides=1,
            padding="same",
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="pooling",
        )
        return keras.Sequential(
            [
                pooling,
                convolution(0, self.filters, 3, "relu"),
                convolution(1, self.filters, 3, "relu"),
                convolution(2, self.num_classes, 1, None),
            ],
            name=name,
        )

    def _split(self, input_shape):
        """Returns the shapes of features and labels, or `None`, checked."""
        pair = [input_shape, None]
        if input_shape and isinstance(input_shape[0], (list, tuple)):
            pair = list(input_shape)
        if len(pair) != 2 or len(pair[0] or ()) != 4:
            raise ValueError(
                "The layer must be called on features with a batch, two "
                "spatial and a channel axis, or on a list `[features, "
                f"labels]`. Received: input_shape={input_shape}."
            )
        features, labels = pair
        if labels is not None and tuple(labels[1:]) != (self.num_classes,):
            raise ValueError(
                "`labels` must be (batch, num_classes) of 0 and 1. Received: "
                f"labels.shape={tuple(labels)} for num_classes="
                f"{self.num_classes}. Use `keras.ops.one_hot`."
            )
        return tuple(features), labels

    def compute_output_shape(self, input_shape):
        shape, _ = self._split(input_shape)
        logits = (shape[0], self.num_classes)
        if self.data_format == "channels_last":
            return logits, logits, (*shape[:3], self.num_classes)
        return logits, logits, (shape[0], self.num_classes, *shape[2:])

    def get_config(self):
        config = {
            "num_classes": self.num_classes,
            "threshold": self.threshold,
            "filters": self.filters,
            "seed": self.seed,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}


def _scaled(maps):
    maps = ops.cast(ops.stop_gradient(maps), "float32")
    return normalize(maps, axis=(1, 2))
