"""Occlusion of which most windows are left out, beside the whole of it."""

import functools
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import CONVOLUTIONS
from explainers.networks import assert_close
from explainers.networks import images
from keras import layers
from reference.perturbation import scattered

from keras_xmap.explainers import Occlusion
from keras_xmap.explainers import QuadtreeOcclusion
from keras_xmap.targets import MaskedMean

pytestmark = pytest.mark.tensorflow


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@functools.cache
def network(*size):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((*size, 2))
    x = CONVOLUTIONS[len(size)](4, 3, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


class CountsPasses(layers.Layer):
    """Counts the images that went through."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def call(self, x):
        def counted(x):
            self.count += len(x)
            return x

        y = tf.numpy_function(counted, [x], x.dtype)
        y.set_shape(x.shape)
        return y


@functools.cache
def a_spot():
    """Two scores that see a few pixels each, of 24 x 31, and a counter."""
    counter = CountsPasses()
    inputs = keras.Input((24, 31, 1))
    x = counter(inputs)
    corner = layers.Cropping2D(((2, 19), (3, 26)))(x)
    middle = layers.Cropping2D(((12, 9), (20, 8)))(x)
    pooled = [layers.GlobalAveragePooling2D()(y) for y in (corner, middle)]
    return keras.Model(inputs, layers.Concatenate()(pooled)), counter


ONES = np.ones((3, 24, 31, 1), "float32")


def passes(explainer, x=ONES, target=0, **options):
    """Returns the maps, and how many images went through the model."""
    _, counter = a_spot()
    explainer.explain(x[:1], target, verbose=0, **options)
    counter.count = 0
    maps = explainer.explain(x, target, verbose=0, **options)
    return maps, counter.count


@pytest.mark.parametrize(
    "size, patch_size, strides",
    [
        ((13, 17), 5, 1),
        slow((13, 17), 4, 2),
        slow((23,), 5, 1),
        slow((7, 6, 8), 4, 2),
    ],
    ids=str,
)
def test_without_tolerance_it_is_occlusion(size, patch_size, strides):
    model, x = network(*size), images(*size, 2)
    options = {"strides": strides, "baseline": "mean"}
    dense = Occlusion(model, patch_size, **options)
    quadtree = QuadtreeOcclusion(model, patch_size, tolerance=0, **options)
    maps, expected = (e.explain(x, 1, verbose=0) for e in (quadtree, dense))
    assert_close(maps, expected, 5e-7)
    # TensorFlow may optimize the two graphs, with their rounding, otherwise.
    if not os.environ.get("KERAS_XMAP_OPTIMIZED_GRAPHS"):
        np.testing.assert_array_equal(maps, expected)


def effect_of_windows(model, image, k, patch, strides):
    """Returns the effect of each window, one by one, as a function."""
    clean = model(image[None]).numpy()[0, k]

    @functools.cache
    def effect(point):
        changed = image.copy()
        changed[
            tuple(
                slice(i * step, i * step + width)
                for i, step, width in zip(point, strides, patch, strict=True)
            )
        ] = 0
        return clean - model(changed[None]).numpy()[0, k]

    return effect


@pytest.mark.parametrize(
    "size, patch, strides, tolerance",
    [
        slow((90,), (40,), (1,), 0.1),
        slow((90,), (40,), (1,), 0.2),
        ((13, 17), (7, 7), (1, 1), 0.1),
        slow((13, 17), (6, 8), (1, 2), 0.2),
        slow((9, 6, 9), (4, 4, 4), (1, 2, 1), 0.1),
    ],
    ids=str,
)
def test_maps_are_those_of_the_reference(size, patch, strides, tolerance):
    model, image = network(*size), images(*size, 2, count=1)[0]
    effect = effect_of_windows(model, image, 1, patch, strides)
    expected, found = scattered(effect, size, patch, strides, tolerance)
    counts = [
        -(-(length - width) // step) + 1
        for length, width, step in zip(size, patch, strides, strict=True)
    ]
    assert len(found) < 0.9 * np.prod(counts)
    maps = QuadtreeOcclusion(model, patch, strides, tolerance).explain(
        image[None], 1, verbose=0
    )
    assert_close(maps[0], expected, 3e-6)


# Of 17 x 24 windows of 8 x 8 pixels, those over each position, 64, are 12 at
# first: 12 / 64 of all, by the turns that are counted here one by one.
FIRST = 81


def test_the_first_windows_are_a_share_of_all_that_lies_on_no_grid():
    ratio = 1.3247179572447458  # x ** 3 = x + 1
    rows, columns = np.mgrid[:17, :24]
    turns = (rows / ratio + columns / ratio**2) % 1
    first = turns < 12 / 64
    assert first.sum() == FIRST
    # Every box of 8 x 8 windows holds about 12.
    boxes = np.lib.stride_tricks.sliding_window_view(first, (8, 8))
    counts = boxes.sum(axis=(2, 3))
    assert counts.min() >= 10 and counts.max() <= 15
    # And no two rows of a box hold the same ones, as those of a grid do.
    for row in range(16):
        assert (first[row] != first[row + 1]).any()
    _, count = passes(QuadtreeOcclusion(a_spot()[0], 8, 1, 0.9))
    assert count == 3 * (1 + FIRST)


def test_where_nothing_changes_no_windows_are_spent():
    model, _ = a_spot()
    dense, all_passes = passes(Occlusion(model, 8, 1))
    sparse, few = passes(QuadtreeOcclusion(model, 8, 1))
    assert all_passes == 3 * (1 + 17 * 24)
    assert few < all_passes / 2.5
    # All of those that see the spot are found: nothing is off.
    assert_close(sparse, dense)


@pytest.mark.slow
def test_it_is_nearer_to_all_windows_than_a_grid_of_more():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((64, 64, 1))
    x = layers.Conv2D(4, 5, strides=4, activation="relu")(inputs)
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    outputs = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model, x = keras.Model(inputs, outputs), images(64, 64, 1, count=2)
    x[:, 20:40, 30:50] *= 4
    dense = Occlusion(model, 16, 1).explain(x, 1, verbose=0)

    def error(explainer):
        found = explainer.explain(x, 1, verbose=0)
        return ((found - dense) ** 2).mean() / dense.var()

    # Of 49 x 49 windows 143, beside grids of 13 x 13 and 11 x 11.
    scattered = QuadtreeOcclusion(model, 16, 1, 0.04, max_passes=144)
    grids = [error(Occlusion(model, 16, strides)) for strides in (4, 5)]
    assert error(scattered) < 0.7 * min(grids)


@pytest.mark.parametrize(
    "max_passes, tolerance", [(120, 0), slow(FIRST + 1, 0), slow(90, 0.04)]
)
def test_no_more_passes_are_made_than_allowed(max_passes, tolerance):
    model, _ = a_spot()
    explainer = QuadtreeOcclusion(model, 8, 1, tolerance, max_passes)
    one, count = passes(explainer, ONES[:1])
    assert count <= max_passes
    assert count == max_passes
    three, count = passes(explainer)
    steps = 5
    assert count <= 3 * max_passes + 2 * steps  # passes that are filled up
    assert_close(three, np.repeat(one, 3, axis=0))


@pytest.mark.slow
def test_more_passes_bring_the_map_nearer_to_that_of_all():
    model, _ = a_spot()
    dense = Occlusion(model, 8, 1).explain(ONES[:1], 0, verbose=0)
    errors = []
    for max_passes in (82, 120, 1000):
        explainer = QuadtreeOcclusion(model, 8, 1, 0.02, max_passes)
        found = explainer.explain(ONES[:1], 0, verbose=0)
        errors.append(np.abs(found - dense).max())
    assert errors[0] > 1.2 * errors[1] > 0.02
    assert errors[2] < 1e-6


@pytest.mark.slow
def test_images_that_need_other_windows_have_the_maps_that_they_have_alone():
    model, _ = a_spot()
    x = images(24, 31, 1, count=5) + np.float32(0.5)
    explainer = QuadtreeOcclusion(model, 8, 1)
    classes = [0, 1, 1, 0, 1]
    together = explainer.explain(x, classes, verbose=0)
    alone = explainer.explain(x, classes, batch_size=1, verbose=0)
    assert_close(together, alone)
    several = explainer.explain(x, np.array([[0, 1]] * 5), verbose=0)
    dense = Occlusion(model, 8, 1).explain(x, [[0, 1]] * 5, verbose=0)
    assert_close(several, dense, 0.1)


def several_inputs():
    inputs = {
        "image": keras.Input((9, 9, 1), name="image"),
        "word": keras.Input((1,), dtype="string", name="word"),
        "vector": keras.Input((3,), name="vector"),
    }
    lookup = layers.StringLookup(vocabulary=["a", "b", "c"])
    word = layers.Flatten()(layers.Embedding(4, 81)(lookup(inputs["word"])))
    image = layers.Flatten()(inputs["image"])
    x = layers.Multiply()([image, word])
    vector = layers.Dense(81, activation="relu")(inputs["vector"])
    x = layers.Multiply()([x, vector])
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.mark.slow
def test_copies_of_an_image_go_with_its_other_inputs():
    keras.utils.set_random_seed(0)
    model = several_inputs()
    data = {
        "image": images(9, 9, 1, count=4),
        "word": tf.constant([["a"], ["c"], ["b"], ["c"]]),
        "vector": images(3, seed=1, count=4),
    }
    explainer = QuadtreeOcclusion(model, 3, 1, tolerance=0.6)
    together = explainer.explain(data, 1, verbose=0)
    alone = explainer.explain(data, 1, batch_size=1, verbose=0)
    assert together["word"] is None
    for name in ("image", "vector"):
        assert_close(together[name], alone[name])


@pytest.mark.slow
def test_copies_of_an_image_go_with_its_target():
    inputs = keras.Input((12, 12, 1))
    outputs = layers.Conv2D(2, 3, padding="same")(inputs)
    model, x = keras.Model(inputs, outputs), images(12, 12, 1)
    masks = np.zeros((3, 12, 12), "float32")
    masks[0, :3], masks[1, 6:, 6:], masks[2, :, 5] = 1, 1, 1
    target = MaskedMean(1, masks)
    explainer = QuadtreeOcclusion(model, 4, 1, tolerance=0.2)
    together = explainer.explain(x, target, verbose=0)
    alone = explainer.explain(x, target, batch_size=1, verbose=0)
    assert_close(together, alone)
    every = QuadtreeOcclusion(model, 4, 1, tolerance=0)
    dense = Occlusion(model, 4, 1).explain(x, target, verbose=0)
    assert_close(every.explain(x, target, verbose=0), dense)


def test_a_target_of_certain_places_in_the_batch_is_refused():
    model, x = network(13, 17), images(13, 17, 2)
    one_hot = np.eye(3, dtype="float32")[[2, 0, 1]]

    def target(outputs):
        return tf.reduce_sum(one_hot * outputs, axis=-1)

    explainer = QuadtreeOcclusion(model, 5, 1)
    with pytest.raises(ValueError, match="images change places, by"):
        explainer.explain(x, target, verbose=0)
    # As the message says: as an array, or by Occlusion.
    explainer = QuadtreeOcclusion(model, 5, 1, tolerance=0)
    maps = explainer.explain(x, [2, 0, 1], verbose=0)
    dense = Occlusion(model, 5, 1).explain(x, target, verbose=0)
    assert_close(maps, dense)


@pytest.mark.slow
def test_sizes_may_be_unknown_until_the_call():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling2D()(x)))
    explainer = QuadtreeOcclusion(model, 4, 1, 0.3, max_passes=60)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def mine(x):
        return explainer(x, 1)

    for size in ((9, 7), (3, 12)):
        x = images(*size, 3)
        assert_close(mine(x), explainer.explain(x, 1, verbose=0))
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)) as error:
        mine(images(40, 40, 3))
    assert "[60] [341]" in str(error.value)


@pytest.mark.slow
def test_single_numbers_are_covered_as_a_whole():
    inputs = keras.Input(())
    x = layers.Dense(2)(layers.Reshape((1,))(inputs))
    model, numbers = keras.Model(inputs, x), np.float32([1.0, -2.0, 3.0])
    maps = QuadtreeOcclusion(model, max_passes=2).explain(numbers, 1)
    weight = model.get_weights()[0][0, 1]
    np.testing.assert_allclose(maps, weight * numbers, rtol=1e-6)


def test_an_image_that_is_the_baseline_has_no_effects_and_few_passes():
    model, _ = a_spot()
    with pytest.warns(UserWarning, match="zero everywhere"):
        maps, count = passes(QuadtreeOcclusion(model, 8, 1), 0 * ONES)
    np.testing.assert_array_equal(maps, 0)
    assert count == 3 * (1 + FIRST)


BAD = [
    ({"tolerance": -0.1}, "Received: tolerance=-0.1"),
    ({"tolerance": 1}, "Received: tolerance=1"),
    ({"max_passes": 1}, "Received: max_passes=1"),
    ({"max_passes": 2.5}, "Received: max_passes=2.5"),
    ({"patch_size": 0}, "Received: patch_size=0"),
    ({"patch_size": 4, "strides": 5}, "Received: strides=5, patch_size=4"),
    ({"baseline": "black"}, "Received: baseline='black'"),
]


@pytest.mark.parametrize("options, message", BAD, ids=lambda x: str(x))
def test_bad_arguments_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        QuadtreeOcclusion(a_spot()[0], **options)


def test_too_few_passes_for_the_first_windows_are_refused():
    model, _ = a_spot()
    with pytest.raises(ValueError, match=r"windows\) \[81\] \[81\]"):
        QuadtreeOcclusion(model, 8, 1, max_passes=81).explain(ONES, 0)
    maps = QuadtreeOcclusion(model, 8, 1, max_passes=82).explain(ONES, 0)
    assert maps.any()


@pytest.mark.slow
def test_strides_default_to_an_eighth_of_the_patch():
    model, _ = a_spot()
    for patch_size, strides in ((16, 2), (7, 1), ((16, 8), (2, 1))):
        given = QuadtreeOcclusion(model, patch_size, strides)
        default = QuadtreeOcclusion(model, patch_size)
        np.testing.assert_array_equal(
            default.explain(ONES[:1], 0), given.explain(ONES[:1], 0)
        )
