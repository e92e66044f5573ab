from typing import Any

import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive
from keras_xmap._checks import check_seed
from keras_xmap._fillings import as_config
from keras_xmap._fillings import check_filling
from keras_xmap._fillings import check_fits
from keras_xmap._fillings import filling
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

_FILLS = ("mean", "zero", "noise", "blur")


@registered
class EraseRegions(SavedDraws, keras.layers.Layer):
    """Erases the regions of a mask from images.

    `erased = where(mask, filling, images)`

    What is erased is the filling exactly, what is not is the image exactly.
    Adversarial erasing takes the mean colour of all training images: under
    the weights of a first layer the hidden window then gives what a window
    gives on average, and neither draws nor repels attention. Zero is that
    mean only where images are centred.

    Unlike the layers that draw noise, this one erases whether `training` is
    true or not: the mask says what is erased, and a map of an erased image
    is made at inference. `"blur"` lets the coarse colours of what it covers
    through; a number, `"mean"` and `"zero"` erase the same twice as once.
    With `dtype="float32"` the layer can stand in a pipeline of `tf.data`,
    see `erasing.erased`.

    Args:
        fill: What is put in place: `"mean"`, the colour `mean`; `"zero"`;
            `"noise"`, at every pixel a fresh draw from the normal
            distribution of `mean` and `stddev`; `"blur"`, the image itself,
            blurred; a number, a list of one for each channel, or an array
            of one image. Defaults to `"mean"`.
        mean: Number, or list of one for each channel, in the unit of the
            images, over the whole training set; `datasets.channel_statistics`
            computes it. For `"mean"` and `"noise"`. Defaults to `None`.
        stddev: The same for the standard deviation, for `"noise"`. Defaults
            to `None`.
        blur_radius: Float > 0, the standard deviation in pixels of the
            Gaussian of `"blur"`, see `ops.gaussian_blur`. Defaults to
            `10.0`.
        seed: Integer or `None`, makes `"noise"` repeatable. Replicas draw
            apart, and the draws are saved, as `MaskNoise` has it. Defaults
            to `None`.
        data_format: `"channels_last"`, `"channels_first"` or `None` for
            `keras.config.image_data_format()`. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        A list `[images, mask]`: images `(batch, height, width, channels)`,
        mask `(batch, height, width)` or `(batch, height, width, 1)`; under
        `"channels_first"` `(batch, channels, height, width)`, and the mask
        `(batch, height, width)` or `(batch, 1, height, width)`. The mask may
        be boolean, integer or float; all but 0 is erased.

    Output shape:
        That of the images, in the layer's float dtype.

    Raises:
        ValueError: If an argument is unknown or missing, or if images, mask
            and colours do not fit together.

    References:
        - [Wei et al., 2017](https://arxiv.org/abs/1703.08448)

    Example:

    >>> images = np.array([[[[0.1], [0.2], [0.3]]]])
    >>> mask = np.array([[[False, True, False]]])
    >>> layer = keras_xmap.layers.EraseRegions("mean", mean=0.5)
    >>> np.asarray(layer([images, mask])).ravel().round(1).tolist()
    [0.1..., 0.5, 0.3...]
    """

    def __init__(
        self,
        fill: Structure = "mean",
        mean: Structure = None,
        stddev: Structure = None,
        blur_radius: Number = 10.0,
        seed: int | None = None,
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fill = as_config(check_filling("fill", fill, _FILLS))
        self.mean = self._needed_for("mean", mean, ("mean", "noise"))
        self.stddev = self._needed_for("stddev", stddev, ("noise",))
        self.blur_radius = check_positive("blur_radius", blur_radius)
        self.data_format = check_data_format(data_format)
        self.seed = check_optional(check_seed, "seed", seed)
        if self.fill == "noise":
            self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Structure) -> Tensor:
        self.compute_output_shape(shapes_of(inputs, "images"))
        images, mask = inputs
        images = ops.cast(images, self.compute_dtype)
        mask = with_channel(mask, self.data_format, "bool")
        return ops.where(mask, self._filling(images), images)

    def _filling(self, images):
        if self.fill == "noise":
            advance_seed(self.seed_generator, images)
            noise = keras.random.normal(
                ops.shape(images),
                dtype=self.compute_dtype,
                seed=self.seed_generator,
            )
            mean = self._made("mean", images)
            return mean + self._made("stddev", images) * noise
        return self._made("mean" if self.fill == "mean" else "fill", images)

    def _made(self, name, images):
        return filling(
            images,
            getattr(self, name),
            self.data_format,
            self.blur_radius,
            name,
        )

    def _needed_for(self, name, value, fills):
        if value is not None:
            return as_config(check_filling(name, value, named=()))
        if self.fill in fills:
            raise ValueError(
                f"`{name}` must be given for fill={self.fill!r}. Received: "
                f"{name}=None. `datasets.channel_statistics` computes it."
            )
        return None

    def compute_output_shape(self, input_shape):
        shape = check_mask_pair(
            input_shape, "images", self.data_format, same_size=True
        )
        for name in ("fill", "mean", "stddev"):
            check_fits(name, getattr(self, name), shape, self.data_format)
        return shape

    def get_config(self):
        config = {
            "fill": as_config(self.fill),
            "mean": as_config(self.mean),
            "stddev": as_config(self.stddev),
            "blur_radius": self.blur_radius,
            "seed": self.seed,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}
