import math

import keras
from keras import layers

from keras_xmap._axes import channel_axis
from keras_xmap._axes import check_data_format
from keras_xmap._axes import spatial_shape
from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_non_negative_integer
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_string
from keras_xmap._checks import is_integer
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Number


def attention_network(
    input_shape: tuple[int, int, int],
    area_ratio: Number = 0.95,
    filters: int = 16,
    depth: int | None = None,
    data_format: DataFormat | None = None,
    name: str = "attention",
) -> keras.Model:
    """Builds a small encoder-decoder from an image to a map of the same size.

    The default of `pixel_attention`. Features of every resolution are added
    to the decoder, so that the map has edges as sharp as the image's; group
    normalization treats each image by itself, in training as afterwards. The
    map starts as the constant `area_ratio`, so that training decides from
    the first step on which pixels rise and which fall.

    Args:
        input_shape: Tuple of integers, an image without batch:
            `(height, width, channels)`, or `(channels, height, width)` under
            `"channels_first"`. Sizes must be known.
        area_ratio: Float strictly between 0 and 1, the map's value before
            training. Defaults to `0.95`.
        filters: Integer >= 1, the filters at full resolution; they double at
            every halving, up to 8 times as many. Defaults to `16`.
        depth: Integer >= 0, how often the resolution is halved, or `None`
            for as long as the shorter side stays 8 or more. Defaults to
            `None`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        name: String, the model's name. Defaults to `"attention"`.

    Returns:
        A `keras.Model` from images to maps in (0, 1) with one channel,
        `(batch, height, width, 1)` or `(batch, 1, height, width)`, float32
        also under a mixed precision policy.

    Raises:
        ValueError: If an argument is out of range or a size is not known.

    Example:

    >>> attention = keras_xmap.models.attention_network((20, 30, 3))
    >>> maps = attention(np.ones((2, 20, 30, 3)))
    >>> tuple(maps.shape), round(float(maps[0, 0, 0, 0]), 3)
    ((2, 20, 30, 1), 0.95)
    """
    area_ratio = check_fraction("area_ratio", area_ratio)
    filters = check_positive_integer("filters", filters)
    data_format = check_data_format(data_format)
    check_string("name", name)
    height, width = _known_sizes(input_shape, data_format)
    if depth is None:
        depth = max(0, int(math.log2(min(height, width) / 8)))
    else:
        depth = check_non_negative_integer("depth", depth)
    blocks = _Blocks(data_format)
    inputs = keras.Input(input_shape)
    x, skips = inputs, []
    for level in range(depth):
        x = blocks.convolve(x, filters * min(2**level, 8))
        skips.append(x)
        x = layers.MaxPooling2D(padding="same", data_format=data_format)(x)
    widest = filters * min(2**depth, 8)
    x = blocks.convolve(blocks.convolve(x, widest), widest)
    for level in reversed(range(depth)):
        x = blocks.merge(x, skips[level], filters * min(2**level, 8))
    x = layers.Conv2D(
        1,
        1,
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(
            math.log(area_ratio / (1 - area_ratio))
        ),
        data_format=data_format,
        name="logits",
    )(x)
    # Half precision has too few numbers near 1 to tell an area.
    maps = layers.Activation("sigmoid", dtype="float32", name="map")(x)
    return keras.Model(inputs, maps, name=name)


class _Blocks:
    """The two blocks of layers the network consists of."""

    def __init__(self, data_format):
        self.data_format = data_format

    def convolve(self, x, filters):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            data_format=self.data_format,
        )(x)
        x = layers.GroupNormalization(
            math.gcd(8, filters), axis=channel_axis(self.data_format)
        )(x)
        return layers.ReLU()(x)

    def merge(self, x, skip, filters):
        x = layers.Conv2D(filters, 1, data_format=self.data_format)(x)
        x = layers.UpSampling2D(data_format=self.data_format)(x)
        # Of an odd side, half a pixel too many was pooled.
        extra = [
            (0, up - wanted)
            for up, wanted in zip(
                spatial_shape(x.shape, self.data_format),
                spatial_shape(skip.shape, self.data_format),
                strict=True,
            )
        ]
        if extra != [(0, 0), (0, 0)]:
            x = layers.Cropping2D(extra, data_format=self.data_format)(x)
        return self.convolve(layers.Add()([x, skip]), filters)


def _known_sizes(shape, data_format):
    known = isinstance(shape, (list, tuple)) and len(shape) == 3
    if not known or not all(is_integer(side) and side > 0 for side in shape):
        raise ValueError(
            "`input_shape` must be an image of known height, width and "
            f"channels. Received: input_shape={shape}. For images of any "
            "size, pass an attention model of your own."
        )
    return spatial_shape((None, *shape), data_format)
