"""What numbers a model was trained to see for the pixels of a photo."""

import sys

import keras
import numpy as np

from keras_xmap._description import layers_of

_SCALING = (keras.layers.Normalization, keras.layers.Rescaling)


class Pixels:
    """Makes of pixels what a model takes.

    Args:
        value_range: Pair, the values for black and white, or `None`: 0 and
            255, if there is no `preprocess` either.
        preprocess: Name of a network or a module of `keras.applications`, in
            any spelling, or `None`.

    Raises:
        ValueError: If the range has no extent, no network has that name, or
            both are given.
    """

    def __init__(self, value_range, preprocess):
        self._told = value_range is not None or preprocess is not None
        if value_range is not None and preprocess is not None:
            raise ValueError(
                "`--range` and `--preprocess` must not both say what the model "
                "sees. Received: both."
            )
        self._preprocess = None if preprocess is None else _named(preprocess)
        self._range = _checked(value_range or (0.0, 255.0))

    def of(self, image):
        """Returns what stands for an image `(height, width, channels)`.

        Values are given between 0 and 1, and returned as float32.
        """
        if self._preprocess is None:
            black, white = self._range
            return (black + (white - black) * image).astype("float32")
        if image.shape[-1] != 3:
            raise ValueError(
                "`--preprocess` must be for a model of colours. Received: a "
                "model of grey images."
            )
        pixels = (255 * image).astype("float32")
        return self._preprocess(pixels, data_format="channels_last")

    def hint(self, model):
        """Says what photos are read as where nothing tells."""
        if not self._told and not any(
            isinstance(layer, _SCALING) for layer in layers_of(model)
        ):
            print(
                "keras-xmap: the model holds no Rescaling and no Normalization "
                "layer and sees pixels of 0 to 255. If it was trained on "
                "others, say so, by `--range BLACK WHITE` or by `--preprocess "
                "NAME` of a network in keras.applications.",
                file=sys.stderr,
            )


def _checked(value_range):
    black, white = value_range
    if not np.isfinite([black, white]).all() or black == white:
        raise ValueError(
            "`--range` must be two different numbers. Received: --range "
            f"{black} {white}."
        )
    return black, white


def _named(name):
    """Returns `preprocess_input` of a network or of its module."""
    modules = {
        title: module
        for title, module in vars(keras.applications).items()
        if hasattr(module, "preprocess_input")
    }
    known = {
        _plain(member): module.preprocess_input
        for title, module in modules.items()
        for member in (title, *vars(module))
        if member == title or member[0].isupper()  # a network, no helper
    }
    if _plain(name) not in known:
        raise ValueError(
            "`--preprocess` must name a network of keras.applications, such "
            f"as ResNet50, or one of {', '.join(modules)}. Received: {name}."
        )
    return known[_plain(name)]


def _plain(name):
    return name.lower().replace("_", "").replace("-", "")
