import keras
import numpy as np
import pytest
from backend_gradients import differences
from backend_gradients import gradient
from losses.class_maps import CUES
from losses.class_maps import LOGITS
from losses.class_maps import MAPS
from reference import weak_segmentation as reference

from keras_xmap.losses import ProhibitiveSegmentationLoss
from keras_xmap.losses import prohibitive_segmentation_loss

CLASSES = np.array([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]])
EXPECTED = [
    reference.prohibitive(*row) for row in zip(CUES, MAPS, CLASSES, strict=True)
]


def predicted(maps=MAPS, classes=CLASSES):
    return {"masks": maps, "classes": classes}


def test_two_pixels_by_hand():
    """Both are background by what is likely in the image: J is .94856."""
    maps = np.reshape([0.5, 0.3, 0.2, 0.3, 0.25, 0.45], (1, 1, 2, 3))
    y = predicted(maps, np.array([[0.9, 0.1]]))
    loss = prohibitive_segmentation_loss(np.array([[[255, 2]]]), y)
    np.testing.assert_allclose(loss, [0.94856 - np.log(0.45)], rtol=1e-6)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("given", ["dict", "alone"])
def test_each_image_is_both_terms(from_logits, data_format, given):
    maps = (LOGITS if from_logits else MAPS).astype("float32")
    if data_format == "channels_first":
        maps = np.moveaxis(maps, -1, 1)
    y_true = CUES
    if given == "dict":
        y_true = {"masks": CUES, "classes": np.full((3, 2), 7)}
    loss = ProhibitiveSegmentationLoss(
        from_logits, data_format=data_format, reduction=None
    )
    values = np.asarray(loss(y_true, predicted(maps)))
    np.testing.assert_allclose(values, EXPECTED, rtol=1e-5, atol=1e-7)


def test_an_image_without_labels_costs_nothing():
    assert EXPECTED[1] == 0
    loss = ProhibitiveSegmentationLoss()
    assert float(loss(np.full(CUES.shape, 255), predicted())) == 0


def test_pixels_without_a_label_learn_from_the_network_itself():
    """One label in the image: all others have that of the second term."""
    cues = np.full((1, 4, 5), 255)
    cues[0, 0, 0] = 1
    found = gradient(
        lambda x: prohibitive_segmentation_loss(
            cues, predicted(x, CLASSES[:1]), from_logits=True
        ),
        LOGITS[:1].astype("float32"),
        np.ones(1, "float32"),
    )
    own = np.eye(3)[reference.own_labels(MAPS[0], CLASSES[0])]
    expected = (MAPS[0] - own) / 20
    expected[0, 0] += MAPS[0, 0, 0] - np.eye(3)[1]
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_the_gradient_is_the_finite_difference():
    def loss(logits):
        maps = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        rows = zip(CUES, maps, CLASSES, strict=True)
        return sum(reference.prohibitive(*row) for row in rows)

    found = gradient(
        lambda x: prohibitive_segmentation_loss(
            CUES, predicted(x), from_logits=True
        ),
        LOGITS.astype("float32"),
        np.ones(3, "float32"),
    )
    np.testing.assert_allclose(found, differences(loss, LOGITS), atol=1e-5)


def test_no_gradient_flows_into_the_classes():
    maps = MAPS.astype("float32")
    found = gradient(
        # Zero times the classes: a gradient of their own, of zeros.
        lambda v: (
            prohibitive_segmentation_loss(CUES, predicted(maps, v))
            + 0.0 * v[:, 0]
        ),
        CLASSES.astype("float32"),
        np.ones(3, "float32"),
    )
    assert (found == 0).all()


def test_classes_of_1_let_the_network_stand_and_of_0_leave_background():
    labels = MAPS.argmax(-1)
    loss = prohibitive_segmentation_loss(
        labels, predicted(MAPS, np.ones((3, 2)))
    )
    both = [
        2 * reference.cross_entropy(*p) for p in zip(labels, MAPS, strict=True)
    ]
    np.testing.assert_allclose(loss, both, rtol=1e-5)
    loss = prohibitive_segmentation_loss(
        np.zeros_like(labels), predicted(MAPS, np.zeros((3, 2)))
    )
    np.testing.assert_allclose(
        loss, -2 * np.log(MAPS[..., 0]).mean((1, 2)), rtol=1e-5
    )


def test_certain_maps_are_finite():
    maps = np.zeros((1, 2, 2, 3), "float32")
    maps[..., 2] = 1
    labels = np.zeros((1, 2, 2), int)
    values = prohibitive_segmentation_loss(
        labels, predicted(maps, np.zeros((1, 2)))
    )
    np.testing.assert_allclose(values, [-2 * np.log(1e-7)], rtol=1e-4)
    logits = np.where(maps == 1, 1e3, -1e3)
    values = prohibitive_segmentation_loss(
        labels, predicted(logits, np.ones((1, 2))), from_logits=True
    )
    np.testing.assert_allclose(values, [2e3], rtol=1e-6)


@pytest.mark.parametrize("label", [3, -1, 0.5])
def test_a_label_that_is_no_class_makes_the_loss_of_its_image_nan(label):
    labels = CUES.astype("float32")
    labels[1, 2, 2] = label
    values = np.asarray(prohibitive_segmentation_loss(labels, predicted()))
    assert np.isnan(values).tolist() == [False, True, False]


@pytest.mark.slow
def test_it_trains_a_network_of_two_branches():
    """On one nested output, with labels in a dict of the same structure."""
    images = keras.Input((6, 6, 3))
    maps = keras.layers.Conv2D(
        3, 1, activation="softmax", data_format="channels_last"
    )(images)
    mean = keras.layers.GlobalAveragePooling2D(data_format="channels_last")
    classes = keras.layers.Dense(2, activation="sigmoid")(mean(images))
    model = keras.Model(
        images,
        {"segmentation": predicted(maps, classes), "classes": classes},
    )
    model.compile(
        keras.optimizers.Adam(0.1),
        loss={
            "segmentation": ProhibitiveSegmentationLoss(
                data_format="channels_last"
            ),
            "classes": "binary_crossentropy",
        },
    )
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (8, 6, 6))
    x = np.eye(3, dtype="float32")[masks]
    masks = np.where(rng.uniform(size=masks.shape) < 0.5, 255, masks)
    labels = np.ones((8, 2), "float32")
    y = {"segmentation": predicted(masks, labels), "classes": labels}
    history = model.fit(x, y, epochs=20, verbose=0).history
    assert (
        history["segmentation_loss"][-1] < history["segmentation_loss"][0] / 2
    )


@pytest.mark.parametrize("y_pred", [MAPS, {"masks": MAPS}, [MAPS, CLASSES]])
def test_predictions_that_are_no_dict_of_both_are_named(y_pred):
    with pytest.raises(TypeError, match="Received: .* Let one output of"):
        prohibitive_segmentation_loss(CUES, y_pred)


def test_labels_without_label_maps_are_named():
    with pytest.raises(TypeError, match=r"Received: y_true .* \['classes'\]"):
        prohibitive_segmentation_loss({"classes": CLASSES}, predicted())


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"classes.shape=\(3, 3\)"):
        prohibitive_segmentation_loss(CUES, predicted(MAPS, np.ones((3, 3))))
    with pytest.raises(ValueError, match=r"labels of \(3, 5\) for maps of"):
        prohibitive_segmentation_loss(CUES[:, 1:], predicted())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"from_logits": "x"}, "Received: from_logits='x'"),
        ({"ignore_class": "void"}, "Received: ignore_class='void'"),
        ({"data_format": 3}, "Received: data_format=3"),
    ],
)
def test_bad_options_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        ProhibitiveSegmentationLoss(**options)


def test_a_class_that_a_network_has_lost_comes_back():
    logits = np.zeros((1, 4, 5, 3), "float32")
    logits[..., 0] = 40
    found = [
        gradient(
            lambda x, from_logits=from_logits: prohibitive_segmentation_loss(
                np.full((1, 4, 5), 2),
                predicted(
                    x if from_logits else keras.ops.softmax(x), CLASSES[:1]
                ),
                from_logits=from_logits,
            ),
            logits,
            np.ones(1, "float32"),
        )
        for from_logits in (True, False)
    ]
    assert found[0][..., 2].max() < -0.04  # (0 - 1) / 20, a pixel
    np.testing.assert_allclose(*found, atol=1e-6)
