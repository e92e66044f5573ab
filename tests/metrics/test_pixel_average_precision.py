import keras
import numpy as np
import pytest

from keras_xmap.metrics import PixelAveragePrecision

MASK = np.array([[[1, 0, 1, 0]]])
MAP = np.array([[[0.9, 0.7, 0.3, 0.0]]])


def precision(masks, maps, **kwargs):
    metric = PixelAveragePrecision(**kwargs)
    return float(metric(np.asarray(masks), np.asarray(maps)))


def reference(masks, maps, num_thresholds):
    """The definition, over the pixels of all images of one size."""
    shares = maps / maps.max(axis=(1, 2), keepdims=True)
    total, above, found = 0, 0.0, [0.0]
    thresholds = np.arange(num_thresholds) / num_thresholds
    for region in [shares > t for t in thresholds[::-1]] + [shares > -np.inf]:
        overlap = (region & masks).sum()
        above = overlap / max(region.sum(), 1)
        found.append(overlap / masks.sum())
        total += above * (found[-1] - found[-2])
    return total


def test_each_pixel_found_adds_the_precision_there():
    # Half of the object at precision 1, the other half at 2 / 3.
    assert precision(MASK, MAP) == pytest.approx((1 + 2 / 3) / 2)
    # A share of the maximum: the scale of a map does not matter.
    assert precision(MASK, 250 * MAP) == pytest.approx((1 + 2 / 3) / 2)


def test_precisions_and_recalls_are_those_of_all_thresholds():
    metric = PixelAveragePrecision(num_thresholds=4)
    metric.update_state(MASK, MAP)
    # All pixels; above 0, 1/4, 2/4 and 3/4 of 0.9.
    np.testing.assert_allclose(
        metric.precisions, [1 / 2, 2 / 3, 2 / 3, 1 / 2, 1 / 2]
    )
    np.testing.assert_allclose(metric.recalls, [1, 1, 1, 0.5, 0.5])
    # Two pixels fall between the same thresholds and are taken together.
    assert float(metric.result()) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_the_pixels_of_all_images_are_ranked_together():
    masks = np.array([[[1, 0]], [[1, 0]]])
    maps = np.array([[[1.0, 0.8]], [[0.4, 1.0]]])
    # 1.0 and 1.0: one of two; 0.8: none; 0.4: the other, two of four.
    assert precision(masks, maps) == pytest.approx(0.5 * 0.5 + 0.5 * 0.5)


def test_it_is_the_average_precision_of_scikit_learn():
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    masks = rng.random((5, 6, 7)) < 0.3
    maps = rng.integers(0, 101, masks.shape) + 40 * masks
    maps[:, 0, 0] = 140
    # Between the thresholds, where rounding does not matter.
    shares = (maps - 0.5) / 139.5
    expected = average_precision_score(masks.ravel(), shares.ravel())
    assert precision(masks, shares) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("num_thresholds", [1, 7, 1000])
def test_it_equals_the_numpy_reference(num_thresholds):
    rng = np.random.default_rng(3)
    masks = rng.random((9, 6, 8)) < 0.4
    maps = rng.normal(size=masks.shape).astype("float32")
    expected = reference(masks, maps, num_thresholds)
    found = precision(masks, maps, num_thresholds=num_thresholds)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.2, -3.0])
def test_a_flat_map_counts_the_share_of_the_object(value):
    mask = np.zeros((1, 4, 5))
    mask[0, :2, :3] = 1
    assert precision(mask, np.full((1, 4, 5), value)) == pytest.approx(6 / 20)


def test_masks_are_their_own_best_maps():
    masks = np.random.default_rng(2).random((5, 7, 7)) < 0.4
    assert precision(masks, masks.astype("float32")) == pytest.approx(1.0)


def test_without_images_there_is_nothing():
    assert float(PixelAveragePrecision().result()) == 0.0
    # One with an empty mask is left out.
    masks, maps = np.zeros((2, 1, 4)), np.concatenate([1 - MAP, MAP])
    masks[1] = MASK
    assert precision(masks, maps) == pytest.approx((1 + 2 / 3) / 2)


def test_an_image_counts_the_same_whatever_its_size():
    small, large = PixelAveragePrecision(), PixelAveragePrecision()
    for metric, times in ((small, 1), (large, 3)):
        metric.update_state(MASK, MAP)
        # Ranked the wrong way round.
        pair = (1 - MASK, MAP)
        metric.update_state(*(np.repeat(x, times, axis=1) for x in pair))
    # 0.9: one of two; 0.7: two of four, 0.3 and 0: half of the pixels.
    assert float(small.result()) == pytest.approx(0.5)
    np.testing.assert_allclose(large.precisions, small.precisions, rtol=1e-6)
    np.testing.assert_allclose(large.recalls, small.recalls, rtol=1e-6)


@pytest.mark.parametrize("num_thresholds", [0, 2.5, "all"])
def test_thresholds_are_counted(num_thresholds):
    with pytest.raises(ValueError, match="`num_thresholds` must be an integer"):
        PixelAveragePrecision(num_thresholds=num_thresholds)


def test_the_config_makes_an_equal_metric():
    metric = PixelAveragePrecision(num_thresholds=50)
    config = keras.saving.serialize_keras_object(metric)
    assert config["registered_name"] == "keras_xmap>PixelAveragePrecision"
    assert keras.saving.deserialize_keras_object(config).num_thresholds == 50
