"""From the mask of an attention model to the maps a user reads."""

import itertools

import keras
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._axes import spatial_axes
from keras_xmap.ops import calibrated
from keras_xmap.ops import relevance

MIRRORS = ("left_right", "up_down", "transpose")


def check_mirrors(mirrors):
    """Returns mirrors as a tuple, in the order of `MIRRORS`."""
    is_list = isinstance(mirrors, (list, tuple))
    if (
        not is_list
        or len(set(mirrors)) < len(mirrors)
        or not set(mirrors) <= set(MIRRORS)
    ):
        raise ValueError(
            f"`mirrors` must be a list of different ones of {MIRRORS}, those "
            "that make images of the same kind. Received: "
            f"mirrors={mirrors!r}."
        )
    return tuple(name for name in MIRRORS if name in mirrors)


class AttentionMaps(keras.Model):
    """Maps of an attention model, the mean of all mirror images.

    Args:
        attention: `keras.Model` from images to masks of where noise may go.
        ratio: Variable, the share of an image that takes noise.
        data_format: String, of the images.
        mirrors: Tuple of names out of `MIRRORS`, all sets of which are used.
        calibrate: Boolean, whether 0.5 is to cut out `1 - ratio`.
    """

    def __init__(self, attention, ratio, data_format, mirrors, calibrate):
        super().__init__(dtype="float32")
        self.attention, self.ratio = attention, ratio
        self.mirrors, self.calibrate = mirrors, calibrate
        self.data_format = data_format

    def call(self, images):
        if len(images.shape) == 3:
            images = ops.expand_dims(images, channel_axis(self.data_format))
        total, count = 0.0, 0
        for size in range(len(self.mirrors) + 1):
            for mirrors in itertools.combinations(self.mirrors, size):
                total, count = total + self._maps(images, mirrors), count + 1
        maps = total / count
        return calibrated(maps, 1 - self.ratio) if self.calibrate else maps

    def _maps(self, images, mirrors):
        axes = spatial_axes(4, self.data_format)
        mask = self.attention(_mirrored(images, axes, mirrors))
        maps = ops.cast(relevance(mask), "float32")
        # The way back goes in the opposite order.
        return _mirrored(maps, (1, 2), mirrors[::-1])


def _mirrored(x, axes, mirrors):
    down, across = axes
    for mirror in mirrors:
        if mirror == "transpose":
            x = _transposed(x, down, across)
        else:
            x = ops.flip(x, across if mirror == "left_right" else down)
    return x


def _transposed(x, down, across):
    height, width = x.shape[down], x.shape[across]
    if height != width:
        raise ValueError(
            "`mirrors` holds 'transpose', which images as high as wide have. "
            f"Received: images of height={height} and width={width}. Leave "
            "'transpose' out."
        )
    order = list(range(len(x.shape)))
    order[down], order[across] = across, down
    return ops.transpose(x, order)
