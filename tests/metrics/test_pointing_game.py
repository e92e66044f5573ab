import keras
import numpy as np
import pytest

from keras_xmap.metrics import PointingGame


def rate(masks, maps, **kwargs):
    return float(PointingGame(**kwargs)(np.asarray(masks), np.asarray(maps)))


def test_a_hit_and_a_miss_give_one_half():
    masks = [[[0, 1], [0, 0]], [[0, 1], [0, 0]]]
    maps = [[[0, 9], [1, 2]], [[3, 0], [0, 0]]]
    assert rate(masks, maps) == 0.5


def test_bright_is_important_so_the_negated_map_misses():
    mask, heatmap = [[[0, 1, 1, 0]]], np.array([[[0.1, 0.9, 0.8, 0.2]]])
    assert rate(mask, heatmap) == 1.0
    assert rate(mask, -heatmap) == 0.0


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float64"])
def test_masks_of_any_dtype_count_alike(dtype):
    mask = np.array([[[0, 1], [1, 0]]], dtype)
    assert rate(mask, [[[0.0, 2.0], [1.0, 0.0]]]) == 1.0


@pytest.mark.parametrize(
    ("tolerance", "expected"),
    [(0, 0.0), (3, 0.0), (3.01, 1.0), (15, 1.0)],
)
def test_the_distance_must_be_strictly_below_the_tolerance(tolerance, expected):
    mask, heatmap = np.zeros((1, 5, 9)), np.zeros((1, 5, 9))
    mask[0, 2, 1], heatmap[0, 2, 4] = 1, 1  # three pixels apart
    assert rate(mask, heatmap, tolerance=tolerance) == expected


@pytest.mark.parametrize(
    ("offset", "tolerance", "expected"),
    [
        ((1, 1), 1.41, 0.0),  # sqrt(2) = 1.4142 apart
        ((1, 1), 1.42, 1.0),
        ((3, 4), 5, 0.0),  # 5 apart
        ((3, 4), 5.01, 1.0),
        ((4, -3), 5.01, 1.0),
    ],
)
def test_the_distance_is_euclidean(offset, tolerance, expected):
    mask, heatmap = np.zeros((1, 11, 11)), np.zeros((1, 11, 11))
    mask[0, 5, 5], heatmap[0, 5 + offset[0], 5 + offset[1]] = 1, 1
    assert rate(mask, heatmap, tolerance=tolerance) == expected


def test_tied_maxima_count_the_part_of_them_that_hits():
    assert rate([[[1, 1, 0, 0]]], [[[5.0, 0.0, 5.0, 5.0]]]) == pytest.approx(
        1 / 3
    )


@pytest.mark.parametrize("value", [0.0, -2.0, 7.0])
def test_a_flat_map_counts_the_share_of_the_object(value):
    mask = np.zeros((1, 4, 5))
    mask[0, :2, :3] = 1
    assert rate(mask, np.full((1, 4, 5), value)) == pytest.approx(6 / 20)


def test_an_image_with_an_empty_mask_is_left_out():
    masks = [[[0, 0]], [[1, 0]]]
    assert rate(masks, [[[1.0, 0.0]], [[1.0, 0.0]]]) == 1.0
    assert rate([[[0, 0]]], [[[1.0, 0.0]]]) == 0.0  # nothing counted


def test_sample_weights_weigh_images():
    metric = PointingGame()
    masks = np.array([[[1, 0]], [[1, 0]]])
    maps = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    metric.update_state(masks, maps, sample_weight=[3.0, 1.0])
    assert float(metric.result()) == 0.75


@pytest.mark.parametrize("tolerance", [0, 2.5, 6])
def test_it_equals_a_search_over_all_pairs_of_pixels(tolerance):
    rng = np.random.default_rng(3)
    masks = rng.random((20, 12, 17)) < 0.02
    masks[:, 5, 5] = True
    maps = rng.normal(size=(20, 12, 17))
    hits = []
    for mask, heatmap in zip(masks, maps, strict=True):
        point = np.unravel_index(heatmap.argmax(), heatmap.shape)
        distance = np.hypot(*(np.argwhere(mask) - point).T).min()
        hits.append(distance < tolerance or distance == 0)
    assert 0 < np.mean(hits) < 1
    assert rate(masks, maps, tolerance=tolerance) == pytest.approx(
        np.mean(hits)
    )


def test_random_maps_hit_as_often_as_the_object_is_large():
    rng = np.random.default_rng(0)
    masks = np.zeros((4000, 8, 8))
    masks[:, 1:5, 2:7] = 1  # 20 of 64 pixels; standard error 0.0073
    maps = rng.random((4000, 8, 8))
    assert rate(masks, maps) == pytest.approx(20 / 64, abs=0.022)


def test_a_perfect_map_reaches_one():
    masks = np.random.default_rng(1).random((6, 9, 9)) < 0.3
    assert rate(masks, masks.astype("float32")) == 1.0


def test_large_values_do_not_disturb_it():
    heatmap = np.array([[[1e38, 3e38, -3e38]]])
    assert rate([[[0, 1, 0]]], heatmap) == 1.0


def test_batches_add_up_and_reset_forgets():
    metric = PointingGame()
    metric.update_state(np.array([[[1, 0]]]), np.array([[[1.0, 0.0]]]))
    metric.update_state(np.array([[[1, 0]]]), np.array([[[0.0, 1.0]]]))
    assert float(metric.result()) == 0.5
    metric.reset_state()
    assert float(metric.result()) == 0.0
    metric.update_state(np.array([[[1, 0]]]), np.array([[[1.0, 0.0]]]))
    assert float(metric.result()) == 1.0


def test_the_config_makes_an_equal_metric():
    config = keras.saving.serialize_keras_object(
        PointingGame(tolerance=2.5, name="points", dtype="float64")
    )
    assert config["registered_name"] == "keras_xmap>PointingGame"
    metric = keras.saving.deserialize_keras_object(config)
    assert metric.tolerance == 2.5
    assert metric.name == "points"
    assert metric.dtype == "float64"


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match=r"Received: tolerance=-1\."):
        PointingGame(tolerance=-1)


def test_a_tolerance_beyond_the_map_is_a_hit_wherever_the_object_is():
    metric = PointingGame(tolerance=2**63)
    masks, maps = np.zeros((2, 2, 3, 4))
    masks[0, 2, 3] = maps[:, 0, 0] = 1
    metric.update_state(masks, maps)
    assert float(metric.result()) == 1.0
