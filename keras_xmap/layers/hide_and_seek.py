from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._axes import check_data_format
from keras_xmap._axes import spatial_shape
from keras_xmap._checks import check_integer
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_seed
from keras_xmap._checks import check_share
from keras_xmap._fillings import as_config
from keras_xmap._fillings import check_filling
from keras_xmap._fillings import check_fits
from keras_xmap._fillings import filling
from keras_xmap._numeric import check_numeric
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Number
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.layers._draws import SavedDraws
from keras_xmap.layers._draws import advance_seed

_LARGEST = 2**31 - 1  # that a shape of a tensor holds


@registered
class HideAndSeek(SavedDraws, keras.layers.Layer):
    """Hides random patches of each image, while training.

    A classifier that may at any step lack the part it likes best has to
    learn the others. A grid of square patches is laid over each image from
    its upper left corner, those at the far borders being cut off, and each
    patch is hidden on its own with probability `rate`, anew at every step.

    `E[w . hidden] = (1 - rate) * w . x + rate * w . fill`

    for any weights `w` on one window: a first layer sees in training, on
    average, what it sees in a whole image exactly if `fill` is the mean of
    the training images, in the unit in which they reach this layer. After
    `x / 255` that is not 0. Outside training images pass untouched; nothing
    is scaled.

    The draw depends on `seed`, on the steps so far and on the images: under
    `tf.distribute` all replicas hold one seed, and only their images tell
    them apart. Replicas that hold equal images from the first step on hide
    equal patches. Where the draws stand is saved with the weights.

    Args:
        patch_sizes: Integer >= 0 or list of them, the sides of patches in
            pixels; each image takes one of them at random. 0 hides nothing.
            Defaults to `(0, 16, 32, 44, 56)`, for images of 224.
        rate: Float from 0 to 1, the share of patches hidden. Defaults to
            `0.5`.
        fill: Number, list of one for each channel, or array of one image:
            the mean of all training images, which
            `datasets.channel_statistics` computes.
        seed: Integer or `None`, makes the draws repeatable. Defaults to
            `None`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, under `"channels_first"` `(batch,
        channels, height, width)`. Height and width may be unknown until the
        call.

    Output shape:
        That of the input.

    Raises:
        ValueError: If an argument is out of range, or if `fill` does not
            have one entry for each channel.

    References:
        - [Singh & Lee, 2017](https://arxiv.org/abs/1704.04232)
        - [Singh et al., 2018](https://arxiv.org/abs/1811.02545)

    Example:

    >>> images = np.ones((1, 4, 4, 1))
    >>> layer = keras_xmap.layers.HideAndSeek(2, rate=1.0, fill=0.25)
    >>> float(keras.ops.mean(layer(images, training=True)))
    0.25
    """

    def __init__(
        self,
        patch_sizes: int | Sequence[int] = (0, 16, 32, 44, 56),
        rate: Number = 0.5,
        *,
        fill: Structure,
        seed: int | None = None,
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.patch_sizes = _check_sizes(patch_sizes)
        self.rate = check_share("rate", rate)
        self.fill = as_config(check_filling("fill", fill, named=()))
        self.data_format = check_data_format(data_format)
        self.seed = check_optional(check_seed, "seed", seed)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        check_fits("fill", self.fill, input_shape, self.data_format)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        images = check_numeric("inputs", inputs)
        images = ops.cast(images, self.compute_dtype)
        if not training:
            return images
        advance_seed(self.seed_generator, images)
        hidden = self._hidden(ops.shape(images))
        hidden = ops.expand_dims(hidden, channel_axis(self.data_format))
        fill = filling(images, self.fill, self.data_format, name="fill")
        return ops.where(hidden, fill, images)

    def _hidden(self, shape):
        """Returns where images are hidden, `(batch, height, width)`."""
        batch, (height, width) = (
            shape[0],
            spatial_shape(shape, self.data_format),
        )
        sizes = self._sizes()
        choice = keras.random.randint(
            (batch, 1, 1), 0, len(sizes), seed=self.seed_generator
        )
        hidden = ops.zeros((batch, height, width), "bool")
        for index, size in enumerate(sizes):
            if size == 0:
                continue
            rows, columns = -(-height // size), -(-width // size)
            patches = keras.random.uniform(
                (batch, rows, columns), seed=self.seed_generator
            )
            patches = ops.take(patches, ops.arange(height) // size, axis=1)
            patches = ops.take(patches, ops.arange(width) // size, axis=2)
            chosen = ops.logical_and(patches < self.rate, choice == index)
            hidden = ops.logical_or(hidden, chosen)
        return hidden

    def _sizes(self):
        if isinstance(self.patch_sizes, int):
            return [self.patch_sizes]
        return self.patch_sizes

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {
            "patch_sizes": as_config(self.patch_sizes),
            "rate": self.rate,
            "fill": as_config(self.fill),
            "seed": self.seed,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}


def _check_sizes(patch_sizes):
    if not isinstance(patch_sizes, (list, tuple)):
        return check_integer("patch_sizes", patch_sizes, 0, _LARGEST)
    if not patch_sizes:
        raise ValueError(
            "`patch_sizes` must be an integer >= 0, or a list of them. "
            f"Received: patch_sizes={patch_sizes!r}."
        )
    return [
        check_integer(
            "patch_sizes", size, 0, _LARGEST, f"It is one of {patch_sizes!r}."
        )
        for size in patch_sizes
    ]
