import keras
import numpy as np
import pytest

from keras_xmap.metrics import EnergyInMask


def energy(masks, maps, **kwargs):
    return float(EnergyInMask(**kwargs)(np.asarray(masks), np.asarray(maps)))


def test_three_of_four_parts_inside_give_three_quarters():
    assert energy([[[1, 0]]], [[[3.0, 1.0]]]) == 0.75


def test_it_is_the_mean_of_shares_and_not_the_share_of_totals():
    masks, maps = [[[1, 0]], [[1, 0]]], [[[3.0, 1.0]], [[0.0, 100.0]]]
    assert energy(masks, maps) == 0.375


def test_a_map_of_zeros_counts_nothing():
    assert energy([[[1, 0]]], [[[0.0, 0.0]]]) == 0.0
    masks, maps = [[[1, 0]], [[1, 0]]], [[[0.0, 0.0]], [[1.0, 0.0]]]
    assert energy(masks, maps) == 0.5


def test_a_flat_map_counts_the_share_of_the_object():
    mask = np.zeros((1, 4, 5))
    mask[0, :2, :3] = 1
    assert energy(mask, np.full((1, 4, 5), 0.2)) == pytest.approx(6 / 20)


def test_a_map_inside_the_mask_reaches_one():
    rng = np.random.default_rng(2)
    masks = rng.random((5, 7, 7)) < 0.4
    assert energy(masks, masks * rng.random((5, 7, 7))) == pytest.approx(1.0)


def test_an_image_with_an_empty_mask_is_left_out():
    assert energy([[[0, 0]], [[1, 0]]], [[[1.0, 0.0]], [[1.0, 0.0]]]) == 1.0


@pytest.mark.parametrize(
    ("dtype", "rtol"),
    [
        ("float32", 1e-6),
        # Elsewhere Keras itself computes in float32.
        pytest.param("float64", 1e-12, marks=pytest.mark.tensorflow),
    ],
)
def test_it_equals_the_numpy_reference(dtype, rtol):
    rng = np.random.default_rng(4)
    masks, maps = rng.random((9, 6, 8)) < 0.3, rng.random((9, 6, 8))
    expected = ((maps * masks).sum((1, 2)) / maps.sum((1, 2))).mean()
    assert energy(masks, maps, dtype=dtype) == pytest.approx(expected, rel=rtol)


@pytest.mark.parametrize("scale", [1e-30, 1e38])
def test_the_scale_of_a_map_does_not_matter(scale):
    mask = np.array([[[1, 1, 1, 1, 0, 0, 0, 0]]])
    maps = scale * np.array([[[3.0, 3, 3, 3, 1, 1, 1, 1]]])
    assert energy(mask, maps) == pytest.approx(0.75)


def test_a_negative_map_is_refused():
    with pytest.raises(
        ValueError, match=r"Received: y_pred with values from -0\.25 to 1\."
    ):
        energy([[[1, 0]]], [[[1.0, -0.25]]])


def test_the_config_makes_an_equal_metric():
    config = keras.saving.serialize_keras_object(EnergyInMask(dtype="float64"))
    assert config["registered_name"] == "keras_xmap>EnergyInMask"
    metric = keras.saving.deserialize_keras_object(config)
    assert (metric.name, metric.dtype) == ("energy_in_mask", "float64")
