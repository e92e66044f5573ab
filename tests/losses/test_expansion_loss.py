import keras
import numpy as np
import pytest
from backend_gradients import differences
from backend_gradients import gradient
from losses.class_maps import FOUR
from losses.class_maps import LOGITS
from losses.class_maps import MAPS
from reference import weak_segmentation as reference

from keras_xmap.losses import ExpansionLoss
from keras_xmap.losses import expansion_loss

# One class, no class, all classes; and classes of which nobody knows.
LABELS = np.array([[1, 0], [0, 0], [1, 1]])
PARTLY = np.array([[1, 255], [255, 255], [0, 255]])


def expected(labels, maps=MAPS):
    pairs = zip(labels, maps, strict=True)
    return [reference.expansion(*pair) for pair in pairs]


def test_four_pixels_by_hand():
    """Decays for a map of four pixels: they are told for 41 x 41."""
    decays = (0.996 ** (4 / 1681), 0.0, 0.999 ** (4 / 1681))
    loss = expansion_loss(np.array([[1, 0]]), FOUR, decays)
    value = 0.79628261 + 0.35667494 + 0.91560312
    np.testing.assert_allclose(loss, [value], rtol=1e-6)


@pytest.mark.parametrize("labels", [LABELS, PARTLY])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_each_image_is_held_to_its_labels(labels, from_logits, data_format):
    maps = (LOGITS if from_logits else MAPS).astype("float32")
    if data_format == "channels_first":
        maps = np.moveaxis(maps, -1, 1)
    loss = ExpansionLoss(
        from_logits=from_logits, data_format=data_format, reduction=None
    )
    values = np.asarray(loss(labels, maps))
    np.testing.assert_allclose(values, expected(labels), rtol=1e-5)


def test_the_batch_is_averaged():
    loss = float(ExpansionLoss()(LABELS, MAPS))
    assert loss == pytest.approx(np.mean(expected(LABELS)), rel=1e-5)


def test_nothing_known_costs_nothing():
    assert expected(PARTLY)[1] == 0
    unknown = np.full((3, 2), 255)
    assert float(ExpansionLoss()(unknown, MAPS)) == 0


def test_the_ends_of_the_decays_are_maximum_and_mean():
    loss = expansion_loss(np.array([[1, 0]]), FOUR, (0, 1, 1))
    c1, c2, background = FOUR[0, ..., 1], FOUR[0, ..., 2], FOUR[0, ..., 0]
    value = -np.log(c1.max()) - np.log(1 - c2.mean())
    value -= np.log(background.mean())
    np.testing.assert_allclose(loss, [value], rtol=1e-6)


def test_a_map_of_another_size_costs_the_same():
    """Each pixel four times over: the decay reaches the same share."""
    maps = np.random.default_rng(0).dirichlet(np.ones(3), (1, 40, 41))
    large = maps.repeat(2, axis=1).repeat(2, axis=2)
    labels = np.array([[1, 0]])
    small_loss = float(expansion_loss(labels, maps)[0])
    assert float(expansion_loss(labels, large)[0]) == pytest.approx(
        small_loss, rel=2e-3
    )


@pytest.mark.parametrize("labels", [LABELS, PARTLY])
def test_the_gradient_is_the_finite_difference(labels):
    def loss(logits):
        maps = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        return sum(expected(labels, maps))

    found = gradient(
        lambda x: expansion_loss(labels, x, from_logits=True),
        LOGITS.astype("float32"),
        np.ones(3, "float32"),
    )
    np.testing.assert_allclose(
        found, differences(loss, LOGITS), rtol=1e-3, atol=1e-5
    )


def test_certain_maps_are_finite():
    maps = np.zeros((2, 4, 4, 3), "float32")
    maps[0, ..., 1] = 1  # the class, without any background
    maps[1, ..., 2] = 1  # a class that is not there
    labels = np.array([[1, 0], [1, 0]])
    values = np.asarray(expansion_loss(labels, maps))
    low = 1e-4 / 1.0002
    np.testing.assert_allclose(
        values,
        [
            -np.log(1 - 2 * low) - np.log(1 - low) - np.log(low),
            -2 * np.log(low) - np.log(2 * low),
        ],
        rtol=1e-3,
    )
    found = gradient(
        lambda x: expansion_loss(labels, x), maps, np.ones(2, "float32")
    )
    assert np.isfinite(found).all()


def test_a_class_that_is_found_nowhere_comes_back():
    logits = np.zeros((1, 3, 4, 2), "float32")
    logits[..., 0] = 20
    found = gradient(
        lambda x: expansion_loss(np.array([[1]]), x, from_logits=True),
        logits,
        np.ones(1, "float32"),
    )
    # -log of a weighted mean of equal values: the weights, which are 1 in all.
    assert found[..., 1].sum() == pytest.approx(-1, rel=1e-4)
    assert (found[..., 1] < 0).all()


@pytest.mark.parametrize("label", [2, -1, 0.5, float("nan")])
def test_a_label_that_is_none_makes_the_loss_of_its_image_nan(label):
    labels = LABELS.astype("float32")
    labels[2, 1] = label
    values = np.asarray(expansion_loss(labels, MAPS))
    np.testing.assert_allclose(values[:2], expected(LABELS)[:2], rtol=1e-5)
    assert np.isnan(values[2])
    values = np.asarray(expansion_loss(PARTLY, MAPS, ignore_class=None))
    assert np.isnan(values).all()


def test_half_precision_is_computed_in_float32():
    values = expansion_loss(LABELS, keras.ops.cast(MAPS, "float16"))
    assert keras.backend.standardize_dtype(values.dtype) == "float32"
    np.testing.assert_allclose(values, expected(LABELS), rtol=0.01)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"decays": 0.9}, "Received: decays=0.9"),
        ({"decays": (0.9, 0.1)}, r"Received: decays=\(0.9, 0.1\)"),
        ({"decays": (0.9, 0.1, 1.5)}, "Received: decays=1.5"),
        ({"from_logits": "no"}, "Received: from_logits='no'"),
        ({"ignore_class": True}, "Received: ignore_class=True"),
        ({"min_probability": 1}, "Received: min_probability=1"),
        ({"data_format": 1}, "Received: data_format=1"),
    ],
)
def test_bad_options_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        ExpansionLoss(**options)


@pytest.mark.parametrize(
    "labels", [np.ones((3, 3)), np.ones(3), np.ones((3, 4, 5))]
)
def test_labels_of_another_shape_are_named(labels):
    with pytest.raises(ValueError, match=r"Received: y_true.shape=\(3"):
        expansion_loss(labels, MAPS)


def test_labels_with_the_background_are_mended_as_the_error_says():
    labels = np.concatenate([np.ones((3, 1)), LABELS], axis=1)
    with pytest.raises(ValueError, match=r"Leave the background out, labels"):
        expansion_loss(labels, MAPS)
    values = np.asarray(expansion_loss(labels[:, 1:], MAPS))
    np.testing.assert_allclose(values, expected(LABELS), rtol=1e-5)
