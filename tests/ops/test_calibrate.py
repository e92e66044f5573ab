import numpy as np
import pytest
from keras import ops

from keras_xmap.ops import above_threshold
from keras_xmap.ops import calibrate


def calibrated(maps, share):
    return ops.convert_to_numpy(calibrate(maps, share))


def reference(heatmap, share):
    """One map, pixel by pixel, in float64."""
    values = sorted(heatmap.ravel(), reverse=True)
    count = max(1, round(share * len(values)))
    named = [x for x in values if x >= values[count - 1]]
    rest = values[len(named) :]
    if not rest:
        named = [x for x in values if x > values[count - 1]]
        rest = values[len(named) :]
    if not named:
        return np.zeros_like(heatmap)
    cut = (named[-1] + rest[0]) / 2
    above, below = np.mean(named) - cut, cut - np.mean(rest)

    def bent(x):
        side = above if x > cut else below
        furthest = values[0] if x > cut else values[-1]
        return np.tanh(1.5 * (x - cut) / side) / abs(
            np.tanh(1.5 * (furthest - cut) / side)
        )

    return np.vectorize(lambda x: (1 + bent(x)) / 2)(heatmap)


def test_by_hand():
    # The cut is 3; 4 and 6 lie 1 and 3 above it, 2 on the mean; 1 and 2 lie
    # 2 and 1 below it, 1.5 on the mean.
    heatmap = np.array([[[4.0, 6.0], [1.0, 2.0]]])
    found = calibrated(heatmap, 0.5)
    t = np.tanh
    expected = [
        [0.5 + t(0.75) / t(2.25) / 2, 1],
        [0, 0.5 - t(1.0) / t(2.0) / 2],
    ]
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.99])
def test_it_equals_a_slow_reference(share):
    maps = np.random.default_rng(0).normal(size=(3, 7, 9)) ** 3
    maps[1] = maps[1].round(1)  # with ties
    found = calibrated(maps.astype("float32"), share)
    for heatmap, y in zip(maps.astype("float32"), found, strict=True):
        expected = reference(heatmap.astype("float64"), share)
        np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("scale, offset", [(1e-3, 0), (0.3, 0.1), (1e4, -7e3)])
def test_neither_contrast_nor_offset_of_a_map_matters(scale, offset):
    maps = np.random.default_rng(0).uniform(size=(4, 8, 8))
    np.testing.assert_allclose(
        calibrated(scale * maps + offset, 0.1),
        calibrated(maps, 0.1),
        atol=1e-3,
    )


def test_half_of_the_maximum_cuts_out_the_share_and_order_stays():
    maps = np.random.default_rng(0).normal(size=(5, 10, 10))
    found = calibrated(maps, 0.07)
    named = ops.convert_to_numpy(above_threshold(found, 0.5))
    assert (named.sum(axis=(1, 2)) == 7).all()
    np.testing.assert_allclose(found.max(axis=(1, 2)), 1, atol=1e-6)
    np.testing.assert_allclose(found.min(axis=(1, 2)), 0, atol=1e-6)
    order = maps.reshape(5, -1).argsort(axis=1)
    ranked = np.take_along_axis(found.reshape(5, -1), order, axis=1)
    assert (np.diff(ranked, axis=1) >= 0).all()


def test_ties_with_the_last_are_cut_out_with_it():
    maps = np.array([[[3.0, 2.0, 2.0, 1.0]]])
    assert (calibrated(maps, 0.5) > 0.5).tolist() == [[[1, 1, 1, 0]]]


def test_a_flat_map_becomes_zero_and_one_pixel_stands_out_alone():
    maps = np.full((2, 4, 4), 0.95)
    maps[1, 2, 3] = 0.96
    found = calibrated(maps, 0.25)
    assert (found[0] == 0).all()
    expected = np.zeros((4, 4))
    expected[2, 3] = 1
    np.testing.assert_allclose(found[1], expected, atol=1e-6)


def test_at_least_one_pixel_is_cut_out():
    maps = np.arange(6.0).reshape(1, 2, 3)
    assert (calibrated(maps, 1e-6) > 0.5).sum() == 1


def test_integers_booleans_and_half_precision_are_computed_in_float32():
    maps = np.arange(12).reshape(1, 3, 4)
    expected = calibrated(maps.astype("float32"), 0.25)
    assert expected.dtype == "float32"
    np.testing.assert_allclose(calibrated(maps, 0.25), expected, atol=1e-6)
    half = calibrated(maps.astype("float16"), 0.25)
    assert half.dtype == "float32"
    np.testing.assert_allclose(half, expected, atol=1e-6)
    np.testing.assert_allclose(calibrated(maps > 8, 0.25), maps > 8, atol=1e-6)


def test_wrong_arguments_are_named():
    maps = np.ones((1, 2, 2))
    for share in (0, 1, -0.1, 95):
        with pytest.raises(ValueError, match=f"Received: share={share}"):
            calibrate(maps, share)
    with pytest.raises(ValueError, match=r"maps.shape=\(4,\)"):
        calibrate(np.ones(4), 0.5)
