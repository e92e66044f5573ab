from typing import Any
from typing import Literal

import keras
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._axes import check_data_format
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive
from keras_xmap._checks import check_positive_integer
from keras_xmap._numeric import as_tensor
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.layers._mask import check_mask_pair
from keras_xmap.layers._mask import shapes_of
from keras_xmap.layers._mask import sizes_of
from keras_xmap.layers._mask import with_channel
from keras_xmap.ops import resize


@registered
class ROIAttention(keras.layers.Layer):
    """Points a feature map at a region, and learns what that means.

    The mask of a region is resized to the features, convolved to as many
    channels as they have, and merged with them element by element:

    `y = features * (1 + gain * (conv(mask) + bias))` or
    `y = features + gain * (conv(mask) + bias)`

    (`"hard"`, the baseline that learns nothing, is `y = features * mask`.)
    Kernel and bias start at zero: at first `y` equals the features exactly,
    so that the layer can be put into a trained network, best after its first
    convolution, and the network starts where it was. Give the mask as 0 and
    1, not normalised as the image is: values are clipped to that range, so
    that 255 means 1. An empty mask is no error, it points nowhere.

    From zero to where it matters, about 1, is a long way for a weight.
    Adam and its kin move each weight by about the learning rate a step,
    whatever its gradient is: at 1e-4, thousands of steps. The weights of a
    trained network have gone theirs. `gain` shortens the way, so that one
    optimizer of one learning rate trains both. `SGD`, whose steps are as long
    as gradients are, moves the attention as if there were no gain.

    Args:
        merge: `"multiply"`, `"add"`, or `"hard"` for the mask itself without
            weights. Defaults to `"multiply"`.
        kernel_size: Integer >= 1, side of the square kernel, of which
            `"hard"` has none. Defaults to `3`.
        gain: Float > 0: of how many times the learning rate the attention
            learns, by optimizers that divide by the size of gradients; of
            one like any other weight. For networks that start from nothing,
            at rates near 1e-2, `"add"` wants 1. Defaults to `100.0`.
        interpolation: `"bilinear"` or `"nearest"`, how the mask is resized;
            see `ops.resize`. Defaults to `"bilinear"`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        A list `[features, mask]`: features `(batch, height, width,
        channels)`, mask `(batch, rows, columns)` or `(batch, rows, columns,
        1)` of its own size; under `"channels_first"` `(batch, channels,
        height, width)`, and the mask `(batch, rows, columns)` or `(batch, 1,
        rows, columns)`. The mask may be boolean, integer or float. Sizes may
        be unknown until the call, the number of channels may not.

    Output shape:
        That of the features.

    Raises:
        ValueError: If an argument is unknown, or if features and mask do not
            fit together.
        TypeError: If the mask is complex or not of numbers.

    References:
        - [Eppel, 2018](https://arxiv.org/abs/1812.00291)

    Example:

    >>> features = np.arange(32.0).reshape((1, 4, 4, 2))
    >>> mask = np.zeros((1, 8, 8), "bool")
    >>> y = keras_xmap.layers.ROIAttention()([features, mask])
    >>> bool(np.all(np.asarray(y) == features))
    True
    """

    def __init__(
        self,
        merge: Literal["multiply", "add", "hard"] = "multiply",
        kernel_size: int = 3,
        gain: float = 100.0,
        interpolation: Literal["bilinear", "nearest"] = "bilinear",
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.merge = check_one_of("merge", merge, ("multiply", "add", "hard"))
        self.kernel_size = check_positive_integer("kernel_size", kernel_size)
        self.gain = check_positive("gain", gain)
        self.interpolation = check_one_of(
            "interpolation", interpolation, ("bilinear", "nearest")
        )
        self.data_format = check_data_format(data_format)

    def build(self, input_shape):
        shape = self.compute_output_shape(input_shape)
        channels = shape[channel_axis(self.data_format)]
        if channels is None:
            raise ValueError(
                "The number of channels of `features` must be known. "
                f"Received: features.shape={shape}."
            )
        if self.merge == "hard":
            return
        # The names are what an optimizer's `var_names` are matched with.
        self.kernel = self.add_weight(
            name="roi_attention_kernel",
            shape=(self.kernel_size, self.kernel_size, 1, channels),
            initializer="zeros",
            autocast=False,  # half precision may not hold the gain
        )
        self.bias = self.add_weight(
            name="roi_attention_bias",
            shape=(channels,),
            initializer="zeros",
            autocast=False,
        )

    def call(self, inputs: Structure) -> Tensor:
        self.compute_output_shape(shapes_of(inputs, "features"))
        features, mask = inputs
        features = ops.cast(features, self.compute_dtype)
        size = sizes_of(ops.shape(features), self.data_format)
        attention = self._attention(mask, size)
        if self.merge == "add":
            return features + attention
        return features * attention

    def attention(
        self, mask: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        """Returns what a mask has become, to look at what was learned.

        Its mean over the channels is a map that
        `keras_xmap.visualization.overlay` draws. At the start it is 1 to
        multiply and 0 to add, whatever the mask.

        Args:
            mask: Array as the layer takes it.
            size: `(height, width)` to resize the mask to, such as that of
                the features, or `None` for its own. Defaults to `None`.

        Returns:
            Tensor `(batch, height, width, channels)`, or with the channels
            first, to multiply the features by or to add to them; `"hard"`
            has one channel.

        Raises:
            ValueError: If the layer has no weights yet, or if `mask` has
                another rank.
        """
        if not self.built:
            raise ValueError(
                "The layer has no weights yet. Received: built=False. Call "
                "the layer, or load the model, before `attention`."
            )
        mask = as_tensor("mask", mask)
        features = (None,) * 4
        self.compute_output_shape([features, tuple(mask.shape)])
        if size is None:
            size = sizes_of(ops.shape(mask), self.data_format)
        return self._attention(mask, size)

    def _attention(self, mask, size):
        mask = with_channel(mask, self.data_format, self.compute_dtype)
        mask = ops.clip(mask, 0, 1)
        mask = resize(mask, size, self.interpolation, self.data_format)
        if self.merge == "hard":
            return mask
        # CPUs convolve with the channels last only.
        if self.data_format == "channels_first":
            mask = ops.moveaxis(mask, 1, -1)
        attention = ops.conv(
            mask,
            self._with_gain(self.kernel),
            padding="same",
            data_format="channels_last",
        )
        attention = attention + self._with_gain(self.bias)
        if self.merge == "multiply":
            attention = 1 + attention
        if self.data_format == "channels_first":
            attention = ops.moveaxis(attention, -1, 1)
        return attention

    def _with_gain(self, weight):
        # The gradient has the inverse of the gain: what goes by its size moves
        # `gain * weight` as if there were none, what divides by it `gain` times
        # as far.
        weight = ops.convert_to_tensor(weight)
        moved = weight / self.gain
        amplified = moved + ops.stop_gradient(self.gain * weight - moved)
        return ops.cast(amplified, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return check_mask_pair(input_shape, "features", self.data_format)

    def get_config(self):
        config = {
            "merge": self.merge,
            "kernel_size": self.kernel_size,
            "gain": self.gain,
            "interpolation": self.interpolation,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}
