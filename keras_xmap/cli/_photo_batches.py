"""Photos, read as they are needed, and brought together to batches."""

import os
import typing

import keras
import numpy as np

from keras_xmap._image_files import read_photo

# What photos of a batch take before they are brought to the model's size.
_MOST_PIXELS = 2**25


class Sample(typing.NamedTuple):
    """A photo, its pixels as RGB uint8, and the inputs made of them."""

    file: typing.Any
    picture: np.ndarray
    data: typing.Any

    @property
    def sizes(self):
        return [x.shape for x in keras.tree.flatten(self.data)]


def batches(files, masks, inputs, batch_size, errors):
    """Yields lists of `Sample`s whose inputs are of the same sizes.

    Args:
        files: List of `PhotoFile`s.
        masks: `Masks`.
        inputs: `ModelInputs`.
        batch_size: Integer: the most photos in one.
        errors: Dictionary that takes the errors of photos that cannot be
            read, by path.
    """
    waiting = []
    for number, file in enumerate(files):
        try:
            picture = read_image(file.path)
            data = inputs.make(picture, masks.of(number))
        except Exception as error:
            errors[file.path] = error
            continue
        sample = Sample(file, picture, data)
        if waiting and (
            len(waiting) == batch_size
            or waiting[0].sizes != sample.sizes
            or sum(x.picture.size // 3 for x in waiting) > _MOST_PIXELS
        ):
            yield waiting
            waiting = []
        waiting.append(sample)
    if waiting:
        yield waiting


def joined(samples):
    """Returns the inputs of several samples as those of one batch."""
    return keras.tree.map_structure(
        lambda *x: np.concatenate(x), *(sample.data for sample in samples)
    )


def read_image(path):
    """Returns an image file as RGB uint8."""
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"An image must be a file. Received: {path}, which is not there."
        )
    return read_photo(path)


class Masks:
    """Which region of each photo a model is asked about.

    Args:
        paths: Files of masks: none, one for all photos, or one for each.
        num_photos: Integer.

    Raises:
        ValueError: If their number is another.
        FileNotFoundError: If one is not there.
    """

    def __init__(self, paths, num_photos):
        if len(paths) not in (0, 1, num_photos):
            raise ValueError(
                "`--mask` must be given once for all images, or once for each "
                f"in their order. Received: {len(paths)} masks for "
                f"{num_photos} images."
            )
        for path in paths:
            check_image_file("--mask", path)
        self._paths = paths
        self._only = read_mask(paths[0]) if len(paths) == 1 else None

    def of(self, number):
        """Returns a boolean mask, or `None`: the whole photo is meant."""
        if len(self._paths) < 2:
            return self._only
        return read_mask(self._paths[number])


def check_image_file(option, path):
    """Raises unless there is a file that an option of the command names."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"`{option}` must be an image file. Received: {option} {path!r}, "
            "which is not there."
        )


def read_mask(path):
    """Returns the mask in an image file, boolean: true where it is white."""
    return read_photo(path).max(axis=-1) > 127
