"""Printed digits hidden in clutter, with the masks of their ink."""

import functools
import typing

import numpy as np

from keras_xmap._repr import with_shapes
from keras_xmap.datasets._digit_scenes import digit_scenes

# How many times each digit is printed; nothing of a split is in the other.
_NUM_PRINTS = {"train": 150, "test": 50}
# The sides, in pixels, of the type, of the sheet that it is printed on, and of
# what becomes of it.
_TYPE, _SHEET, _GRID = 72, 96, 8
_MAX_STROKE = 3
_MAX_BLUR = 2.0
_SLANTS = (-0.1, 0.25)
_WIDTHS = (0.8, 1.2)
_MAX_TURN = np.pi / 24


class PrintedScenes(typing.NamedTuple):
    """What `printed_scenes` returns."""

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray

    def __repr__(self):
        return with_shapes(self)


def printed_scenes(
    num_scenes: int,
    size: int = 64,
    num_classes: int = 10,
    multi_label: bool = False,
    split: str = "train",
    seed: int | None = None,
) -> PrintedScenes:
    """Composes scenes of printed digits in clutter, with pixel masks.

    The scenes of `handwritten_scenes`, whose digits need nothing but Pillow:
    they are printed in the font that ships inside it, each with a slant, a
    turn, a width, a stroke and a blur of its own, and brought to the 8 x 8
    pixels that handwritten ones have. One font varies less than people do,
    so that they are easier to read.

    `"train"` has 150 prints of each digit, `"test"` 50 others. Each split
    draws its prints from a random stream of its own, which is the same
    whatever `seed` is: no print of one is ever in the other, and no part of a
    photograph is. `seed` decides which prints stand in a scene, and where.

    Args:
        num_scenes: Integer >= 1.
        size: Integer from 32 to 256, height and width in pixels. Defaults to
            `64`.
        num_classes: Integer from 1 to 10: the digits `0` to
            `num_classes - 1` are used, decoys included. Defaults to `10`.
        multi_label: Boolean, see `handwritten_scenes`. Defaults to `False`.
        split: `"train"` or `"test"`. Defaults to `"train"`.
        seed: Integer >= 0, with which the same arguments give the same
            scenes, as long as Pillow is the same; or `None` for others each
            time, as in Keras. Defaults to `None`.

    Returns:
        A named tuple of arrays:

        - `images`: float32 `(num_scenes, size, size, 1)` in 0..1;
        - `labels`: int32 `(num_scenes,)`, each class as often as the others
          to within one; float32 `(num_scenes, num_classes)` of 0 and 1 if
          `multi_label`;
        - `masks`: bool `(num_scenes, size, size)`, `True` on the ink;
          `(num_scenes, size, size, num_classes)` if `multi_label`.

    Raises:
        ImportError: If Pillow was built without FreeType, which draws fonts.
        ValueError: If an argument is not as above.

    Example:

    >>> scenes = keras_xmap.datasets.printed_scenes(20, size=48)
    >>> scenes.images.shape, scenes.masks.shape
    ((20, 48, 48, 1), (20, 48, 48))
    >>> np.bincount(scenes.labels)
    array([2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    return PrintedScenes(
        *digit_scenes(
            _print_digits,
            num_scenes,
            size,
            num_classes,
            multi_label,
            split,
            seed,
        )
    )


@functools.cache
def _print_digits(split, num_classes):
    """Returns prints and their classes, which nobody may write to."""
    font = _load_font()
    number = list(_NUM_PRINTS).index(split)
    count = _NUM_PRINTS[split]
    prints = []
    for digit in range(num_classes):
        # Of few classes each digit looks as it does among all.
        rng = np.random.default_rng((number, digit))
        prints += [_print(str(digit), font, rng) for _ in range(count)]
    found = np.stack(prints), np.repeat(np.arange(num_classes), count)
    for array in found:
        array.flags.writeable = False
    return found


def _load_font():
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size=_TYPE)
    except ImportError as error:
        raise ImportError(
            "printed_scenes draws its digits with FreeType, which the wheels "
            "of Pillow hold. Received: a Pillow that was built without it. "
            "Run: pip install --force-reinstall --only-binary :all: pillow"
        ) from error


def _print(text, font, rng):
    """Returns one digit as a float array `(8, 8)`, 1 where it is darkest."""
    from PIL import Image
    from PIL import ImageDraw
    from PIL import ImageFilter

    sheet = Image.new("L", (_SHEET, _SHEET))
    ImageDraw.Draw(sheet).text(
        (_SHEET / 2, _SHEET / 2),
        text,
        fill=255,
        font=font,
        anchor="mm",
        stroke_width=int(rng.integers(_MAX_STROKE, endpoint=True)),
    )
    sheet = sheet.transform(
        sheet.size,
        Image.Transform.AFFINE,
        _shape(rng),
        Image.Resampling.BICUBIC,
    )
    left, top, right, bottom = sheet.getbbox()
    sheet = sheet.filter(ImageFilter.GaussianBlur(rng.uniform(0, _MAX_BLUR)))
    # The square around the digit: it is as high as the grid, or as wide.
    side = max(right - left, bottom - top)
    left = (left + right - side) // 2
    top = (top + bottom - side) // 2
    sheet = sheet.crop((left, top, left + side, top + side))
    grid = sheet.resize((_GRID, _GRID), Image.Resampling.BOX)
    grid = np.asarray(grid, "float64")
    return grid / grid.max()


def _shape(rng):
    """Returns what Pillow takes for a slant, a width and a turn, all drawn.

    These are two rows of three numbers: from a place of the sheet to the place
    that its ink comes from, about the middle.
    """
    slant = rng.uniform(*_SLANTS)
    width = rng.uniform(*_WIDTHS)
    angle = rng.uniform(-_MAX_TURN, _MAX_TURN)
    turned = [
        [np.cos(angle), -np.sin(angle)],
        [np.sin(angle), np.cos(angle)],
    ]
    back = np.linalg.inv(turned @ np.array([[width, -slant], [0, 1]]))
    middle = np.full(2, _SHEET / 2)
    return np.column_stack([back, middle - back @ middle]).ravel().tolist()
