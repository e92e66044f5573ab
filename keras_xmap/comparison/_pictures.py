"""Images and maps over them, as pictures that a page can hold."""

import base64

import numpy as np

from keras_xmap import engine
from keras_xmap import visualization
from keras_xmap._image_files import as_png

WIDEST = 256  # pixels


class Pictures:
    """Makes pictures of some of the images.

    Args:
        images: `Images`.
        input_name: Name or number of the input that is shown.
    """

    def __init__(self, images, input_name):
        self._images, self._input_name = images, input_name

    def of(self, numbers, maps_of):
        """Returns a dictionary of pairs of PNG files in base64.

        Args:
            numbers: Set of the numbers of images.
            maps_of: Function of inputs, target and number of images that
                returns their maps.

        Returns:
            By the number of the image the image and the map over it; nothing
            for what is no picture.
        """
        found, left = {}, set(numbers)
        for rows, inputs, _ in self._images.batches():
            for place, row in enumerate(rows.tolist()):
                if row in left:
                    left.discard(row)
                    found |= self._of_one(row, place, inputs, maps_of)
            if not left:
                break
        return found

    def _of_one(self, row, place, inputs, maps_of):
        one = engine.map_given(lambda x: x[place : place + 1], inputs)
        photo = self.photo(row, one)
        if photo is None:
            return {}
        over = laid_over(photo, maps_of(one, self._images.target_of([row]), 1))
        return {} if over is None else {row: (encoded(photo), over)}

    def photo(self, row, inputs):
        """Returns an image as people see it, or `None` if it is no picture.

        Args:
            row: Integer, its number.
            inputs: Its inputs, a batch of one.
        """
        if self._images.photo_of is not None:
            return self._images.photo_of(row)
        return self._input_as_photo(inputs)

    def _input_as_photo(self, inputs):
        x, axis = self._images.image_in(inputs, self._input_name)
        if x is None or x.ndim != 4 or axis is None:
            return None
        x = np.moveaxis(np.asarray(x)[0], axis - 1, -1).astype("float64")
        if x.shape[-1] not in (1, 3):
            return None
        low, high = float(x.min()), float(x.max())
        return visualization.to_uint8(x, (low, high if high > low else low + 1))


def laid_over(photo, maps):
    """Returns the map of one image over it, as `encoded`; `None` of no map."""
    if maps.ndim != 3:
        return None
    return encoded(visualization.overlay(photo, np.maximum(maps[0], 0)))


def encoded(picture):
    """Returns a picture, made smaller where it is large, as PNG in base64."""
    step = max(1, -(-max(picture.shape[:2]) // WIDEST))
    content = as_png(picture[::step, ::step].copy())
    return base64.b64encode(content).decode("ascii")
