import numpy as np
import pytest

from keras_xmap.segmentation import random_walk
from keras_xmap.segmentation._pairs import offsets
from keras_xmap.segmentation.random_walk import transition

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.normal(size=(5, 7, 3))
MAPS = GENERATOR.uniform(size=(2, 5, 7))


def dense_walk(maps, features, radius, beta, num_steps):
    """One pair of positions at a time, and the power of a full matrix."""
    positions = list(np.ndindex(*features.shape[:2]))
    affinity = np.zeros((len(positions), len(positions)))
    for i, p in enumerate(positions):
        for j, q in enumerate(positions):
            if (p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 < radius**2:
                distance = np.abs(features[p] - features[q]).mean()
                affinity[i, j] = np.exp(-distance) ** beta
    step = affinity / affinity.sum(axis=1, keepdims=True)
    walked = np.linalg.matrix_power(step, num_steps) @ maps.reshape(2, -1).T
    return walked.T.reshape(maps.shape), affinity


@pytest.mark.parametrize("num_steps", [1, 3, 256])
@pytest.mark.parametrize("radius, beta", [(2, 1.0), (3, 0.5), (5, 8.0)])
def test_it_is_the_power_of_the_full_matrix(radius, beta, num_steps):
    options = (radius, beta, num_steps)
    expected, _ = dense_walk(MAPS, FEATURES, *options)
    actual = random_walk(MAPS, FEATURES, *options)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_a_walk_on_three_positions_by_hand():
    # Neighbours alone; affinities 1/2 and 1/4, and 1 of each with itself.
    features = np.array([[[0.0], [np.log(2)], [np.log(8)]]])
    maps = np.array([[[1.0, 0.0, 0.0]]])
    step = np.array(
        [[2 / 3, 1 / 3, 0], [2 / 7, 4 / 7, 1 / 7], [0, 1 / 5, 4 / 5]]
    )
    once = random_walk(maps, features, radius=2, beta=1, num_steps=1)
    np.testing.assert_allclose(once[0, 0], step[:, 0], atol=1e-7)
    twice = random_walk(maps, features, radius=2, beta=1, num_steps=2)
    np.testing.assert_allclose(twice[0, 0], (step @ step)[:, 0], atol=1e-7)
    # A power of 2 squares the affinities.
    squared = random_walk(maps, features, radius=2, beta=2, num_steps=1)
    np.testing.assert_allclose(squared[0, 0, :2], [4 / 5, 4 / 21], atol=1e-6)


def test_rows_sum_to_one_and_only_near_positions_are_met():
    matrix = transition(FEATURES, 3, 8.0)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    dense = dense_walk(MAPS, FEATURES, 3, 8.0, 1)[1]
    assert ((matrix.toarray() > 0) == (dense > 0)).all()
    # Of the 25 steps of a disk of radius 3, one of each pair.
    assert len(offsets(3, (9, 9))) == 12
    assert len(offsets(5, (9, 9))) == 34


def test_constants_ranges_and_weighted_sums_are_kept():
    flat = np.full((1, 5, 7), 0.3)
    np.testing.assert_allclose(random_walk(flat, FEATURES), 0.3, rtol=1e-6)
    walked = random_walk(MAPS, FEATURES, beta=1.0, num_steps=7)
    for before, after in zip(MAPS, walked, strict=True):
        assert before.min() < after.min() < after.max() < before.max()
    degree = dense_walk(MAPS, FEATURES, 5, 1.0, 1)[1].sum(axis=1)
    np.testing.assert_allclose(
        walked.reshape(2, -1) @ degree, MAPS.reshape(2, -1) @ degree, rtol=1e-6
    )
    # After a long walk over what is connected nothing else is left.
    long = random_walk(MAPS, FEATURES, beta=0.1, num_steps=5000)
    expected = MAPS.reshape(2, -1) @ degree_of(0.1) / degree_of(0.1).sum()
    np.testing.assert_allclose(
        long.reshape(2, -1), np.repeat(expected[:, None], 35, 1), rtol=1e-4
    )


def test_a_walk_that_has_arrived_is_not_gone_on_with():
    long = random_walk(MAPS, FEATURES, beta=0.1, num_steps=5000)
    endless = random_walk(MAPS, FEATURES, beta=0.1, num_steps=10**9)
    np.testing.assert_allclose(endless, long, rtol=1e-6)


def degree_of(beta):
    return dense_walk(MAPS, FEATURES, 5, beta, 1)[1].sum(axis=1)


def test_like_features_are_filled_up_to_their_edge():
    features = np.zeros((9, 12, 1))
    features[:, 5:] = 9.0
    maps = np.zeros((1, 9, 12))
    maps[0, 4, 2] = 45.0
    walked = random_walk(maps, features)
    assert walked[0, :, 5:].max() < 1e-9
    # One value of 45 over 45 positions, weighed by their neighbours.
    np.testing.assert_allclose(walked[0, :, :5], 1, atol=0.8)
    assert walked[0, :, :5].min() > 0.5


def test_several_images_are_walked_one_by_one():
    batch = random_walk(np.stack([MAPS, 2 * MAPS]), np.stack([FEATURES] * 2))
    np.testing.assert_allclose(batch[1], 2 * batch[0], rtol=1e-6)
    small = random_walk([MAPS, MAPS[:1, :3]], [FEATURES, FEATURES[:3]])
    assert [x.shape for x in small] == [(2, 5, 7), (1, 3, 7)]
    np.testing.assert_array_equal(small[0], batch[0])
    # A radius beyond the grid meets all of it.
    all_of_it = random_walk(MAPS[:, :1], FEATURES[:1], radius=7)
    far = random_walk(MAPS[:, :1], FEATURES[:1], radius=2**63)
    np.testing.assert_array_equal(far, all_of_it)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"radius": 1}, "Received: radius=1"),
        ({"radius": 2.5}, "Received: radius=2.5"),
        ({"beta": 0}, "Received: beta=0"),
        ({"num_steps": 0}, "Received: num_steps=0"),
        ({"maps": -MAPS}, "Received: maps with values from -"),
        ({"maps": MAPS[0]}, "Received: maps.shape=\\(5, 7\\)"),
        ({"maps": MAPS[:, :4]}, "maps.shape=\\(2, 4, 7\\), features.shape"),
        ({"features": FEATURES[0]}, "Received: features.shape=\\(7, 3\\)"),
        ({"features": FEATURES * np.nan}, "`features` must be"),
        ({"maps": [MAPS]}, "Received: len\\(maps\\)=1, len\\(features\\)=5"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        random_walk(**{"maps": MAPS, "features": FEATURES, **options})
