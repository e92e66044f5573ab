"""Reads image files: of formats that are data and nothing but data.

Pillow also opens formats that it hands to a program, as EPS to Ghostscript,
which runs what the file says. None of them is tried here.
"""

import contextlib
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
# Of these a file of more than 8 bits has white at 2**16 - 1, also where Pillow
# holds it as 32 bits.
_OF_16_BITS = ("JPEG2000", "PNG", "PPM")
_ORIENTATION = 0x0112
# What Pillow does not regard where there are 16 bits.
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
# By the value of EXIF's Orientation, what makes the photo stand upright.
_TURNS = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x, 1),
}


def photo_extensions():
    """Returns the endings of names of files of `FORMATS`, as `.jpg`."""
    from PIL import Image

    known = Image.registered_extensions().items()
    return {ending for ending, name in known if name in FORMATS}


def open_image(file):
    """Returns the `PIL.Image` in a file of one of `FORMATS`, read whole."""
    content = io.BytesIO(read_file(file))
    with _named(file):
        image = _opened(content)
        image.load()
    return image


def read_photo(file, stored_size=None):
    """Returns the photo in a file as it looks: RGB uint8, a new array.

    It is turned as its EXIF says, and laid on white where it is transparent;
    values of 16 bits are scaled to 8.

    Args:
        file: Path of the file.
        stored_size: Pair, height and width. A photo whose pixels are stored
            in this size is not turned. Defaults to `None`.

    Raises:
        OSError: If there is no file that can be read.
        ValueError: If it holds no photo; the message names it.
    """
    pixels, turn = read_stored(file)
    return pixels if stored_size == pixels.shape[:2] else turn(pixels)


def read_stored(file):
    """Returns a photo as its pixels are stored, and what turns it upright.

    The latter is a function of arrays whose first axes are height and width.
    """
    image = open_image(file)
    with _named(file):
        pixels = _rgb(image)
    turn = _TURNS.get(orientation(image), lambda x: x)
    return pixels, lambda x: np.ascontiguousarray(turn(x))


def as_png(pixels):
    """Returns the bytes of a PNG file of uint8 pixels."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    return content.getvalue()


def orientation(image):
    """Returns EXIF's Orientation of a `PIL.Image`, 1 where it has none."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # Of EXIF that is damaged Pillow raises what it comes upon; the photo
        # is as whole as without.
        return 1


@contextlib.contextmanager
def _named(file):
    """Makes one error, which names the file, of all that Pillow raises."""
    try:
        yield
    except Exception as error:
        # A plug-in of it raises what it likes.
        raise ValueError(
            "An image must be a file that can be read as an image. Received: "
            f"{str(file)!r}: {str(error).rstrip('.')}."
        ) from error


def _opened(content):
    from PIL import Image

    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    try:
        return Image.open(content, formats=known)
    except Image.UnidentifiedImageError as error:
        raise ValueError(
            f"The format must be one of {', '.join(known)}. Received: another "
            "one, or none."
        ) from error


def _rgb(image):
    if image.mode[0] in "IF":
        pixels = _as_8_bits(image)
        return np.repeat(pixels[..., None], 3, axis=-1)
    has_alpha = image.mode.lower().endswith("a")
    if not has_alpha and "transparency" not in image.info:
        return np.array(image.convert("RGB"))
    pixels = np.array(image.convert("RGBA"))
    alpha = pixels[..., 3:]
    if (alpha < 255).any():
        # The bytes in 16 bits hold any product of two.
        color, alpha = pixels[..., :3].astype("uint16"), alpha.astype("uint16")
        pixels = (alpha * color + (255 - alpha) * 255 + 127) // 255
    return np.ascontiguousarray(pixels[..., :3], "uint8")


def _as_8_bits(image):
    """Returns grey values of more than 8 bits as uint8, white as 255."""
    if image.mode[0] == "F" or not (
        image.mode.startswith("I;16") or image.format in _OF_16_BITS
    ):
        raise ValueError(
            "A photo must have 8 or 16 bits a channel. Received: mode "
            f"{image.mode!r} of {image.format}, whose white is not known. "
            "Save it with 8 bits."
        )
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        raise ValueError(
            "A photo of 16 bits must have black at 0. Received: a TIFF with "
            "white there. Save it as PNG."
        )
    values = np.asarray(image)
    # 65535 is 255 * 257; halves do not come up.
    pixels = ((values.astype("uint32") + 128) // 257).astype("uint8")
    # One value may be that of all that is transparent.
    pixels[values == image.info.get("transparency", -1)] = 255
    return pixels
