"""Ellipses in clutter: numbers to regress, with the pixels they lie in."""

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
from keras_xmap.datasets._ellipse_clutter import draw_circles
from keras_xmap.datasets._ellipse_clutter import draw_objects
from keras_xmap.datasets._ellipse_clutter import draw_points
from keras_xmap.datasets._ellipse_geometry import SIDE
from keras_xmap.datasets._ellipse_geometry import are_apart
from keras_xmap.datasets._ellipse_geometry import coverage
from keras_xmap.datasets._ellipse_geometry import half_sides
from keras_xmap.datasets._ellipse_geometry import is_crossing
from keras_xmap.datasets._seeds import seed_or_drawn

_AREA_RATIO = 0.05
# Shortest and longest half axis, for a side of 32; the area gives the other.
_LONG_AXIS = {1: (5.0, 8.0), 2: (4.5, 7.0)}
_CLUTTER = {
    "circles": (1, draw_circles, {"train": 8000, "test": 3000}),
    "points": (2, draw_points, {"train": 8000, "test": 3000}),
    "objects": (2, draw_objects, {"train": 3000, "test": 1000}),
}
_CHUNK = 512


class Ellipses(typing.NamedTuple):
    """What `ellipses` returns."""

    images: np.ndarray
    targets: np.ndarray
    masks: np.ndarray
    shapes: np.ndarray

    def __repr__(self):
        return with_shapes(self)

    def decode(self, targets: ArrayLike) -> np.ndarray:
        """Returns what targets or predictions stand for.

        Args:
            targets: Array like `targets`.

        Returns:
            Inclinations `(n,)` in degrees from 0 to 180 if the images hold
            one ellipse, otherwise points `(n, 2)`, x and y in pixels.
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

    def with_mirrors(self) -> "Ellipses":
        """Returns eight times the images: these, and all of their mirrors.

        Mirrored from left to right, up and down, transposed, and all
        combinations of the three, with the targets, masks and shapes of each.

        Returns:
            `Ellipses`, these images first.
        """
        return with_mirrors(self, ("left_right", "up_down", "transpose"))


def ellipses(
    num_images: int | None = None,
    clutter: str = "circles",
    encoding: str = "double",
    size: int = 32,
    split: str = "train",
    seed: int | None = None,
) -> Ellipses:
    """Draws ellipses in clutter, for the regression of one number or point.

    Which pixels carry the answer is known: those of the ellipses. Nothing
    else tells it. Three sets, each with 5 % of the pixels in ellipses:

    - `"circles"`: one ellipse among 2 to 5 discs; its inclination;
    - `"points"`: two ellipses among 10 to 40 points; where the lines through
      their major axes intersect;
    - `"objects"`: two ellipses on and beside 1 to 3 real objects (a cat, a
      cup, coins, ...), cut from photographs; the same point.

    Ellipses do not touch each other, the frame, discs or points. Objects lie
    behind them. The lines meet inside the image at 15 degrees or more. Edges
    are smooth: a pixel takes the share of it that is covered. All angles
    turn from the x axis to the y axis, which points down.

    Args:
        num_images: Integer >= 1, or `None` for the numbers of the source,
            8000 to train and 3000 to test, with objects 3000 and 1000.
            Defaults to `None`.
        clutter: `"circles"`, `"points"` or `"objects"`. Defaults to
            `"circles"`.
        encoding: How an inclination `t` becomes a target: `"double"` for
            `(cos 2t, sin 2t)`, or `"raw"` for `t / 180` degrees in [0, 1),
            whose jump from 1 to 0 a network cannot follow. Unused for
            points. Defaults to `"double"`.
        size: Integer from 16 to 256, height and width in pixels; the shapes
            grow with it. Defaults to `32`.
        split: `"train"` or `"test"`, which never show the same image, nor
            the same photographed object. Defaults to `"train"`.
        seed: Integer >= 0, with which the same arguments give the same
            images; or `None` for others each time, as in Keras. Defaults to
            `None`.

    Returns:
        A named tuple of arrays:

        - `images`: float32 `(num_images, size, size, 1)` in 0..1;
        - `targets`: float32 `(num_images, 2)`: `(cos 2t, sin 2t)`, or the x
          and y of the point, -1 and 1 at the frame; `(num_images, 1)` if
          `encoding` is `"raw"`;
        - `masks`: bool `(num_images, size, size)`, `True` on ellipses;
        - `shapes`: float32 `(num_images, 1 or 2, 5)`: the x and y of the
          centre, both half axes in pixels, the inclination in radians.

        `decode(targets)` gives degrees or pixels, `errors(predictions)` how
        far off predictions are, `with_mirrors()` eight times the images.

    Raises:
        ValueError: If an argument is not as above.

    References:
        - Li & Shimada, "Discovery of Image Pixels highly Contributing to
          CNN regression", whose three data sets are made anew here.

    Example:

    >>> data = keras_xmap.datasets.ellipses(100, "points", seed=0)
    >>> data.images.shape, data.masks.shape
    ((100, 32, 32, 1), (100, 32, 32))
    >>> round(float(data.masks.mean()), 2)
    0.05
    >>> data.errors(data.targets + [0.0, 0.25])[:3].round(3)  # pixels
    array([4., 4., 4.])
    """
    check_one_of("clutter", clutter, tuple(_CLUTTER))
    check_one_of("encoding", encoding, ("double", "raw"))
    check_one_of("split", split, ("train", "test"))
    check_integer("size", size, 16, 256)
    num_ellipses, draw_clutter, sizes = _CLUTTER[clutter]
    if num_images is None:
        num_images = sizes[split]
    num_images = check_positive_integer("num_images", num_images)
    rng = np.random.default_rng([seed_or_drawn(seed), split == "test"])
    shapes = _draw_shapes(num_images, num_ellipses, rng)
    images = np.empty((num_images, size, size, 1), "float32")
    masks = np.empty((num_images, size, size), bool)
    # Chunks bound the memory of the drawing, not only its speed.
    for start in range(0, num_images, _CHUNK):
        part = slice(start, start + _CHUNK)
        images[part, ..., 0], masks[part] = _render(
            shapes[part], size, draw_clutter, split, rng
        )
    targets = targets_of(shapes, SIDE, encoding == "raw")
    shapes = shapes * [*[size / SIDE] * 4, 1]
    return Ellipses(images, targets, masks, shapes.astype("float32"))


def _draw_shapes(num_images, num_ellipses, rng):
    """Draws until every image has shapes that are allowed together."""
    shapes = np.empty((num_images, num_ellipses, 5))
    missing = np.arange(num_images)
    while len(missing):
        drawn = _draw_any_shapes(len(missing), num_ellipses, rng)
        shapes[missing] = drawn
        missing = missing[~_are_allowed(drawn)]
    return shapes


def _draw_any_shapes(num_images, num_ellipses, rng):
    draw = rng.uniform(size=(num_images, num_ellipses, 4))
    low, high = _LONG_AXIS[num_ellipses]
    long = low + (high - low) * draw[..., 0]
    short = _AREA_RATIO * SIDE**2 / (num_ellipses * np.pi * long)
    angle = np.pi * draw[..., 1]
    # One pixel is left to the frame.
    across, down = (1 + side for side in half_sides(long, short, angle))
    x = across + (SIDE - 2 * across) * draw[..., 2]
    y = down + (SIDE - 2 * down) * draw[..., 3]
    return np.stack([x, y, long, short, angle], axis=-1)


def _are_allowed(shapes):
    if shapes.shape[1] == 1:
        return np.ones(len(shapes), bool)
    apart = are_apart(shapes[:, 0], shapes[:, 1], gap=1.5)
    return is_crossing(shapes) & apart


def _render(shapes, size, draw_clutter, split, rng):
    grid = (np.arange(size, dtype="float32") + 0.5) * (SIDE / size)
    x, y = (axis[None] for axis in np.meshgrid(grid, grid))
    shapes = shapes.astype("float32")
    images = draw_clutter(shapes, size, split, rng)
    masks = np.zeros(images.shape, bool)
    for shape in np.moveaxis(shapes, 1, 0):
        cover = coverage(shape, x, y, size / SIDE)
        images += cover * (1 - images)
        masks |= cover > 0.5
    return images, masks
