"""What lies beside the ellipses: discs, points, objects from photographs.

Every function takes the ellipses `(n, num_ellipses, 5)`, the side of the
images, the split and a NumPy generator, and returns images `(n, size, size)`
in 0..1 that do not show the ellipses yet.
"""

import numpy as np

from keras_xmap.datasets._ellipse_geometry import SIDE
from keras_xmap.datasets._ellipse_geometry import elliptic_radius
from keras_xmap.datasets._photo_objects import photo_objects

_NUM_TRIALS = 16


def draw_circles(shapes, size, split, rng):
    """Draws 2 to 5 white discs that touch nothing."""
    return _draw_discs(shapes, size, (2, 5), (1.5, 3.5), 1.0, rng)


def draw_points(shapes, size, split, rng):
    """Draws 10 to 40 white points that touch nothing."""
    return _draw_discs(shapes, size, (10, 40), (0.4, 0.8), 0.5, rng)


def draw_objects(shapes, size, split, rng):
    """Draws 1 to 3 grey objects anywhere, turned, mirrored and scaled."""
    count = len(shapes)
    images = np.zeros((count, size, size), "float32")
    groups = photo_objects(split, size // 2)
    number = rng.integers(1, 3, size=count, endpoint=True)
    for k in range(3):
        # Coins are many; each group is drawn as often as the other.
        pick = rng.integers(len(groups[0]), size=count)
        other = rng.integers(len(groups[1]), size=count)
        is_other = rng.uniform(size=count) < 0.5
        layers = np.where(
            is_other[:, None, None, None], groups[1][other], groups[0][pick]
        )
        ink, cover = _place(layers, size, rng)
        shade = rng.uniform(0.4, 0.8, size=(count, 1, 1)).astype("float32")
        here = (k < number)[:, None, None]
        images += here * (shade * ink - cover * images)
    return images


def _draw_discs(shapes, size, numbers, radii, gap, rng):
    count, scale = len(shapes), size / SIDE
    number = rng.integers(*numbers, size=count, endpoint=True)
    discs = np.empty((count, numbers[1], 3), "float32")
    # A disc that is not there is nowhere near.
    discs[:] = (-SIDE, -SIDE, 0)
    images = np.zeros((count, size, size), "float32")
    for k in range(numbers[1]):
        radius = rng.uniform(*radii, size=(count, 1))
        margin = radius + 0.5
        draw = rng.uniform(size=(2, count, _NUM_TRIALS))
        places = (margin + (SIDE - 2 * margin) * draw).astype("float32")
        free = _are_free(places, radius + gap, shapes, discs[:, :k])
        rows, chosen = np.arange(count), np.argmax(free, axis=1)
        kept = free[rows, chosen] & (k < number)
        chosen = places[:, rows, chosen].T
        discs[kept, k] = np.concatenate([chosen, radius], axis=1)[kept]
        _stamp(images, kept, discs[kept, k] * scale, radii[1] * scale)
    return images


def _are_free(places, reach, shapes, discs):
    """Whether discs of radius `reach` touch nothing, `(n, num_trials)`."""
    free = np.ones(places.shape[1:], bool)
    for shape in np.moveaxis(shapes, 1, 0):
        grown = shape.copy()
        grown[:, 2:4] += reach
        free &= elliptic_radius(grown, *places)[0] > 1
    x, y, r = np.moveaxis(discs, -1, 0)[:, :, None]
    apart = (places[0][..., None] - x) ** 2 + (places[1][..., None] - y) ** 2
    return free & (apart >= (r + reach[..., None]) ** 2).all(axis=-1)


def _stamp(images, chosen, discs, largest):
    """Adds one disc to each chosen image, in a window that holds it."""
    side = min(2 * int(np.ceil(largest + 1)) + 1, images.shape[1])
    first = np.floor(discs[:, :2] - side / 2 + 0.5).astype(int)
    first = first.clip(0, images.shape[1] - side)
    x = first[:, 0, None, None] + np.arange(side)
    y = first[:, 1, None, None] + np.arange(side)[:, None]
    cx, cy, radius = discs.T[:, :, None, None]
    inside = radius - np.hypot(x + 0.5 - cx, y + 0.5 - cy)
    window = (np.flatnonzero(chosen)[:, None, None], y, x)
    cover = np.clip(0.5 + inside, 0, 1)
    images[window] = np.maximum(images[window], cover)


def _place(layers, size, rng):
    """Samples layers `(n, side, side, 2)` where an object of them lies."""
    shape = (len(layers), 1, 1)
    side = layers.shape[1] - 2
    grid = np.arange(size, dtype="float32") + 0.5
    centre = size * rng.uniform(0.1, 0.9, size=(2, *shape))
    # Its longer side takes 0.25 to 0.5 of the image.
    zoom = side / (size * rng.uniform(0.25, 0.5, size=shape))
    turn = rng.uniform(0, 2 * np.pi, size=shape)
    mirror = np.where(rng.uniform(size=shape) < 0.5, -1, 1)
    x = mirror * (grid[None, None] - centre[0])
    y = grid[None, :, None] - centre[1]
    along = zoom * (np.cos(turn) * x + np.sin(turn) * y)
    down = zoom * (np.cos(turn) * y - np.sin(turn) * x)
    # A frame of zeros stands for the outside.
    along = np.clip(along + (side + 1) / 2, 0, side + 1)
    down = np.clip(down + (side + 1) / 2, 0, side + 1)
    return np.moveaxis(_interpolate(layers, down, along), -1, 0)


def _interpolate(layers, y, x):
    last = layers.shape[1] - 2
    top = np.minimum(y.astype(int), last)
    left = np.minimum(x.astype(int), last)
    down, right = ((a - b)[..., None] for a, b in ((y, top), (x, left)))
    image = np.arange(len(layers))[:, None, None]
    upper = layers[image, top, left] * (1 - right)
    upper += layers[image, top, left + 1] * right
    lower = layers[image, top + 1, left] * (1 - right)
    lower += layers[image, top + 1, left + 1] * right
    return (upper * (1 - down) + lower * down).astype("float32")
