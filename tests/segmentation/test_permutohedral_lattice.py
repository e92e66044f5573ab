import numpy as np
import pytest
from reference.dense_crf import gaussian

from keras_xmap.segmentation import _permutohedral_lattice
from keras_xmap.segmentation._permutohedral_lattice import PermutohedralLattice
from keras_xmap.segmentation._permutohedral_lattice import _build

RNG = np.random.default_rng(0)


def on_a_grid(height, width, stddev):
    return np.stack(np.mgrid[:height, :width], -1).reshape(-1, 2) / stddev


@pytest.mark.parametrize("d", [1, 2, 3, 5, 7])
def test_every_point_lies_in_the_simplex_of_its_corners(d):
    """Shares are those of the point as the weighted mean of its corners."""
    features = RNG.normal(size=(200, d)) * 3
    corners, shares, steps = _build(features)
    assert corners.shape == shares.shape == (200, d + 1)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    assert shares.min() > -1e-6
    assert len(steps) == d + 1
    # A corner is a place: one position fits all the points around it.
    matrix = np.zeros((200, steps[0].shape[0]))
    np.put_along_axis(matrix, corners, shares, axis=1)
    places, *_ = np.linalg.lstsq(matrix, features, rcond=None)
    np.testing.assert_allclose(matrix @ places, features, atol=1e-5)


@pytest.mark.parametrize("d", [2, 3, 5])
def test_neighbours_are_one_step_away(d):
    """A corner has at most one neighbour ahead, and is ahead of one."""
    features = RNG.normal(size=(300, d))
    _, _, steps = _build(features)
    for step in steps:
        dense = step.toarray()
        assert set(np.unique(dense)) == {0.0, 1.0}
        assert dense.sum(0).max() == dense.sum(1).max() == 1
        # Two steps do not lead back.
        assert (dense * dense.T).sum() == 0
    # No corner is the neighbour of another one in two directions.
    total = sum(step.toarray() + step.toarray().T for step in steps)
    assert total.max() == 1


@pytest.mark.parametrize("block", [1, 7, 64])
def test_it_is_the_same_in_however_many_parts_it_is_made(block, monkeypatch):
    features = RNG.normal(size=(100, 3)) * 2
    values = RNG.random((100, 2)).astype("float32")
    whole = PermutohedralLattice(features)
    monkeypatch.setattr(_permutohedral_lattice, "_BLOCK", block)
    parts = PermutohedralLattice(features)
    assert parts.num_corners == whole.num_corners
    np.testing.assert_allclose(parts(values), whole(values), rtol=1e-5)


def test_it_is_the_gaussian_of_a_grid():
    kernel = gaussian(on_a_grid(24, 32, 3))
    values = RNG.random((24 * 32, 4)).astype("float32")
    filtered = PermutohedralLattice(on_a_grid(24, 32, 3))(values)
    assert filtered.dtype == np.float32
    exact = kernel @ values
    error = np.abs(filtered - exact)
    assert error.mean() < 0.01 * exact.mean()
    # The impulse response has the width of the Gaussian.
    impulse = np.zeros((41 * 41, 1), "float32")
    impulse[20 * 41 + 20] = 1
    grid = on_a_grid(41, 41, 4)
    answer = PermutohedralLattice(grid)(impulse).ravel()
    distance = ((grid - grid[20 * 41 + 20]) ** 2).sum(1)
    variance = (answer * distance).sum() / answer.sum() / 2
    assert variance == pytest.approx(1, rel=0.15)


def test_the_kernel_is_nearly_symmetric_and_linear_in_its_weight():
    features = on_a_grid(12, 12, 3)
    one = PermutohedralLattice(features)(np.eye(144, dtype="float32"))
    # Blurs in turn, at the rim of the lattice, are not quite symmetric.
    assert np.abs(one - one.T).mean() < 0.02 * one.mean()
    three = PermutohedralLattice(features, 3)(np.eye(144, dtype="float32"))
    np.testing.assert_allclose(three, 3 * one, rtol=1e-5, atol=1e-7)
    assert one.min() >= -1e-7


def test_points_in_one_place_are_averaged_and_far_ones_do_not_meet():
    features = np.repeat([[0.0, 0.0], [400.0, -900.0]], [3, 2], axis=0)
    values = np.array([[1], [2], [6], [10], [30]], "float32")
    filtered = PermutohedralLattice(features)(values).ravel()
    np.testing.assert_allclose(filtered, [3, 3, 3, 20, 20], rtol=1e-5)


def test_moving_all_points_changes_little_and_reordering_nothing():
    features = RNG.normal(size=(500, 3))
    values = RNG.random((500, 2)).astype("float32")
    order = RNG.permutation(500)
    filtered = PermutohedralLattice(features)(values)
    again = PermutohedralLattice(features[order])(values[order])
    np.testing.assert_allclose(again, filtered[order], atol=1e-5)


def test_a_spread_that_no_integer_holds_is_refused():
    features = np.zeros((2, 5))
    features[1] = 1e6
    with pytest.raises(ValueError, match="Raise the standard deviations"):
        PermutohedralLattice(features)
