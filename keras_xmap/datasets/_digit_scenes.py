"""Scenes of digits in clutter: how one is composed of glyphs of 8 x 8 pixels.

What the public data sets of this kind share: all but where their digits come
from.
"""

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_integer
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap.datasets._seeds import seed_or_drawn

_PHOTOGRAPHS = ("brick", "camera", "grass", "gravel")
# Pixels of a glyph for each pixel of a digit.
_ZOOM = 4
_NUM_DECOYS = 256
_CHUNK = 256


def digit_scenes(
    load_digits, num_scenes, size, num_classes, multi_label, split, seed
):
    """Returns images, labels and masks, see `handwritten_scenes`.

    Args:
        load_digits: Function of a split and a number of classes. It returns
            the digits of these classes, float array `(n, 8, 8)` in 0..1, and
            their classes, integer array `(n,)`.
        num_scenes: See `handwritten_scenes`, as all that follow.
    """
    num_scenes = check_positive_integer("num_scenes", num_scenes)
    check_integer("size", size, 32, 256)
    check_integer("num_classes", num_classes, 1, 10)
    check_one_of("split", split, ("train", "test"))
    check_boolean("multi_label", multi_label)
    rng = np.random.default_rng(seed_or_drawn(seed))
    digits, classes = load_digits(split, num_classes)
    decoys = _enlarge(_shuffle_quarters(digits, rng))
    digits = _enlarge(digits)
    grounds = _load_photographs(split)
    compose = _compose_several if multi_label else _compose_single
    order = rng.permutation(num_scenes) % num_classes
    images = np.empty((num_scenes, size, size, 1), "float32")
    mask_shape = (num_classes,) if multi_label else ()
    masks = np.zeros((num_scenes, size, size, *mask_shape), bool)
    # Chunks bound the memory of the drawing, not only its speed.
    for start in range(0, num_scenes, _CHUNK):
        part = slice(start, start + _CHUNK)
        scenes = _draw_grounds(grounds, len(order[part]), size, rng)
        _draw_scratches(scenes, rng)
        compose(scenes, masks[part], order[part], digits, classes, decoys, rng)
        images[part, ..., 0] = scenes
    labels = order.astype("int32")
    if multi_label:
        labels = masks.any(axis=(1, 2)).astype("float32")
    return images, labels, masks


def _load_photographs(split):
    from skimage import data

    half = slice(256) if split == "train" else slice(256, None)
    photographs = [getattr(data, name)() for name in _PHOTOGRAPHS]
    return np.stack([photo[:, half] for photo in photographs]) / 255


def _shuffle_quarters(digits, rng):
    # Each corner holds the opposite corner of another digit, and all lies on
    # its side: the strokes are real, their arrangement is that of no digit.
    # Upright, two vertical strokes of a decoy would pass for a one.
    chosen = rng.integers(len(digits), size=(4, _NUM_DECOYS))
    a, b, c, d = digits[chosen]
    top = np.concatenate([a[:, 4:, 4:], b[:, 4:, :4]], axis=2)
    bottom = np.concatenate([c[:, :4, 4:], d[:, :4, :4]], axis=2)
    return np.rot90(np.concatenate([top, bottom], axis=1), axes=(1, 2))


def _enlarge(glyphs):
    from skimage.transform import resize

    # A frame of zeros lets strokes that touch the border end softly; a hard
    # edge would tell decoys from digits.
    glyphs = np.pad(glyphs, ((0, 0), (1, 1), (1, 1)))
    length = glyphs.shape[1]
    # Cubic interpolation is linear in the values and the same for rows and
    # columns, so one matrix enlarges all glyphs. Its weights may be negative.
    shape = (_ZOOM * length, length)
    cubic = resize(np.eye(length), shape, order=3, mode="edge", clip=False)
    return np.clip(cubic @ glyphs @ cubic.T, 0, 1).astype("float32")


def _draw_grounds(photographs, count, size, rng):
    crops = np.lib.stride_tricks.sliding_window_view(
        photographs, (size, size), axis=(1, 2)
    )
    which = [rng.integers(length, size=count) for length in crops.shape[:3]]
    crops = crops[tuple(which)].astype("float32")
    low = crops.min(axis=(1, 2), keepdims=True)
    high = crops.max(axis=(1, 2), keepdims=True)
    contrast = rng.uniform(0.3, 0.6, size=(count, 1, 1)).astype("float32")
    return contrast * (crops - low) / np.maximum(high - low, 1e-3)


def _draw_scratches(scenes, rng):
    count, size = scenes.shape[:2]
    rows, columns = np.mgrid[:size, :size].astype("float32")
    for _ in range(3):
        # The circle of a large radius through a random point of the scene.
        point = rng.uniform(0, size, size=(2, count, 1, 1)).astype("float32")
        angle = rng.uniform(0, 2 * np.pi, size=(count, 1, 1))
        radius = rng.uniform(0.8, 3, size=(count, 1, 1)) * size
        row = point[0] + (radius * np.sin(angle)).astype("float32")
        column = point[1] + (radius * np.cos(angle)).astype("float32")
        off = np.abs(np.hypot(rows - row, columns - column) - radius)
        ink = np.clip(0.015 * size + 0.5 - off, 0, 1).astype("float32")
        shade = rng.uniform(0.5, 1, size=(count, 1, 1)).astype("float32")
        scenes += ink * (shade - scenes)


def _compose_single(scenes, masks, labels, digits, classes, decoys, rng):
    count, size = scenes.shape[:2]
    centre = rng.uniform(0.24, 0.76, size=(2, count))
    for _ in range(3):
        chosen = decoys[rng.integers(len(decoys), size=count)]
        _stamp(scenes, chosen, size * _clear_of(centre, rng), rng)
    chosen = digits[_draw_of_class(classes, labels, rng)]
    ink, window = _stamp(scenes, chosen, size * centre, rng)
    masks[window] = ink


def _compose_several(scenes, masks, labels, digits, classes, decoys, rng):
    count, size = scenes.shape[:2]
    num_classes = masks.shape[-1]
    num_digits = rng.integers(1, min(3, num_classes), size=count, endpoint=True)
    # Different classes: the balanced one first, the others in any order.
    turns = rng.permuted(np.tile(np.arange(num_classes), (count, 1)), axis=1)
    turns[turns == labels[:, None]] = turns[:, 0]
    turns[:, 0] = labels
    # One cell of a 2 x 2 grid for each digit or decoy: no ink meets another.
    cells = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
    for k in range(4):
        is_digit = k < num_digits
        label = turns[:, min(k, num_classes - 1)]
        chosen = decoys[rng.integers(len(decoys), size=count)]
        drawn = digits[_draw_of_class(classes, label, rng)]
        chosen = np.where(is_digit[:, None, None], drawn, chosen)
        corner = np.stack(np.divmod(cells[:, k], 2))
        jitter = rng.uniform(-0.03, 0.03, size=(2, count))
        centre = (0.25 + 0.5 * corner + jitter) * size
        ink, window = _stamp(scenes, chosen, centre, rng)
        layer = (*window, label[:, None, None])
        masks[layer] |= ink & is_digit[:, None, None]


def _clear_of(centre, rng):
    # The first of 16 random places that leaves the digit free, or else the
    # farthest of them.
    places = rng.uniform(0, 1, size=(2, 16, centre.shape[1]))
    distance = np.abs(places - centre[:, None]).max(axis=0)
    chosen = np.argmax(np.minimum(distance, 0.38), axis=0)
    return places[:, chosen, np.arange(centre.shape[1])]


def _draw_of_class(classes, labels, rng):
    order = np.argsort(classes, kind="stable")
    sizes = np.bincount(classes)
    firsts = np.cumsum(sizes) - sizes
    return order[firsts[labels] + rng.integers(sizes[labels])]


def _stamp(scenes, glyphs, centre, rng):
    """Draws one glyph into each scene, turned and scaled.

    Args:
        scenes: Float array `(count, size, size)`, changed in place.
        glyphs: Float array `(count, glyph_size, glyph_size)` in 0..1.
        centre: Float array `(2, count)`, rows and columns in pixels.
        rng: NumPy generator.

    Returns:
        The ink, bool `(count, side, side)`, and the index of its window in
        the scenes.
    """
    count, size = scenes.shape[:2]
    shape = (count, 1, 1)
    scale = _ZOOM * 8 / (size * rng.uniform(0.3, 0.4, size=shape))
    angle = rng.uniform(-np.pi / 12, np.pi / 12, size=shape)
    shade = rng.uniform(0.75, 1, size=shape).astype("float32")
    side = int(0.55 * size)
    first = np.clip(np.floor(centre - side / 2), 0, size - side).astype(int)
    rows = first[0].reshape(shape) + np.arange(side)[:, None]
    columns = first[1].reshape(shape) + np.arange(side)
    # From the pixels of the scene back to those of the glyph.
    y = (scale * (rows + 0.5 - centre[0].reshape(shape))).astype("float32")
    x = (scale * (columns + 0.5 - centre[1].reshape(shape))).astype("float32")
    cosine = np.cos(angle).astype("float32")
    sine = np.sin(angle).astype("float32")
    middle = (glyphs.shape[1] - 1) / 2
    glyph_y = cosine * y - sine * x + middle
    glyph_x = sine * y + cosine * x + middle
    ink = _interpolate(glyphs, glyph_y, glyph_x)
    window = (np.arange(count)[:, None, None], rows, columns)
    below = scenes[window]
    scenes[window] = below + ink * (shade - below)
    return ink > 0.5, window


def _interpolate(glyphs, y, x):
    # Linear, and zero outside: the frame of zeros stands for the outside.
    glyphs = np.pad(glyphs, ((0, 0), (1, 1), (1, 1)))
    last = glyphs.shape[1] - 1
    y, x = np.clip(y + 1, 0, last), np.clip(x + 1, 0, last)
    top = np.minimum(y.astype(int), last - 1)
    left = np.minimum(x.astype(int), last - 1)
    down, right = (y - top).astype("float32"), (x - left).astype("float32")
    image = np.arange(len(glyphs))[:, None, None]
    upper = glyphs[image, top, left] * (1 - right)
    upper += glyphs[image, top, left + 1] * right
    lower = glyphs[image, top + 1, left] * (1 - right)
    lower += glyphs[image, top + 1, left + 1] * right
    return upper * (1 - down) + lower * down
