"""Reads image files: of formats that are data and nothing but data.

Pillow also opens formats that it hands to a program, as EPS to Ghostscript,
which runs what the file says. None of them is tried here.
"""

import io

import numpy as np

from keras_xmap._files import read_file

FORMATS = (
    "AVIF",
    "BMP",
    "GIF",
    "JPEG",
    "JPEG2000",
    "MPO",
    "PNG",
    "PPM",
    "TIFF",
    "WEBP",
)


def open_image(file):
    """Returns the `PIL.Image` in a file of one of `FORMATS`, read whole."""
    from PIL import Image

    content = io.BytesIO(read_file(file))
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    try:
        image = Image.open(content, formats=known)
    except Image.UnidentifiedImageError as error:
        raise ValueError(
            f"The format must be one of {', '.join(known)}. Received: another "
            "one, or none"
        ) from error
    image.load()
    return image


def has_more_than_8_bits(image):
    """Returns whether a `PIL.Image` holds values that RGB would cut off."""
    return image.mode[0] in "IF"


def as_pixels(image):
    """Returns a `PIL.Image` as an array: grey, RGB, RGBA, or what it holds."""
    plain = image.mode in ("1", "L", "RGB", "RGBA")
    if not plain and not has_more_than_8_bits(image):
        transparent = "A" in image.mode or "transparency" in image.info
        image = image.convert("RGBA" if transparent else "RGB")
    return np.array(image)
