import math

import keras
from keras import ops

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive
from keras_xmap.layers._draws import SavedDraws
from keras_xmap.layers._draws import advance_seed
from keras_xmap.layers._fill import as_color
from keras_xmap.layers._fill import check_channels
from keras_xmap.layers._fill import check_fill
from keras_xmap.layers._mask import check_pair
from keras_xmap.layers._mask import with_channel


@keras.saving.register_keras_serializable(package="keras_xmap")
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
            blurred; a number, or a list of one for each channel. Defaults
            to `"mean"`.
        mean: Number, or list of one for each channel, in the unit of the
            images, over the whole training set; `datasets.channel_statistics`
            computes it. For `"mean"` and `"noise"`. Defaults to `None`.
        stddev: The same for the standard deviation, for `"noise"`. Defaults
            to `None`.
        blur_radius: Float > 0, the standard deviation in pixels of the
            Gaussian of `"blur"`. At the border of the image its weights are
            normalised again. Defaults to `10.0`.
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
        fill="mean",
        mean=None,
        stddev=None,
        blur_radius=10.0,
        seed=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(fill, str):
            self.fill = check_one_of(
                "fill",
                fill,
                ("mean", "zero", "noise", "blur"),
                "Or give a number, or a list of one for each channel.",
            )
        else:
            self.fill = check_fill("fill", fill)
        self.mean = self._needed_for("mean", mean, ("mean", "noise"))
        self.stddev = self._needed_for("stddev", stddev, ("noise",))
        self.blur_radius = check_positive("blur_radius", blur_radius)
        self.data_format = check_one_of(
            "data_format",
            data_format or keras.config.image_data_format(),
            ("channels_last", "channels_first"),
        )
        self.seed = seed
        if self.fill == "noise":
            self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        self.compute_output_shape([tuple(x.shape) for x in inputs])
        images, mask = inputs
        images = ops.cast(images, self.compute_dtype)
        mask = with_channel(mask, self.data_format, "bool")
        return ops.where(mask, self._filling(images), images)

    def _filling(self, images):
        if self.fill == "blur":
            return self._blurred(images)
        if self.fill == "noise":
            advance_seed(self.seed_generator, images)
            noise = keras.random.normal(
                ops.shape(images),
                dtype=self.compute_dtype,
                seed=self.seed_generator,
            )
            return self._color(self.mean) + self._color(self.stddev) * noise
        if self.fill == "mean":
            return self._color(self.mean)
        return self._color(0.0 if self.fill == "zero" else self.fill)

    def _color(self, color):
        return as_color(color, self.compute_dtype, self.data_format)

    def _blurred(self, images):
        # In float32: the tails of the Gaussian are nothing in half precision.
        blurred = ops.cast(images, "float32")
        first = 1 if self.data_format == "channels_last" else 2
        for axis in (first, first + 1):
            blurred = _blur_along(blurred, axis, self.blur_radius)
        return ops.cast(blurred, self.compute_dtype)

    def _needed_for(self, name, value, fills):
        if value is not None:
            return check_fill(name, value)
        if self.fill in fills:
            raise ValueError(
                f"`{name}` must be given for fill={self.fill!r}. Received: "
                f"{name}=None. `datasets.channel_statistics` computes it."
            )
        return None

    def compute_output_shape(self, input_shape):
        shape = check_pair(
            input_shape, "images", self.data_format, same_size=True
        )
        for name in ("fill", "mean", "stddev"):
            check_channels(name, getattr(self, name), shape, self.data_format)
        return shape

    def get_config(self):
        config = {
            "fill": self.fill,
            "mean": self.mean,
            "stddev": self.stddev,
            "blur_radius": self.blur_radius,
            "seed": self.seed,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}


def _blur_along(x, axis, radius):
    """Returns `x` under a Gaussian along one axis, its weights summing to 1."""
    reach = math.ceil(3 * radius)
    weights = [
        math.exp(-0.5 * (step / radius) ** 2)
        for step in range(-reach, reach + 1)
    ]
    kernel = ops.reshape(ops.convert_to_tensor(weights, "float32"), (-1, 1, 1))
    x = ops.moveaxis(x, axis, -1)
    shape = ops.shape(x)
    rows = ops.reshape(x, (-1, shape[-1], 1))
    options = {"padding": "same", "data_format": "channels_last"}
    total = ops.conv(ops.ones_like(rows[:1]), kernel, **options)
    rows = ops.conv(rows, kernel, **options) / total
    return ops.moveaxis(ops.reshape(rows, shape), -1, axis)
