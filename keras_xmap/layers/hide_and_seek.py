import numbers

import keras
from keras import ops

from keras_xmap._checks import check_one_of
from keras_xmap.layers._draws import SavedDraws
from keras_xmap.layers._draws import advance_seed
from keras_xmap.layers._fill import as_color
from keras_xmap.layers._fill import check_channels
from keras_xmap.layers._fill import check_fill


@keras.saving.register_keras_serializable(package="keras_xmap")
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
        fill: Number, or list of one for each channel: the mean of all
            training images, which `datasets.channel_statistics` computes.
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
        patch_sizes=(0, 16, 32, 44, 56),
        rate=0.5,
        *,
        fill,
        seed=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.patch_sizes = _check_sizes(patch_sizes)
        self.rate = _check_rate(rate)
        self.fill = check_fill("fill", fill)
        self.data_format = check_one_of(
            "data_format",
            data_format or keras.config.image_data_format(),
            ("channels_last", "channels_first"),
        )
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        check_channels("fill", self.fill, input_shape, self.data_format)

    def call(self, inputs, training=False):
        images = ops.cast(inputs, self.compute_dtype)
        if not training:
            return images
        advance_seed(self.seed_generator, images)
        axis = 1 if self.data_format == "channels_first" else -1
        hidden = ops.expand_dims(self._hidden(ops.shape(images)), axis)
        fill = as_color(self.fill, self.compute_dtype, self.data_format)
        return ops.where(hidden, fill, images)

    def _hidden(self, shape):
        """Returns where images are hidden, `(batch, height, width)`."""
        last = self.data_format == "channels_last"
        batch, height, width = shape[:3] if last else (shape[0], *shape[2:])
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
            "patch_sizes": self.patch_sizes,
            "rate": self.rate,
            "fill": self.fill,
            "seed": self.seed,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}


def _check_sizes(patch_sizes):
    single = isinstance(patch_sizes, numbers.Integral)
    sizes = [patch_sizes] if single else list(patch_sizes)
    if not sizes or not all(
        isinstance(size, numbers.Integral)
        and not isinstance(size, bool)
        and size >= 0
        for size in sizes
    ):
        raise ValueError(
            "`patch_sizes` must be an integer >= 0, or a list of them. "
            f"Received: patch_sizes={patch_sizes!r}."
        )
    return int(sizes[0]) if single else [int(size) for size in sizes]


def _check_rate(rate):
    if (
        not isinstance(rate, numbers.Real)
        or isinstance(rate, bool)
        or not 0 <= rate <= 1
    ):
        raise ValueError(
            f"`rate` must be a number from 0 to 1. Received: rate={rate!r}."
        )
    return float(rate)
