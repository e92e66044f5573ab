import keras
import numpy as np
import pytest

from keras_xmap.metrics import MeanIoU

MASK = np.array([[[1, 1, 0, 0]]])
MAP = np.array([[[1.0, 0.6, 0.3, 0.0]]])


def iou(masks, maps, **kwargs):
    return float(MeanIoU(**kwargs)(np.asarray(masks), np.asarray(maps)))


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.0, 2 / 3), (0.2, 2 / 3), (0.3, 1.0), (0.5, 1.0), (0.6, 0.5)],
)
def test_a_region_is_what_exceeds_the_part_of_the_maximum(threshold, expected):
    assert iou(MASK, MAP, threshold=threshold) == pytest.approx(expected)
    # A part of the map's own maximum: its scale does not matter.
    assert iou(MASK, 250 * MAP, threshold=threshold) == pytest.approx(expected)


def test_without_a_threshold_the_best_one_is_found_and_reported():
    metric = MeanIoU()
    metric.update_state(MASK, MAP)
    assert float(metric.result()) == 1.0
    assert metric.best_threshold == 0.3


def test_one_threshold_serves_all_images():
    # The first image is best cut at 0.6, the second at 0.2: each alone
    # reaches 1, together no threshold does.
    masks = np.array([[[1, 0, 0]], [[1, 1, 0]]])
    maps = np.array([[[1.0, 0.5, 0.5]], [[1.0, 0.3, 0.1]]])
    assert iou(masks[:1], maps[:1]) == 1.0
    assert iou(masks[1:], maps[1:]) == 1.0
    # t < 0.1: (1/3 + 2/3) / 2; 0.1 <= t < 0.3: (1/3 + 1) / 2;
    # 0.3 <= t < 0.5: (1/3 + 1/2) / 2; t >= 0.5: (1 + 1/2) / 2.
    metric = MeanIoU()
    metric.update_state(masks, maps)
    assert float(metric.result()) == pytest.approx(0.75)
    assert metric.best_threshold == 0.5


def test_the_best_threshold_is_that_of_all_batches():
    masks = np.array([[[1, 0, 0]], [[1, 1, 0]]])
    maps = np.array([[[1.0, 0.5, 0.5]], [[1.0, 0.3, 0.1]]])
    metric = MeanIoU()
    for mask, heatmap in zip(masks, maps, strict=True):
        metric.update_state(mask[None], heatmap[None])
    assert float(metric.result()) == pytest.approx(0.75)
    metric.reset_state()
    assert float(metric.result()) == 0.0


def test_a_perfect_map_reaches_one_at_every_threshold():
    masks = np.random.default_rng(1).random((6, 9, 9)) < 0.3
    for threshold in (None, 0.0, 0.5, 0.99):
        assert iou(masks, 1.0 * masks, threshold=threshold) == 1.0


def test_a_flat_map_counts_the_share_of_the_object():
    assert iou(MASK, np.full((1, 1, 4), 0.1)) == pytest.approx(0.5)


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_map_without_positive_values_has_an_empty_region(value):
    assert iou(MASK, np.full((1, 1, 4), value)) == 0.0


def test_negative_values_are_never_part_of_a_region():
    assert iou(MASK, [[[2.0, 1.0, -1.0, -5.0]]], threshold=0.0) == 1.0


def test_an_image_with_an_empty_mask_is_left_out():
    masks = np.concatenate([np.zeros_like(MASK), MASK])
    assert iou(masks, np.concatenate([MAP, MAP]), threshold=0.5) == 1.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sweep_equals_one_comparison_per_threshold(dtype):
    rng = np.random.default_rng(5)
    masks = rng.random((7, 6, 8)) < 0.3
    maps = (masks + rng.normal(size=(7, 6, 8))).astype("float32")
    thresholds = np.arange(20) / 20
    means = []
    for t in thresholds:
        regions = maps > t * maps.max(axis=(1, 2), keepdims=True)
        overlap = (regions & masks).sum((1, 2))
        means.append((overlap / (regions | masks).sum((1, 2))).mean())
    metric = MeanIoU(num_thresholds=20, dtype=dtype)
    metric.update_state(masks, maps)
    np.testing.assert_allclose(metric.mean_scores(), means, rtol=1e-6)
    assert float(metric.result()) == pytest.approx(max(means))
    assert metric.best_threshold == thresholds[np.argmax(means)]


def test_large_values_do_not_disturb_it():
    maps = np.array([[[3e38, 2e38, 1e37, -3e38]]])
    assert iou(MASK, maps, threshold=0.2) == 1.0


@pytest.mark.parametrize("threshold", [1, 1.0, -0.1, True, "0.2"])
def test_a_threshold_outside_its_range_is_refused(threshold):
    with pytest.raises(ValueError, match=f"Received: threshold={threshold!r}"):
        MeanIoU(threshold=threshold)


def test_no_thresholds_are_refused():
    with pytest.raises(ValueError, match="Received: num_thresholds=0"):
        MeanIoU(num_thresholds=0)


def test_the_config_makes_an_equal_metric():
    config = keras.saving.serialize_keras_object(MeanIoU(threshold=0.25))
    assert config["registered_name"] == "keras_xmap>MeanIoU"
    metric = keras.saving.deserialize_keras_object(config)
    assert metric.threshold == 0.25
    assert metric.num_thresholds == 100
    assert metric.best_threshold == 0.25
