import keras
import numpy as np
import pytest

from keras_xmap import losses

MAPS = np.array([[[1.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.2]]], "float32")


def test_each_map_is_compared_by_hand():
    y = np.asarray(losses.area_ratio(None, MAPS, area_ratio=0.5))
    np.testing.assert_allclose(y, [0.25**2, 0.45**2], rtol=1e-6)


def test_the_class_averages_the_function_over_the_batch():
    loss = losses.AreaRatio(0.5)(np.zeros(2), MAPS)
    np.testing.assert_allclose(loss, (0.25**2 + 0.45**2) / 2, rtol=1e-6)


def test_the_batch_mean_may_be_right_while_every_map_is_wrong():
    maps = np.stack([np.zeros((2, 2)), np.ones((2, 2))])
    assert float(losses.AreaRatio(0.5)(np.zeros(2), maps)) == 0.25


@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 2, 2, 1), (2, 1, 2, 2)])
def test_a_channel_axis_on_either_side_changes_nothing(shape):
    y = losses.area_ratio(None, MAPS.reshape(shape), area_ratio=0.5)
    np.testing.assert_allclose(y, [0.25**2, 0.45**2], rtol=1e-6)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_the_labels_give_the_area_where_no_ratio_is_set(shape):
    wanted = np.reshape([0.75, 0.25], shape)
    y = np.asarray(losses.area_ratio(wanted, MAPS))
    np.testing.assert_allclose(y, [0, 0.2**2], atol=1e-7)


def test_masks_as_labels_count_by_their_area():
    masks = np.array([[[1, 1, 1, 0]], [[0, 0, 0, 1]]], "bool")
    y = losses.AreaRatio(reduction=None)(masks, MAPS)
    np.testing.assert_allclose(y, [0, 0.2**2], atol=1e-7)


def test_labels_are_ignored_where_a_ratio_is_set():
    loss = losses.AreaRatio(0.5, reduction="sum")
    assert float(loss(np.zeros(2), MAPS)) == float(loss(np.ones(2), MAPS))


def test_half_precision_counts_in_float32():
    maps = keras.ops.cast(np.full((1, 300, 300), 0.9), "float16")
    y = losses.area_ratio(None, maps, area_ratio=0.5)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_allclose(y, [0.16], rtol=1e-3)


def test_an_empty_batch_gives_no_values():
    y = losses.area_ratio(None, np.zeros((0, 2, 2)), area_ratio=0.5)
    assert np.asarray(y).shape == (0,)


@pytest.mark.parametrize("value", [0, 1, -0.1, "half", True])
def test_a_ratio_outside_0_and_1_is_named(value):
    with pytest.raises(ValueError, match=f"Received: area_ratio={value!r}"):
        losses.AreaRatio(value)


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 4, 3), (1, 2, 2, 2, 1)])
def test_anything_but_one_map_an_image_is_named(shape):
    with pytest.raises(ValueError, match=r"Received: y_pred.shape=\("):
        losses.area_ratio(None, np.zeros(shape), area_ratio=0.5)


def test_an_area_from_nowhere_is_named():
    with pytest.raises(ValueError, match="Received: y_true=None, area_ratio"):
        losses.area_ratio(None, MAPS)


@pytest.mark.parametrize("wanted", [0, 1, -1, float("nan"), "half", [0.5]])
def test_the_wanted_area_is_a_share(wanted):
    with pytest.raises(ValueError, match="Received: area_ratio="):
        losses.area_ratio(None, np.ones((2, 4, 4)), wanted)


def test_there_is_one_wanted_area_for_each_map():
    maps = np.ones((2, 4, 4))
    for wrong in (np.zeros(3), np.zeros(0), 0.5):
        with pytest.raises(ValueError, match=r"y_true.shape=.* for 2 maps"):
            losses.area_ratio(wrong, maps)
    loss = losses.area_ratio(np.zeros(2), maps)
    assert np.asarray(loss).tolist() == [1.0, 1.0]
