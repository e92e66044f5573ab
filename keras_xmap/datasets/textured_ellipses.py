"""Ellipses that no brightness, edge, size or place gives away."""

import typing

import numpy as np

from keras_xmap._checks import check_integer
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._repr import with_shapes
from keras_xmap._typing import ArrayLike
from keras_xmap.datasets._ellipse_answers import decode
from keras_xmap.datasets._ellipse_answers import errors
from keras_xmap.datasets._ellipse_answers import targets_of
from keras_xmap.datasets._ellipse_answers import with_mirrors
from keras_xmap.datasets._ellipse_geometry import SIDE
from keras_xmap.datasets._ellipse_geometry import are_apart
from keras_xmap.datasets._ellipse_geometry import elliptic_radius
from keras_xmap.datasets._ellipse_geometry import half_sides
from keras_xmap.datasets._ellipse_geometry import is_crossing
from keras_xmap.datasets._oriented_textures import draw_bricks
from keras_xmap.datasets._oriented_textures import draw_grain
from keras_xmap.datasets._seeds import seed_or_drawn

# Shares of the image and lengths for a side of 32, of every ellipse.
_AREA_RATIO = 0.06
_LONG_AXIS = (5.5, 8.0)
_GAP = 1.0
_NUM_ELLIPSES = 4
_NUM_IMAGES = {"train": 8000, "test": 3000}
_QUESTIONS = {"inclination": 1, "crossing": 2}
_TEXTURES = {"grain": draw_grain, "bricks": draw_bricks}
_CONTRAST = 0.2
_CHUNK, _DRAWN_AT_ONCE = 512, 16384


class TexturedEllipses(typing.NamedTuple):
    """What `textured_ellipses` returns."""

    images: np.ndarray
    targets: np.ndarray
    masks: np.ndarray
    shapes: np.ndarray
    distractors: np.ndarray

    def __repr__(self):
        return with_shapes(self)

    def decode(self, targets: ArrayLike) -> np.ndarray:
        """Returns what targets or predictions stand for.

        Args:
            targets: Array like `targets`.

        Returns:
            Inclinations `(n,)` in degrees from 0 to 180 if the images ask for
            one, otherwise points `(n, 2)`, x and y in pixels.
        """
        return decode(self, targets)

    def errors(self, predictions: ArrayLike) -> np.ndarray:
        """Returns how far predictions are from the truth.

        Args:
            predictions: Array like `targets`.

        Returns:
            Array `(n,)`: degrees from 0 to 90 between two inclinations, or
            the distance of two points in pixels.
        """
        return errors(self, predictions)

    def with_mirrors(self) -> "TexturedEllipses":
        """Returns four times the images: these, and all of their mirrors.

        Mirrored from left to right, up and down, and both. A transposed image
        would be one of another kind, since it turns the texture.

        Returns:
            `TexturedEllipses`, these images first.
        """
        return with_mirrors(self, ("left_right", "up_down"))


def textured_ellipses(
    num_images: int | None = None,
    question: str = "inclination",
    texture: str = "grain",
    size: int = 32,
    split: str = "train",
    seed: int | None = None,
) -> TexturedEllipses:
    """Draws ellipses that are told by the direction of their texture alone.

    The questions of `ellipses`, on images where its easy ways are closed.
    Everything is texture, the lines of which run from top to bottom: the
    background, and distractors, ellipses cut out of other pieces of it. In
    the ellipses that are asked for, they run from left to right:

    - `"inclination"`: one such ellipse among three distractors;
    - `"crossing"`: two, and where the lines through their major axes meet,
      among two distractors whose axes meet elsewhere.

    A quarter turn of a texture changes neither its brightness nor the
    strength of its edges, and which of the four ellipses are asked for is
    drawn by lot. So brightness, edges, size and place do not tell.

    The image holds 6 % of its pixels in each ellipse. They do not touch each
    other nor reach over the frame, and have hard edges: a pixel belongs to
    the ellipse that its centre is in.

    Args:
        num_images: Integer >= 1, or `None` for 8000 to train and 3000 to
            test. Defaults to `None`.
        question: `"inclination"` or `"crossing"`. Defaults to
            `"inclination"`.
        texture: `"grain"`, normal noise smoothed along the lines, or
            `"bricks"`, pieces of a photograph of a wall that ships with
            scikit-image. Defaults to `"grain"`.
        size: Integer from 32 to 256, height and width in pixels; shapes and
            textures grow with it. Defaults to `32`.
        split: `"train"` or `"test"`, which never show the same image, nor
            the same part of the wall. Defaults to `"train"`.
        seed: Integer >= 0, with which the same arguments give the same
            images; or `None` for others each time, as in Keras. Defaults to
            `None`.

    Returns:
        A named tuple of arrays:

        - `images`: float32 `(num_images, size, size, 1)` in 0..1;
        - `targets`: float32 `(num_images, 2)`: `(cos 2t, sin 2t)` of the
          inclination `t`, or the x and y of the point, -1 and 1 at the frame;
        - `masks`: bool `(num_images, size, size)`, `True` on the ellipses
          that are asked for;
        - `shapes`: float32 `(num_images, 1 or 2, 5)`, theirs: the x and y of
          the centre, both half axes in pixels, the inclination in radians;
        - `distractors`: float32 `(num_images, 3 or 2, 5)`, the others'.

        `decode(targets)` gives degrees or pixels, `errors(predictions)` how
        far off predictions are, `with_mirrors()` four times the images.

    Raises:
        ValueError: If an argument is not as above.

    Example:

    >>> data = keras_xmap.datasets.textured_ellipses(200, seed=0)
    >>> data.images.shape, data.distractors.shape
    ((200, 32, 32, 1), (200, 3, 5))
    >>> inside = data.images[..., 0][data.masks]
    >>> outside = data.images[..., 0][~data.masks]
    >>> bool(abs(inside.mean() - outside.mean()) < 0.01)
    True
    """
    num_asked = _QUESTIONS[
        check_one_of("question", question, tuple(_QUESTIONS))
    ]
    draw = _TEXTURES[check_one_of("texture", texture, tuple(_TEXTURES))]
    check_one_of("split", split, ("train", "test"))
    check_integer("size", size, 32, 256)
    if num_images is None:
        num_images = _NUM_IMAGES[split]
    num_images = check_positive_integer("num_images", num_images)
    rng = np.random.default_rng([seed_or_drawn(seed), split == "test", 1])
    shapes = _draw_shapes(num_images, num_asked, rng)
    images = np.empty((num_images, size, size, 1), "float32")
    masks = np.empty((num_images, size, size), bool)
    # Chunks bound the memory of the drawing, not only its speed.
    for start in range(0, num_images, _CHUNK):
        part = slice(start, start + _CHUNK)
        images[part, ..., 0], masks[part] = _render(
            shapes[part], num_asked, size, lambda n: draw(n, size, split, rng)
        )
    targets = targets_of(shapes[:, :num_asked], SIDE)
    shapes = (shapes * [*[size / SIDE] * 4, 1]).astype("float32")
    asked, distractors = shapes[:, :num_asked], shapes[:, num_asked:]
    return TexturedEllipses(images, targets, masks, asked, distractors)


def _draw_shapes(num_images, num_asked, rng):
    """Draws four ellipses an image, those that are asked for first.

    All of them under one law: of those that touch none is taken, so that no
    place in the order tells where an ellipse is.
    """
    found, count = [], 0
    while count < num_images:
        groups = _draw_any(num_asked, rng)
        while groups.shape[1] < _NUM_ELLIPSES:
            groups = _combined(groups, _draw_any(num_asked, rng))
        found.append(groups)
        count += len(groups)
    return np.concatenate(found)[:num_images]


def _draw_any(num_asked, rng):
    """Draws ellipses, or pairs of them whose axes meet within the image."""
    draw = rng.uniform(size=(_DRAWN_AT_ONCE, num_asked, 4))
    low, high = _LONG_AXIS
    long = low + (high - low) * draw[..., 0]
    short = _AREA_RATIO * SIDE**2 / (np.pi * long)
    angle = np.pi * draw[..., 1]
    across, down = half_sides(long, short, angle)
    x = across + (SIDE - 2 * across) * draw[..., 2]
    y = down + (SIDE - 2 * down) * draw[..., 3]
    shapes = np.stack([x, y, long, short, angle], axis=-1)
    if num_asked == 2:
        shapes = shapes[is_crossing(shapes)]
        shapes = shapes[are_apart(shapes[:, 0], shapes[:, 1], _GAP)]
    return shapes


def _combined(groups, more):
    """Joins groups of ellipses in pairs, and keeps those that do not touch."""
    count = min(len(groups), len(more))
    groups, more = groups[:count], more[:count]
    apart = np.ones(count, bool)
    for first in np.moveaxis(groups, 1, 0):
        for second in np.moveaxis(more, 1, 0):
            apart[apart] = are_apart(first[apart], second[apart], _GAP)
    return np.concatenate([groups[apart], more[apart]], axis=1)


def _render(shapes, num_asked, size, draw):
    grid = (np.arange(size, dtype="float32") + 0.5) * (SIDE / size)
    x, y = (axis[None] for axis in np.meshgrid(grid, grid))
    fields = draw(len(shapes))
    masks = np.zeros(fields.shape, bool)
    for k, shape in enumerate(np.moveaxis(shapes.astype("float32"), 1, 0)):
        inside = elliptic_radius(shape, x, y)[0] < 1
        piece = draw(len(shapes))
        if k < num_asked:
            piece = piece.swapaxes(1, 2)
            masks |= inside
        fields = np.where(inside, piece, fields)
    return np.clip(0.5 + _CONTRAST * fields, 0, 1), masks
