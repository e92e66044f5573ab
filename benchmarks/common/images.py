"""Reading photos and masks."""

import io
import os

import numpy as np
from PIL import Image


def read(path):
    """Returns the values of a file as they stand there."""
    return np.array(Image.open(path))


def read_photo(path, size=None):
    """Returns `(height, width, 3)`, uint8, of `size`, width by height."""
    return _photo(Image.open(path), size)


def decode_photo(content):
    """Returns the same of the bytes of a file."""
    return _photo(Image.open(io.BytesIO(content)), None)


def resized(photo, size):
    return np.array(Image.fromarray(photo).resize(size, Image.BILINEAR))


def resized_labels(labels, size):
    return np.array(Image.fromarray(labels).resize(size, Image.NEAREST))


def names_in(*path):
    """Returns the names of the files of a folder, without their endings."""
    names = os.listdir(os.path.join(*path))
    return sorted(os.path.splitext(name)[0] for name in names)


def _photo(image, size):
    image = image.convert("RGB")
    return np.array(image.resize(size, Image.BILINEAR) if size else image)
