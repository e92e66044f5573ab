import keras
import numpy as np
import pytest
from backend_gradients import differences
from backend_gradients import gradient
from losses.class_maps import CUES
from losses.class_maps import FOUR
from losses.class_maps import LOGITS
from losses.class_maps import MAPS
from reference import weak_segmentation as reference

from keras_xmap.losses import SeedingLoss
from keras_xmap.losses import seeding_loss

EXPECTED = [reference.seeding(*pair) for pair in zip(CUES, MAPS, strict=True)]


def test_two_cues_of_four_pixels_by_hand():
    loss = seeding_loss(np.array([[[0, 1], [255, 255]]]), FOUR)
    np.testing.assert_allclose(loss, [0.28990925], rtol=1e-6)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_each_image_is_the_mean_over_its_cues(from_logits, data_format):
    maps = LOGITS if from_logits else MAPS
    if data_format == "channels_first":
        maps = np.moveaxis(maps, -1, 1)
    loss = SeedingLoss(from_logits, data_format=data_format, reduction=None)
    values = loss(CUES, maps.astype("float32"))
    np.testing.assert_allclose(values, EXPECTED, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16"])
def test_cues_are_of_any_dtype(dtype):
    loss = seeding_loss(CUES.astype(dtype), MAPS)
    np.testing.assert_allclose(loss, EXPECTED, rtol=1e-5, atol=1e-7)


def test_an_image_without_cues_counts_as_0():
    assert EXPECTED[1] == 0
    loss = float(SeedingLoss()(CUES, MAPS))
    assert loss == pytest.approx(np.mean(EXPECTED), rel=1e-5)
    assert float(SeedingLoss()(np.full(CUES.shape, 255), MAPS)) == 0


@pytest.mark.parametrize("axis", [-1, 1])
def test_cues_may_have_a_channel(axis):
    loss = seeding_loss(np.expand_dims(CUES, axis), MAPS)
    np.testing.assert_allclose(loss, EXPECTED, rtol=1e-5, atol=1e-7)


def test_the_gradient_is_the_finite_difference():
    def loss(logits):
        maps = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        pairs = zip(CUES, maps, strict=True)
        return sum(reference.seeding(*pair) for pair in pairs)

    found = gradient(
        lambda x: seeding_loss(CUES, x, from_logits=True),
        LOGITS.astype("float32"),
        np.ones(3, "float32"),
    )
    np.testing.assert_allclose(found, differences(loss, LOGITS), atol=1e-5)
    assert np.abs(found[1]).max() == 0


def test_a_probability_below_the_floor_counts_as_the_floor():
    maps = np.reshape([1.0, 0.0, 0.0], (1, 1, 1, 3))
    loss = seeding_loss(np.array([[[2]]]), maps, min_probability=0.01)
    np.testing.assert_allclose(loss, [np.log(102)], rtol=1e-6)
    logits = np.reshape([1e4, -1e4, 0.0], (1, 1, 1, 3))
    loss = seeding_loss(np.array([[[2]]]), logits, from_logits=True)
    np.testing.assert_allclose(loss, [-np.log(1e-4 / 1.0002)], rtol=1e-5)


@pytest.mark.parametrize("label", [3, -1, 0.5, 254, 256])
def test_a_label_that_is_no_class_makes_the_loss_of_its_image_nan(label):
    cues = CUES.astype("float32")
    cues[2, 0, 0] = label
    values = np.asarray(seeding_loss(cues, MAPS))
    np.testing.assert_allclose(values[:2], EXPECTED[:2], rtol=1e-5, atol=1e-7)
    assert np.isnan(values[2])
    found = gradient(
        lambda x: seeding_loss(cues, x),
        MAPS.astype("float32"),
        np.ones(3, "float32"),
    )
    assert np.isfinite(found).all()


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("distance", [5.0, 12.0, 40.0])
def test_a_class_below_the_floor_comes_back(distance, from_logits):
    """The gradient by logits is that of a cross-entropy, map minus cue."""
    logits = np.array([[[[distance, 0.0]] * 4]], "float32")
    cues = np.array([[[1, 0, 255, 1]]])

    def loss(x):
        x = x if from_logits else keras.ops.softmax(x)
        return seeding_loss(cues, x, from_logits=from_logits)

    found = gradient(loss, logits, np.ones(1, "float32"))
    p = 1 / (1 + np.exp(distance))
    expected = np.array([[[[1 - p, p - 1], [-p, p], [0, 0], [1 - p, p - 1]]]])
    np.testing.assert_allclose(found, expected / 3, rtol=1e-4, atol=1e-6)


def test_another_label_may_be_ignored_or_none():
    cues = np.where(CUES == 255, -1, CUES)
    loss = seeding_loss(cues, MAPS, ignore_class=-1)
    np.testing.assert_allclose(loss, EXPECTED, rtol=1e-5, atol=1e-7)
    loss = np.asarray(seeding_loss(CUES, MAPS, ignore_class=None))
    assert np.isnan(loss).all()
    cues = np.array([[[0, 1], [0, 0]]])
    loss = seeding_loss(cues, FOUR, ignore_class=0)
    np.testing.assert_allclose(loss, [-np.log(0.8)], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    maps = keras.ops.cast(MAPS, dtype)
    values = seeding_loss(CUES, maps)
    assert keras.backend.standardize_dtype(values.dtype) == "float32"
    np.testing.assert_allclose(values, EXPECTED, rtol=0.02, atol=1e-7)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"from_logits": 1}, "Received: from_logits=1"),
        ({"ignore_class": 2.5}, "Received: ignore_class=2.5"),
        ({"min_probability": 0}, "Received: min_probability=0"),
        ({"data_format": "first"}, "Received: data_format='first'"),
    ],
)
def test_bad_options_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        SeedingLoss(**options)


@pytest.mark.parametrize(
    "cues, maps, message",
    [
        (CUES[:, :3], MAPS, r"labels of \(3, 5\) for maps of \(4, 5\)"),
        (CUES, MAPS[0], r"Received: y_pred.shape=\(4, 5, 3\)"),
        (CUES, MAPS[..., :1], "concatenate 1 - map and map"),
        (np.eye(3)[CUES % 3], MAPS, r"Received: y_true.shape=\(3, 4, 5, 3\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(cues, maps, message):
    with pytest.raises(ValueError, match=message):
        seeding_loss(cues, maps)


def test_a_floor_that_leaves_no_room_is_named():
    with pytest.raises(ValueError, match="min_probability=0.4, with 3 cla"):
        seeding_loss(CUES, MAPS, min_probability=0.4)


def test_labels_are_resized_as_the_error_says():
    large = CUES.repeat(2, axis=1).repeat(2, axis=2)
    from keras_xmap.ops import resize

    with pytest.raises(ValueError, match="Resize labels"):
        seeding_loss(large, MAPS)
    small = resize(large[..., None], (4, 5), "nearest")
    loss = seeding_loss(small, MAPS)
    np.testing.assert_allclose(loss, EXPECTED, rtol=1e-5, atol=1e-7)
