"""Noise that takes most of the answers, found on images held out."""

import keras
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap.layers import MaskNoise

# By what share of the variance of the answers noise on all pixels moves them.
# Below 1, which an answer that became constant falls short of nowhere.
_MOVED = 0.75
# It is doubled or halved from 1 on, as often as this at most, and then found
# between two of these strengths by halving what lies between their logarithms.
_MOST_DOUBLINGS = 32
_NUM_HALVINGS = 6


class ChosenNoise(MaskNoise):
    """Normal noise of a strength that is found while training, 0 until then.

    Args:
        data_format: String, of the images.
    """

    def __init__(self, data_format):
        super().__init__(data_format=data_format)
        self.strength = self.add_weight(
            shape=(),
            dtype="float32",
            trainable=False,
            name="strength",
            initializer="zeros",
        )

    @property
    def chosen(self):
        """Float, the strength, or `None`."""
        return float(ops.convert_to_numpy(self.strength)) or None

    def _noise(self, shape):
        drawn = super()._noise(shape)
        return ops.cast(self.strength, drawn.dtype) * drawn

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self.strength.assign(store["0"])


class Moved(keras.Model):
    """By what share of their variance noise on all pixels moves the answers.

    Of each image, `(batch, outputs)`. Clean images are answered each time:
    a data set may hold them in another order when it is read again.

    Args:
        predictor: `keras.Model`.
        noise: `MaskNoise`.
        as_images: Function from what `fit` takes to a tensor of images.
        spreads: List of floats, the standard deviation of each output.
    """

    def __init__(self, predictor, noise, as_images, spreads):
        super().__init__(dtype="float32")
        self.predictor, self.noise = predictor, noise
        self.as_images, self.spreads = as_images, list(spreads)

    def call(self, x):
        images = self.as_images(x)
        clean, noisy = (
            keras.tree.flatten(self.predictor(seen, training=False))
            for seen in (images, self._noisy(images))
        )
        return ops.stack(
            list(map(squared_change, noisy, clean, self.spreads)), axis=1
        )

    def _noisy(self, images):
        shape = list(ops.shape(images))
        del shape[channel_axis(self.noise.data_format)]
        return self.noise([images, ops.ones(shape)], training=True)


def squared_change(one, other, unit=1.0):
    """Returns by how much two answers differ to each image, `(batch,)`."""
    difference = ops.cast(one, "float32") - ops.cast(other, "float32")
    squares = ops.square(difference / unit)
    return ops.mean(ops.reshape(squares, (ops.shape(squares)[0], -1)), axis=1)


def choose_strength(noise, predictor, as_images, held_out):
    """Sets the noise that takes most of the answers, where it lies everywhere.

    It moves them by three quarters of their own variance. Of several outputs,
    the one that is moved most counts.

    Args:
        noise: `ChosenNoise`.
        predictor: `keras.Model`.
        as_images: Function from what `fit` takes to a tensor of images.
        held_out: Dict, arguments of `predict` for images held out.

    Raises:
        ValueError: If the answers are the same for all images, or no noise
            moves them.
    """
    spreads = _spreads_of_answers(predictor, held_out)
    moved = Moved(predictor, noise, as_images, spreads)

    def is_too_weak(exponent):
        noise.strength.assign(2.0**exponent)
        harm = moved.predict(**held_out, verbose=0).mean(axis=0)
        return bool((harm <= _MOVED).all())

    try:
        noise.strength.assign(2.0 ** _largest(is_too_weak))
    except BaseException:
        noise.strength.assign(0.0)
        raise


def _spreads_of_answers(predictor, held_out):
    answers = keras.tree.flatten(predictor.predict(**held_out, verbose=0))
    spreads = [
        float(x.astype("float64").var(axis=0).mean() ** 0.5) for x in answers
    ]
    if not min(spreads) > 0:
        raise ValueError(
            "`noise=None` is chosen by how far noise moves the answers, and "
            "they do not differ between the images held out. Received: "
            f"answers of standard deviation {spreads}, one for each output. "
            "Train the predictor alone for longer (`warm_up`), or pass "
            "`noise`."
        )
    return spreads


def _largest(is_too_weak):
    """Returns the largest exponent of 2 that is too weak, to one per cent."""
    low = 0
    if is_too_weak(0):
        while low < _MOST_DOUBLINGS and is_too_weak(low + 1):
            low += 1
    else:
        while low > -_MOST_DOUBLINGS and not is_too_weak(low):
            low -= 1
    if abs(low) == _MOST_DOUBLINGS:
        raise ValueError(
            "`noise=None` is chosen by how far noise moves the answers. "
            f"Received: a predictor that noise of 2**{low} everywhere moves "
            f"{'hardly' if low > 0 else 'too far'}. Scale the images, or pass "
            "`noise`."
        )
    high = low + 1
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        if is_too_weak(middle):
            low = middle
        else:
            high = middle
    return low
