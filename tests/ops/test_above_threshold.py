import numpy as np
import pytest

from keras_xmap.ops import above_threshold


def above(*arguments):
    return np.asarray(above_threshold(*arguments)).tolist()


def test_a_region_is_what_exceeds_the_share_of_the_maximum():
    maps = np.array([[[-2.0, 0.0, 2.0, 8.0]], [[4.0, 3.0, 1.0, 0.5]]])
    assert above(maps, 0.25) == [[[0, 0, 0, 1]], [[1, 1, 0, 0]]]
    assert above(maps, 0.24) == [[[0, 0, 1, 1]], [[1, 1, 1, 0]]]
    assert above(maps, 0) == [[[0, 0, 1, 1]], [[1, 1, 1, 1]]]
    assert above(maps) == above(maps, 0.2)


def test_every_leading_axis_counts_maps():
    maps = np.random.default_rng(0).random((2, 3, 4, 5))
    one_by_one = [[above(x, 0.5) for x in row] for row in maps]
    assert above(maps, 0.5) == one_by_one


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_map_without_a_positive_value_has_no_region(value):
    assert not np.any(above(np.full((1, 2, 3), value), 0))


def test_a_flat_map_above_zero_is_all_region_and_a_mask_itself():
    assert np.all(above(np.full((1, 2, 3), 0.1), 0.99))
    mask = np.array([[[True, False], [False, True]]])
    for threshold in (0, 0.99):
        assert above(mask, threshold) == mask.tolist()


@pytest.mark.parametrize("threshold", [1, -0.1, True, "0.2", None])
def test_a_threshold_outside_its_range_is_refused(threshold):
    with pytest.raises(ValueError, match=f"Received: threshold={threshold!r}"):
        above_threshold(np.ones((1, 2, 2)), threshold)
