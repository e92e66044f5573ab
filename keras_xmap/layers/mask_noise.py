import math
from typing import Any
from typing import Literal

import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_seed
from keras_xmap._saving import registered
from keras_xmap._typing import DataFormat
from keras_xmap._typing import Number
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.layers._draws import SavedDraws
from keras_xmap.layers._draws import advance_seed
from keras_xmap.layers._mask import check_mask_pair
from keras_xmap.layers._mask import shapes_of
from keras_xmap.layers._mask import with_channel


@registered
class MaskNoise(SavedDraws, keras.layers.Layer):
    """Adds fresh noise to images where a mask allows it, while training.

    `noisy = images + mask * noise`

    A model that must answer from the noisy image tells, through the mask
    that a second model learns, which pixels it can do without. Every pixel
    and channel draws its own noise at every step, of mean zero; nothing is
    clipped. Outside training the images pass untouched.

    The draw depends on `seed`, on the steps so far and on the images: under
    `tf.distribute` all replicas hold one seed, and only their images tell
    them apart. Replicas that hold equal images from the first step on draw
    equal noise. Where the draws stand is saved with the weights.

    Args:
        stddev: Float >= 0, the standard deviation of the noise, in the unit
            of the images. Defaults to `1.0`.
        distribution: `"normal"` or `"uniform"`; the uniform one reaches from
            `-sqrt(3) * stddev` to `sqrt(3) * stddev`. Defaults to `"normal"`.
        seed: Integer or `None`, makes the draws repeatable. Defaults to
            `None`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        A list `[images, mask]`: images `(batch, height, width, channels)`,
        mask `(batch, height, width)` or `(batch, height, width, 1)`; under
        `"channels_first"` `(batch, channels, height, width)`, and the mask
        `(batch, height, width)` or `(batch, 1, height, width)`. The mask may
        be boolean, integer or float.

    Output shape:
        That of the images.

    Raises:
        ValueError: If an argument is out of range, or if images and mask do
            not fit together.

    References:
        - Li & Shimada, "Discovery of Image Pixels highly Contributing to
          CNN regression".

    Example:

    >>> images = np.zeros((1, 1, 2, 1))
    >>> mask = np.array([[[True, False]]])
    >>> layer = keras_xmap.layers.MaskNoise(seed=0, dtype="float32")
    >>> noisy = layer([images, mask], training=True)
    >>> [bool(pixel != 0) for pixel in keras.ops.reshape(noisy, (-1,))]
    [True, False]
    """

    def __init__(
        self,
        stddev: Number = 1.0,
        distribution: Literal["normal", "uniform"] = "normal",
        seed: int | None = None,
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stddev = check_non_negative("stddev", stddev)
        self.distribution = check_one_of(
            "distribution", distribution, ("normal", "uniform")
        )
        self.data_format = check_data_format(data_format)
        self.seed = check_optional(check_seed, "seed", seed)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Structure, training: bool = False) -> Tensor:
        self.compute_output_shape(shapes_of(inputs, "images"))
        images, mask = inputs
        images = ops.cast(images, self.compute_dtype)
        if not training:
            return images
        mask = with_channel(mask, self.data_format, self.compute_dtype)
        advance_seed(self.seed_generator, images)
        return images + mask * self._noise(ops.shape(images))

    def _noise(self, shape):
        options = {"dtype": self.compute_dtype, "seed": self.seed_generator}
        if self.distribution == "normal":
            return keras.random.normal(shape, stddev=self.stddev, **options)
        reach = self.stddev * math.sqrt(3.0)
        return keras.random.uniform(shape, -reach, reach, **options)

    def compute_output_shape(self, input_shape):
        return check_mask_pair(
            input_shape, "images", self.data_format, same_size=True
        )

    def get_config(self):
        config = {
            "stddev": self.stddev,
            "distribution": self.distribution,
            "seed": self.seed,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}
