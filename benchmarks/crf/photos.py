"""Photos that ship with scikit-image, and probabilities of classes."""

import numpy as np
from skimage import data
from skimage.filters import gaussian
from skimage.transform import resize


def photo(name, size):
    image = resize(getattr(data, name)(), size, anti_aliasing=True)
    return np.round(255 * image).astype("uint8")


def probabilities(classes, size, seed=0):
    """Returns blobs `(classes, height, width)`, a tenth of the photo wide."""
    noise = np.random.default_rng(seed).random((*size, classes))
    scores = gaussian(noise, min(size) / 20, channel_axis=-1, mode="reflect")
    scores = (scores - scores.mean()) / scores.std()
    scores = np.exp(8 * np.moveaxis(scores, -1, 0))
    return scores / scores.sum(axis=0)
