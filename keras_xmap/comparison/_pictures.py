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

    def of(self, numbers, maps_of, photo_of=None):
        """Returns a dictionary of pairs of PNG files in base64.

        Args:
            numbers: Sorted list of the numbers of images.
            maps_of: Function of inputs, target and number of images that
                returns their maps.
            photo_of: Function of the number of an image that returns it as
                people see it, uint8. Defaults to `None`: the input itself,
                where it is a picture.

        Returns:
            By the number of the image the image and the map over it; nothing
            for what is no picture.
        """
        found, left = {}, set(numbers)
        for rows, inputs, _ in self._images.batches():
            for place, row in enumerate(rows.tolist()):
                if row in left:
                    one = engine.map_given(
                        lambda x, i=place: x[i : i + 1], inputs
                    )
                    found |= self._of_one(row, one, maps_of, photo_of)
                    left.discard(row)
            if not left:
                break
        return found

    def _of_one(self, row, inputs, maps_of, photo_of):
        photo = self.input_as_photo(inputs)
        if photo_of is not None:
            photo = photo_of(row)
        if photo is None:
            return {}
        heatmap = maps_of(inputs, self._images.target_of([row]), 1)[0]
        if heatmap.ndim != 2:
            return {}
        over = visualization.overlay(photo, np.maximum(heatmap, 0))
        return {row: (encoded(photo), encoded(over))}

    def input_as_photo(self, inputs):
        """Returns an input as a picture, or `None` if it is none."""
        x, axis = self._images.image_in(inputs, self._input_name)
        if x is None or x.ndim != 4 or axis is None:
            return None
        x = np.moveaxis(np.asarray(x)[0], axis - 1, -1).astype("float64")
        if x.shape[-1] not in (1, 3):
            return None
        low, high = float(x.min()), float(x.max())
        return visualization.to_uint8(x, (low, high if high > low else low + 1))


def encoded(picture):
    """Returns a picture, made smaller where it is large, as PNG in base64."""
    step = max(1, -(-max(picture.shape[:2]) // WIDEST))
    content = as_png(picture[::step, ::step].copy())
    return base64.b64encode(content).decode("ascii")
