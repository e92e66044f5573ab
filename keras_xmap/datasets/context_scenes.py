"""Scenes in which what surrounds a region tells its class, and it alone."""

import typing

import numpy as np

from keras_xmap._checks import check_integer
from keras_xmap._checks import check_positive_integer
from keras_xmap._repr import with_shapes
from keras_xmap.datasets._seeds import seed_or_drawn

_NUM_FIELDS = 4
_MIDDLE, _CONTRAST = 0.5, 0.15
# Of noise among the stripes, before both are brought to a variance of 1.
_NOISE = 0.5
_CHUNK = 512


class ContextScenes(typing.NamedTuple):
    """What `context_scenes` returns."""

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    fields: np.ndarray

    def __repr__(self):
        return with_shapes(self)


def context_scenes(
    num_scenes: int,
    size: int = 32,
    num_classes: int = 6,
    seed: int | None = None,
) -> ContextScenes:
    """Draws regions whose class can only be told from what surrounds them.

    What floats on water is a boat, whatever it looks like: a network that is
    to tell what a region is must often look beside it. Here it must look
    there and nowhere else. A scene is divided into four fields of stripes
    of different directions, and in each lies a disc of plain noise. One of
    the discs is the region, its mask is given, and its class is the
    direction of the stripes about it.

    Each way to do without one of the two fails by construction. A scene
    without the mask leaves four classes to guess from, each equally likely;
    a disc without its surroundings leaves all `num_classes`: its place, its
    size and its pixels, of the same mean and deviation as those of the
    fields, are drawn without regard to the class.

    Args:
        num_scenes: Integer >= 1.
        size: Integer from 24 to 256, height and width in pixels; stripes and
            discs grow with it. Defaults to `32`.
        num_classes: Integer from 4 to 12: class `k` has stripes turned by
            `180 * k / num_classes` degrees. Defaults to `6`.
        seed: Integer >= 0, with which the same arguments give the same
            scenes; or `None` for others each time, as in Keras. Defaults to
            `None`.

    Returns:
        A named tuple of arrays:

        - `images`: float32 `(num_scenes, size, size, 1)` in 0..1;
        - `labels`: int32 `(num_scenes,)`, each class as often as the others
          to within one;
        - `masks`: bool `(num_scenes, size, size)`, `True` on the disc that
          is asked about;
        - `fields`: int32 `(num_scenes, size, size)`, the class of the field
          that each pixel lies in.

    Raises:
        ValueError: If an argument is not as above.

    Example:

    >>> scenes = keras_xmap.datasets.context_scenes(60, seed=0)
    >>> scenes.images.shape, scenes.masks.shape
    ((60, 32, 32, 1), (60, 32, 32))
    >>> np.bincount(scenes.labels)
    array([10, 10, 10, 10, 10, 10])
    >>> bool(np.all(scenes.fields[scenes.masks] ==
    ...     np.repeat(scenes.labels, scenes.masks.sum((1, 2)))))
    True
    """
    num_scenes = check_positive_integer("num_scenes", num_scenes)
    check_integer("size", size, 24, 256)
    check_integer("num_classes", num_classes, 4, 12)
    rng = np.random.default_rng(seed_or_drawn(seed))
    labels = (rng.permutation(num_scenes) % num_classes).astype("int32")
    images = np.empty((num_scenes, size, size, 1), "float32")
    masks = np.empty((num_scenes, size, size), bool)
    fields = np.empty((num_scenes, size, size), "int32")
    # Chunks bound the memory of the drawing.
    for start in range(0, num_scenes, _CHUNK):
        part = slice(start, start + _CHUNK)
        drawn = _draw(labels[part], size, num_classes, rng)
        images[part, ..., 0], masks[part], fields[part] = drawn
    return ContextScenes(images, labels, masks, fields)


def _draw(labels, size, num_classes, rng):
    """Returns images, the masks of the discs asked about, and fields."""
    count = len(labels)
    of_quarter, asked = _classes_of_quarters(labels, num_classes, rng)
    cross = rng.uniform(0.4, 0.6, (2, count, 1, 1)) * size
    rows, columns = np.mgrid[:size, :size] + 0.5
    quarter = 2 * (rows > cross[0]) + (columns > cross[1])
    scene = np.arange(count)
    waves = _stripes(of_quarter / num_classes, size, rng)
    stripes = np.take_along_axis(waves, quarter[:, None], axis=1)[:, 0]
    noise = rng.normal(size=stripes.shape)
    images = (stripes + _NOISE * noise) / np.sqrt(1 + _NOISE**2)
    discs = _discs(cross, size, rng)
    images = np.where(discs.any(axis=1), rng.normal(size=noise.shape), images)
    images = np.clip(_MIDDLE + _CONTRAST * images, 0, 1)
    return (
        images,
        discs[scene, asked],
        of_quarter[scene[:, None, None], quarter],
    )


def _classes_of_quarters(labels, num_classes, rng):
    """Draws four classes a scene, and the quarter that has the label's."""
    count = len(labels)
    turns = rng.permuted(np.tile(np.arange(num_classes), (count, 1)), axis=1)
    asked = rng.integers(_NUM_FIELDS, size=count)
    # The label changes places with the class that stands where it is asked.
    turns[turns == labels[:, None]] = turns[np.arange(count), asked]
    turns[np.arange(count), asked] = labels
    return turns[:, :_NUM_FIELDS], asked


def _stripes(turn, size, rng):
    """Draws a wave of variance 1 over the scene, for each class of each.

    Args:
        turn: `(count, fields)`, halves of a full turn.
    """
    shape = (*turn.shape, 1, 1)
    angle = np.pi * turn.reshape(shape)
    length = rng.uniform(0.1, 0.16, shape) * size
    phase = rng.uniform(0, 2 * np.pi, shape)
    rows, columns = np.mgrid[:size, :size]
    across = np.cos(angle) * columns + np.sin(angle) * rows
    return np.sqrt(2) * np.sin(2 * np.pi * across / length + phase)


def _discs(cross, size, rng):
    """Draws a disc near the middle of each quarter `(count, 4, size, size)`."""
    count = cross.shape[1]
    rows, columns = np.mgrid[:size, :size] + 0.5
    shape = (count, _NUM_FIELDS, 1, 1)
    is_second = np.stack(np.divmod(np.arange(_NUM_FIELDS), 2))
    middle = (cross[:, :, 0] + size * is_second[:, None]) / 2
    centre = middle + rng.uniform(-0.05, 0.05, middle.shape) * size
    radius = rng.uniform(0.05, 0.14, shape) * size
    y, x = centre.reshape(2, *shape)
    return np.hypot(rows - y, columns - x) < radius
