"""Objects of two parts, either of which tells their class."""

import colorsys
import typing
from typing import Literal

import numpy as np

from keras_xmap._checks import check_integer
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._repr import with_shapes
from keras_xmap.datasets._ellipse_geometry import SIDE
from keras_xmap.datasets._ellipse_geometry import are_apart
from keras_xmap.datasets._ellipse_geometry import coverage
from keras_xmap.datasets._ellipse_geometry import half_sides
from keras_xmap.datasets._seeds import seed_or_drawn

# Half axes and radius, for a side of 32.
_LONG, _SHORT, _RADIUS = (5.4, 6.6), (3.3, 4.0), (1.9, 2.4)
_GAP = 0.5  # between an object and a decoy
_PERIOD, _CONTRAST = 3.0, 0.08  # of stripes
_TURN, _SHIFT = np.deg2rad(4), 0.03  # how much stripes and hues vary
_NUM_WAVES = 8
_CHUNK = 256


class TwoCueObjects(typing.NamedTuple):
    """What `two_cue_objects` returns."""

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    heads: np.ndarray
    bodies: np.ndarray

    def __repr__(self):
        return with_shapes(self)


def two_cue_objects(
    num_images: int,
    size: int = 64,
    num_classes: int = 4,
    cues: Literal["both", "head", "body"] = "both",
    split: Literal["train", "test"] = "train",
    seed: int | None = None,
) -> TwoCueObjects:
    """Draws objects with an easy and a hard cue, and the masks of both.

    A classifier learns the cue that is easy and has no reason to look at
    another one, although it is as good: of an animal it knows the head, and
    its map leaves out the body. Whether a method finds the rest is seen here,
    where both cues and their pixels are known:

    - the head, a disc, is easy: its hue is that of the class;
    - the body, an ellipse about five times as large, is hard: grey, with
      faint stripes whose direction is that of the class.

    An object stands anywhere, turned in any direction, on a ground of
    pale waves, beside a decoy: a grey head, and a body with a texture as
    fine and as strong as stripes, but without a direction.

    Args:
        num_images: Integer >= 1.
        size: Integer from 48 to 256, height and width in pixels; all that is
            drawn grows with it. Defaults to `64`.
        num_classes: Integer from 2 to 6. Defaults to `4`.
        cues: Which parts tell the class: `"both"`, each of them alone; or
            `"head"` or `"body"` alone, the other part being like a decoy's,
            as a set of one cue to compare with. Defaults to `"both"`.
        split: `"train"` or `"test"`, which never show the same image.
            Defaults to `"train"`.
        seed: Integer >= 0, with which the same arguments give the same
            images; or `None` for others each time, as in Keras. Defaults to
            `None`.

    Returns:
        A named tuple of arrays:

        - `images`: float32 `(num_images, size, size, 3)` in 0..1;
        - `labels`: int32 `(num_images,)`, each class as often as the others
          to within one;
        - `masks`: bool `(num_images, size, size)`, `True` on the object;
        - `heads`, `bodies`: the same of its parts, which share no pixel.

    Raises:
        ValueError: If an argument is not as above.

    References:
        - [Wei et al., 2017](https://arxiv.org/abs/1703.08448), whose figures
          have heads found first and bodies in later rounds.

    Example:

    >>> data = keras_xmap.datasets.two_cue_objects(20, seed=0)
    >>> data.images.shape, np.bincount(data.labels)
    ((20, 64, 64, 3), array([5, 5, 5, 5]))
    >>> [round(float(x.mean()), 2) for x in (data.heads, data.bodies)]
    [0.02, 0.06]
    """
    num_images = check_positive_integer("num_images", num_images)
    check_integer("size", size, 48, 256)
    check_integer("num_classes", num_classes, 2, 6)
    check_one_of("cues", cues, ("both", "head", "body"))
    check_one_of("split", split, ("train", "test"))
    rng = np.random.default_rng([seed_or_drawn(seed), split == "test"])
    labels = (rng.permutation(num_images) % num_classes).astype("int32")
    images = np.empty((num_images, size, size, 3), "float32")
    heads = np.empty((num_images, size, size), bool)
    bodies = np.empty_like(heads)
    # Chunks bound the memory of the drawing, not only its speed.
    for start in range(0, num_images, _CHUNK):
        part = slice(start, start + _CHUNK)
        classes = labels[part] / num_classes
        images[part], heads[part], bodies[part] = _render(
            np.where(cues == "body", np.nan, classes),
            np.where(cues == "head", np.nan, classes),
            size,
            rng,
        )
    return TwoCueObjects(images, labels, heads | bodies, heads, bodies)


def _render(heads_tell, bodies_tell, size, rng):
    """Draws an object and a decoy into each of some images.

    Args:
        heads_tell: Array `(n,)` of classes in 0..1, that a hue shows; NaN for
            a head that shows none.
        bodies_tell: The same, shown by the direction of stripes.
        size: Integer.
        rng: NumPy generator.

    Returns:
        Images, and masks of the heads and of the bodies of the objects.
    """
    count = len(heads_tell)
    grid = (np.arange(size, dtype="float32") + 0.5) * (SIDE / size)
    x, y = (axis[None] for axis in np.meshgrid(grid, grid))
    images = _draw_grounds(count, x, y, rng)
    nothing = np.full(count, np.nan)
    placed = _draw_places(count, rng)
    drawn = (nothing, nothing), (heads_tell, bodies_tell)
    for (of_head, of_body), (heads, bodies) in zip(drawn, placed, strict=True):
        body = coverage(bodies, x, y, size / SIDE)[..., None]
        images += body * (_draw_texture(of_body, x, y, rng) - images)
        head = coverage(heads, x, y, size / SIDE)[..., None]
        images += head * (_draw_colours(of_head, rng) - images)
    images += 0.04 * rng.standard_normal(images.shape, "float32")
    head, body = head[..., 0] > 0.5, body[..., 0] > 0.5
    return images.clip(0, 1), head, body & ~head


def _draw_places(count, rng):
    """Returns ellipses `(n, 5)`: heads and bodies of decoys, then of objects.

    Drawn until no object touches the decoy beside it.
    """
    places = np.empty((2, 2, count, 5), "float32")
    missing = np.arange(count)
    while len(missing):
        drawn = np.stack([_draw_objects(len(missing), rng) for _ in range(2)])
        places[:, :, missing] = drawn
        free = [are_apart(a, b, _GAP) for a in drawn[0] for b in drawn[1]]
        missing = missing[~np.all(free, axis=0)]
    return places


def _draw_objects(count, rng):
    """Returns heads and bodies that lie anywhere within the frame."""
    long, short, radius = (
        rng.uniform(*limits, count) for limits in (_LONG, _SHORT, _RADIUS)
    )
    angle = rng.uniform(0, 2 * np.pi, count)
    # A head overlaps its body by a little.
    offset = (long + 0.7 * radius) * np.stack([np.cos(angle), np.sin(angle)])
    reach = np.stack(half_sides(long, short, angle))
    low = 0.5 + np.maximum(reach, radius - offset)
    high = SIDE - 0.5 - np.maximum(reach, radius + offset)
    body = low + (high - low) * rng.uniform(size=(2, count))
    head = body + offset
    heads = np.stack([*head, radius, radius, np.zeros(count)], axis=-1)
    return heads, np.stack([*body, long, short, angle], axis=-1)


def _draw_grounds(count, x, y, rng):
    """Pale waves of all colours and directions, longer than stripes."""
    images = np.tile(_pale(0.35, 0.65, count, rng), (1, *x.shape[1:], 1))
    for _ in range(_NUM_WAVES):
        angle = rng.uniform(0, 2 * np.pi, (count, 1, 1))
        period = rng.uniform(5, 20, (count, 1, 1))
        wave = _wave(x, y, angle, period, rng)[..., None]
        images += wave * _pale(-0.08, 0.08, count, rng)
    return images


def _pale(low, high, count, rng):
    """Returns greys with a little colour, `(n, 1, 1, 3)`."""
    grey = rng.uniform(low, high, (count, 1, 1, 1))
    tint = rng.uniform(-0.03, 0.03, (count, 1, 1, 3))
    return (grey + tint).astype("float32")


def _draw_texture(classes, x, y, rng):
    """Grey stripes in the direction of a class, or a texture without one."""
    count = len(classes)
    tells = np.isfinite(classes)[:, None, None]
    turn = rng.uniform(-_TURN, _TURN, count)
    angle = (np.pi * np.nan_to_num(classes) + turn)[:, None, None]
    stripes = _wave(x, y, angle, _PERIOD, rng)
    start = rng.uniform(0, np.pi, (count, 1, 1))
    # As much variance as one wave has.
    mixed = sum(
        _wave(x, y, start + np.pi * k / _NUM_WAVES, _PERIOD, rng)
        for k in range(_NUM_WAVES)
    ) / np.sqrt(_NUM_WAVES, dtype="float32")
    grey = rng.uniform(0.4, 0.6, (count, 1, 1)).astype("float32")
    texture = grey + _CONTRAST * np.where(tells, stripes, mixed)
    return texture[..., None]


def _wave(x, y, angle, period, rng):
    phase = rng.uniform(0, 2 * np.pi, (len(angle), 1, 1)).astype("float32")
    scale = 2 * np.pi / period
    along_x = (scale * np.cos(angle)).astype("float32")
    along_y = (scale * np.sin(angle)).astype("float32")
    return np.sin(along_x * x + along_y * y + phase)


def _draw_colours(classes, rng):
    """The hue of a class, or grey; `(n, 1, 1, 3)`."""
    hues = np.nan_to_num(classes) + rng.uniform(-_SHIFT, _SHIFT, len(classes))
    values = rng.uniform(0.7, 1, len(classes))
    saturation = np.where(np.isfinite(classes), 0.9, 0)
    colours = [
        colorsys.hsv_to_rgb(hue % 1, s, value)
        for hue, s, value in zip(hues, saturation, values, strict=True)
    ]
    return np.array(colours, "float32")[:, None, None]
