import keras
import numpy as np
import pytest
from backend_gradients import gradient
from losses.class_maps import LOGITS
from losses.class_maps import MAPS
from reference import half_pixel
from reference import weak_segmentation as reference

from keras_xmap.losses import ConstrainToBoundaryLoss
from keras_xmap.losses import constrain_to_boundary_loss

IMAGES = np.random.default_rng(1).integers(0, 256, (3, 4, 5, 3))
SETTING = (2.0, 4.0, 60.0, 1.0, 2.0)
NAMES = (
    "appearance_weight",
    "position_stddev",
    "color_stddev",
    "smoothness_weight",
    "smoothness_stddev",
)
PARAMETERS = dict(zip(NAMES, SETTING, strict=True))
Q = [
    reference.crf_target(*pair, SETTING, 3)
    for pair in zip(IMAGES, MAPS, strict=True)
]
EXPECTED = [reference.divergence(*pair) for pair in zip(Q, MAPS, strict=True)]
OPTIONS = {"parameters": PARAMETERS, "num_iterations": 3}


def test_the_divergence_of_four_pixels_by_hand():
    from losses.class_maps import FOUR

    q = np.reshape(
        [0.9, 0.05, 0.05, 0.05, 0.9, 0.05, 0.1, 0.8, 0.1, 0.8, 0.15, 0.05],
        (2, 2, 3),
    )
    assert reference.divergence(q, FOUR[0]) == pytest.approx(0.11181103)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_each_image_is_compared_with_its_field(from_logits, data_format):
    maps = (LOGITS if from_logits else MAPS).astype("float32")
    images = IMAGES.astype("uint8")
    if data_format == "channels_first":
        maps, images = np.moveaxis(maps, -1, 1), np.moveaxis(images, -1, 1)
    loss = ConstrainToBoundaryLoss(
        **OPTIONS,
        from_logits=from_logits,
        data_format=data_format,
        reduction=None,
    )
    np.testing.assert_allclose(loss(images, maps), EXPECTED, rtol=1e-4)


def test_the_batch_is_averaged():
    loss = float(ConstrainToBoundaryLoss(**OPTIONS)(IMAGES, MAPS))
    assert loss == pytest.approx(np.mean(EXPECTED), rel=1e-4)


def test_the_gradient_in_logits_is_map_minus_target():
    """That of a divergence from a constant: none flows through the field."""
    found = gradient(
        lambda x: constrain_to_boundary_loss(
            IMAGES, x, **OPTIONS, from_logits=True
        ),
        LOGITS.astype("float32"),
        np.ones(3, "float32"),
    )
    np.testing.assert_allclose(found, (MAPS - Q) / 20, atol=1e-6)


def test_below_the_floor_the_gradient_is_the_same():
    logits = np.zeros((1, 4, 5, 3), "float32")
    logits[..., 0], logits[..., 2] = 30, -10
    maps = np.exp(logits - 30)
    maps /= maps.sum(axis=-1, keepdims=True)
    setting = {**OPTIONS, "from_logits": True}
    found = gradient(
        lambda x: constrain_to_boundary_loss(IMAGES[:1], x, **setting),
        logits,
        np.ones(1, "float32"),
    )
    q = np.array([1, 1e-4, 1e-4]) / 1.0002  # the field is as sure
    np.testing.assert_allclose(found, (maps - q) / 20, atol=1e-8)


def test_images_of_another_size_are_resized_to_the_maps():
    images = np.random.default_rng(2).integers(0, 256, (3, 9, 8, 3))
    small = [half_pixel.resize(image, (4, 5)) for image in images]
    values = constrain_to_boundary_loss(images, MAPS, **OPTIONS)
    expected = [
        reference.divergence(reference.crf_target(*pair, SETTING, 3), pair[1])
        for pair in zip(small, MAPS, strict=True)
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_equal_maps_of_a_flat_image_cost_nothing():
    maps = np.full((2, 6, 6, 4), 0.25)
    images = np.full((2, 6, 6, 3), 99)
    values = np.asarray(constrain_to_boundary_loss(images, maps))
    np.testing.assert_allclose(values, 0, atol=1e-6)


def test_certain_maps_are_finite():
    maps = np.eye(3, dtype="float32")[np.zeros((1, 4, 5), int)]
    maps[:, 1, 1] = (0, 1, 0)  # alone among others
    flat = np.full((1, 4, 5, 3), 99)
    strong = {**PARAMETERS, "appearance_weight": 30.0, "position_stddev": 80.0}
    values = np.asarray(constrain_to_boundary_loss(flat, maps, strong))
    np.testing.assert_allclose(values, [-np.log(1e-4) / 20], rtol=2e-3)


def test_the_parameters_are_those_of_the_paper_for_small_maps():
    loss = ConstrainToBoundaryLoss(reduction=None)
    setting = (10, 80 / 12, 13, 3, 3 / 12)
    q = reference.crf_target(IMAGES[0], MAPS[0], setting, 10)
    value = np.asarray(loss(IMAGES[:1], MAPS[:1]))[0]
    assert value == pytest.approx(reference.divergence(q, MAPS[0]), rel=1e-4)


@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(policy):
    maps = keras.ops.cast(MAPS, policy)
    values = constrain_to_boundary_loss(IMAGES, maps, **OPTIONS)
    assert keras.backend.standardize_dtype(values.dtype) == "float32"
    np.testing.assert_allclose(values, EXPECTED, rtol=0.05)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"parameters": "voc"}, "Received: parameters='voc'"),
        ({"num_iterations": 0}, "Received: num_iterations=0"),
        ({"from_logits": None}, "Received: from_logits=None"),
        ({"min_probability": -1}, "Received: min_probability=-1"),
        ({"data_format": "last"}, "Received: data_format='last'"),
    ],
)
def test_bad_options_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        ConstrainToBoundaryLoss(**options)


def test_labels_in_place_of_images_are_named():
    with pytest.raises(ValueError, match=r"Received: y_true.shape=\(3, 4, 5\)"):
        constrain_to_boundary_loss(IMAGES[..., 0], MAPS)
