import keras
import numpy as np
import pytest
from reference import quadtree as reference

from keras_xmap.ops import quadtree
from keras_xmap.ops import quadtree_decode
from keras_xmap.ops import quadtree_encode
from keras_xmap.ops import quadtree_leaves

RNG = np.random.default_rng(0)


def smooth(height, width, channels=2, batch=2):
    """Images of flat and of busy places, from 0 to about 200."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(y * x / (90.0 + 9 * k)) for k in range(batch * channels)]
    images = 100 + 100 * np.stack(waves).reshape(batch, channels, height, width)
    return np.moveaxis(images, 1, -1).astype("float32")


def found(*arguments, **options):
    return np.asarray(quadtree(*arguments, **options))


def round_trip(x, levels, **options):
    values = quadtree_encode(x, levels, **options)
    return np.asarray(quadtree_decode(values, levels, **options))


# A size is a graph of its own, which JAX compiles slowly.
SIZES = [
    (13, 21),
    *(
        pytest.param(size, marks=pytest.mark.slow)
        for size in [(16, 16), (33, 2), (1, 1)]
    ),
]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    "num_levels, criterion, threshold",
    [
        (1, "range", 60),
        (4, "range", 60),
        (9, "range", 0),
        (4, "variance", 400),
        (9, "variance", 400),
    ],
)
def test_levels_are_those_of_the_recursion(
    size, num_levels, criterion, threshold
):
    x = smooth(*size)
    levels = found(x, threshold, num_levels, criterion)
    assert levels.dtype == np.int32
    for image, of_image in zip(x, levels, strict=True):
        expected = reference.levels(image, threshold, num_levels, criterion)
        np.testing.assert_array_equal(of_image, expected)


@pytest.mark.slow
def test_the_levels_that_are_tested_are_of_all_kinds():
    assert set(found(smooth(40, 40), 60, 4).ravel()) == {0, 1, 2, 3}
    variance = found(smooth(40, 40), 400, 4, "variance")
    assert set(variance.ravel()) == {0, 1, 2, 3}


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_leaves_cover_each_pixel_once_in_the_order_of_their_corners(size):
    levels = found(smooth(*size), 60, 4)
    table = np.asarray(quadtree_leaves(levels))
    assert table.dtype == np.int32
    expected = [
        (number, *box)
        for number, of_image in enumerate(levels)
        for box in reference.leaves(of_image)
    ]
    np.testing.assert_array_equal(table, expected)
    covered = np.zeros(levels.shape, int)
    for number, x0, y0, x1, y1 in table:
        covered[number, y0:y1, x0:x1] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_leaves_have_their_means(size):
    x = smooth(*size)
    levels = found(x, 60, 4)
    expected = [reference.means(*pair) for pair in zip(x, levels, strict=True)]
    np.testing.assert_allclose(round_trip(x, levels), expected, rtol=1e-5)


DTYPES = ["float32", "float16", "uint8", "int32", "bool", "int64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_threshold_0_nothing_is_lost(dtype):
    # Thirds and sevenths have no exact sums, and 7 rows no full squares.
    x = np.repeat(RNG.integers(0, 9, (2, 7, 11, 3)) / 7, 3, 2).round(3)
    x = (x if dtype.startswith("float") else 7 * x).astype(dtype)
    if dtype == "int32":
        x = x + np.int32(2**30 + 1)  # beyond what float32 holds
    levels = found(x, 0, 4)
    assert levels.max() > 0 and levels.min() == 0
    back = round_trip(keras.ops.convert_to_tensor(x), levels)
    assert back.dtype == x.dtype or dtype == "int64"
    np.testing.assert_array_equal(back, x)


def test_integers_that_float32_does_not_tell_apart_are_other_leaves():
    x = np.array([[[2**30, 2**30 + 1]]], "int32")
    assert found(x, 0.9, 2).tolist() == [[[0, 0]]]
    assert found(x, 1, 2).tolist() == [[[1, 1]]]
    extremes = np.array([[[-(2**31), 2**31 - 1]]], "int32")
    assert found(extremes, 1e12, 2).tolist() == [[[0, 0]]]


def test_means_of_integers_are_rounded():
    x = np.array([[[250, 255], [255, 255]]], "uint8")
    values = quadtree_encode(keras.ops.convert_to_tensor(x), [[[1, 1]] * 2])
    assert np.asarray(values).tolist() == [254]


@pytest.mark.slow
def test_the_range_bounds_the_error_and_the_variance_its_square():
    x = smooth(45, 60)
    for threshold in (5, 20, 80):
        levels = found(x, threshold)
        error = np.abs(round_trip(x, levels) - x)
        assert 0.2 * threshold < error.max() <= threshold
        levels = found(x, threshold**2, criterion="variance")
        error = np.square(round_trip(x, levels) - x)
        assert 0 < error.mean((1, 2)).max() <= threshold**2


def test_a_small_variance_beside_a_large_mean_is_seen():
    x = 1e4 + 0.5 * RNG.normal(size=(1, 16, 16)).astype("float32")
    expected = x.astype("float64").var()
    assert found(x, 1.01 * expected, 5, "variance").max() == 4
    assert found(x, 0.99 * expected, 5, "variance").max() < 4


def test_a_variance_whose_square_underflows_is_not_0():
    x = np.array([[[1e-30, 2e-30]]], "float32")
    assert found(x, 0, 2, "variance").max() == 0


def test_every_channel_counts():
    x = np.zeros((1, 2, 2, 3), "float32")
    x[0, 0, 0, 1] = 5.0
    assert found(x, 4).max() == 0
    assert found(x, 5).min() == 5  # and the square is larger than the image


def test_pixels_that_are_not_finite_are_leaves_of_their_own():
    x = np.zeros((1, 8, 8), "float32")
    x[0, 1, 1], x[0, 5, 6], x[0, 6, 1] = np.nan, np.inf, -np.inf
    for criterion in ("range", "variance"):
        levels = found(x, 1.0, 4, criterion)
        assert levels[0, 1, 1] == levels[0, 5, 6] == levels[0, 6, 1] == 0
        assert levels[0, 0, 4] == 2
        np.testing.assert_array_equal(round_trip(x, levels), x)


def test_channels_may_come_first():
    x = smooth(9, 14, 3)
    first = np.moveaxis(x, -1, 1)
    levels = found(x, 60)
    np.testing.assert_array_equal(
        found(first, 60, data_format="channels_first"), levels
    )
    values = quadtree_encode(first, levels, "channels_first")
    np.testing.assert_array_equal(values, quadtree_encode(x, levels))
    back = np.asarray(quadtree_decode(values, levels, "channels_first"))
    np.testing.assert_array_equal(
        back, np.moveaxis(round_trip(x, levels), -1, 1)
    )


def test_maps_may_be_kept_on_the_tree_of_another_image():
    x = smooth(9, 14)
    levels = found(x, 60)
    maps = RNG.normal(size=(2, 9, 14))
    expected = [
        reference.means(m[..., None], of_image)[..., 0]
        for m, of_image in zip(maps, levels, strict=True)
    ]
    np.testing.assert_allclose(round_trip(maps, levels), expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_sizes_may_be_unknown_until_the_call():
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 2))])
    def painted(x):
        levels = quadtree(x, 60.0, 3)
        values = quadtree_encode(x, levels)
        leaves = quadtree_leaves(levels)
        return levels, leaves, quadtree_decode(values, levels)

    for size in ((9, 14), (40, 3)):
        x = smooth(*size)
        levels, leaves, back = painted(x)
        np.testing.assert_array_equal(levels, found(x, 60, 3))
        np.testing.assert_array_equal(leaves, quadtree_leaves(levels))
        np.testing.assert_array_equal(back, round_trip(x, levels))


def test_whatever_is_known_of_leaves_can_be_painted():
    levels = found(smooth(9, 14), 60)
    number = len(np.asarray(quadtree_leaves(levels)))
    painted = np.asarray(quadtree_decode(np.arange(number), levels))
    counts = np.bincount(painted.ravel())
    _, x0, y0, x1, y1 = np.asarray(quadtree_leaves(levels)).T
    np.testing.assert_array_equal((x1 - x0) * (y1 - y0), counts)


X = smooth(4, 4)
LEVELS = np.zeros((2, 4, 4), "int32")
BAD = [
    (lambda: quadtree(X, -1), "Received: threshold=-1"),
    (lambda: quadtree(X, 1, 0), "Received: num_levels=0"),
    (lambda: quadtree(X, 1, 32), "Received: num_levels=32"),
    (lambda: quadtree(X, 1, criterion="mean"), "Received: criterion='mean'"),
    (lambda: quadtree(X[0, 0], 1), r"Received: x.shape=\(4, 2\)"),
    (
        lambda: quadtree(X, 1, data_format="last"),
        "Received: data_format='last'",
    ),
    (lambda: quadtree_leaves(X[..., 0]), "levels.dtype=float32"),
    (lambda: quadtree_leaves(LEVELS[0]), r"levels.shape=\(4, 4\)"),
    (lambda: quadtree_leaves(LEVELS - 1), "Received: levels from -1 to -1"),
    (lambda: quadtree_leaves(LEVELS + 31), "Received: levels from 31 to 31"),
    (
        lambda: quadtree_leaves(LEVELS + np.eye(4, dtype="int32")),
        "Received: levels that differ within",
    ),
    (
        lambda: quadtree_encode(X[:, :3], LEVELS),
        r"\(batch, height, width\)=\(2, 3, 4\), levels.shape=\(2, 4, 4\)",
    ),
    (
        lambda: quadtree_decode(np.ones(31), LEVELS),
        r"values.shape=\(31,\) for 32 leaves",
    ),
    (
        lambda: quadtree_decode(np.ones((32, 1, 1)), LEVELS),
        r"values.shape=\(32, 1, 1\)",
    ),
]


@pytest.mark.parametrize("call, message", BAD, ids=[x for _, x in BAD])
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
