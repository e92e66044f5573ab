import numpy as np

from keras_xmap import _image_files
from keras_xmap._files import check_path
from keras_xmap._typing import Path


def read_photo(path: Path) -> np.ndarray:
    """Reads a photo as it looks: upright, in colours, of 8 bits a channel.

    What the command `keras-xmap` and the readers of regions see. Files hold
    photos in many ways, and a network wants one:

    - a photo that the camera has stored lying is turned as its EXIF says;
    - CMYK, palettes, grey and black and white become RGB, without regard to a
      colour profile;
    - 16 bits a channel are scaled to 8, white to white;
    - what is transparent is laid on white;
    - of several frames or pages the first is read.

    Formats that start a program, such as EPS, are not read.

    Args:
        path: Path of the file, local or with a scheme (`gs://`).

    Returns:
        A uint8 array `(height, width, 3)`.

    Raises:
        OSError: If there is no file that can be read.
        ValueError: If it holds no such photo, if it is damaged, or if its
            values are floats or of 32 bits, whose white is not known. The
            message names the file.

    Example:

    >>> from PIL import Image
    >>> photo = Image.new("RGB", (3, 2), "red")
    >>> exif = photo.getexif()
    >>> exif[0x0112] = 6  # Orientation: the camera was held upright
    >>> photo.save("upright.png", exif=exif)
    >>> keras_xmap.datasets.read_photo("upright.png").shape
    (3, 2, 3)
    """
    return _image_files.read_photo(check_path("path", path))
