import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_xmap.models import fully_convolutional
from keras_xmap.models import multi_label_classifier


def trunk(size=None):
    return keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Conv2D(8, 3, activation="relu", name="conv"),
        ]
    )


def images(count=4, size=16):
    generator = np.random.default_rng(0)
    return generator.uniform(size=(count, size, size, 3)).astype("float32")


def test_the_probability_is_that_of_the_best_position():
    model, x = multi_label_classifier(trunk(), 3), images()
    scores = keras.Model(model.input, model.get_layer("class_scores").output)
    best = scores.predict(x, verbose=0).max(axis=(1, 2))
    assert best.shape == (4, 3) and best.std() > 0.01
    np.testing.assert_allclose(
        model.predict(x, verbose=0), 1 / (1 + np.exp(-best)), atol=1e-6
    )


def test_the_probability_may_be_that_of_the_mean_score():
    x = images()
    model = multi_label_classifier(trunk(), 3, pooling="average", seed=3)
    scores = keras.Model(model.input, model.get_layer("class_scores").output)
    mean = scores.predict(x, verbose=0).mean(axis=(1, 2))
    assert mean.std() > 0.001
    np.testing.assert_allclose(
        model.predict(x, verbose=0), 1 / (1 + np.exp(-mean)), atol=1e-6
    )
    again = multi_label_classifier(trunk(), 3, pooling="average", seed=3)
    kernels = [m.get_layer("class_scores").kernel for m in (model, again)]
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, kernels))
    with pytest.raises(ValueError, match="Received: pooling='mean'"):
        multi_label_classifier(trunk(), 3, pooling="mean")


@pytest.mark.parametrize("size", [None, 16])
def test_the_score_of_each_position_is_the_fully_convolutional_model(size):
    model, x = multi_label_classifier(trunk(size), 3), images()
    maps = fully_convolutional(model, pooling="position")
    np.testing.assert_allclose(
        maps.predict(x, verbose=0).max(axis=(1, 2)),
        model.predict(x, verbose=0),
        atol=1e-6,
    )
    assert maps.predict(images(size=21), verbose=0).shape == (4, 19, 19, 3)


def test_images_are_scaled_in_training_alone():
    """Constant images with one bright square: its area tells the scale."""
    size = 64
    x = np.zeros((40, size, size, 1), "float32")
    x[:, 24:40, 24:40] = 1.0
    inputs = keras.Input((size, size, 1))
    identity = keras.Model(inputs, layers.Identity()(inputs))
    model = multi_label_classifier(identity, 1, (0.5, 0.8), seed=0)
    scaled = model.get_layer("random_scale")
    np.testing.assert_array_equal(ops.convert_to_numpy(scaled(x)), x)
    changed = ops.convert_to_numpy(scaled(x, training=True))
    # Without the mirrored copies beyond the border.
    inside = changed[:, 16:48, 16:48, 0].sum(axis=(1, 2))
    scales = np.sqrt(inside) / 16
    assert 0.45 < scales.min() < 0.58 and 0.7 < scales.max() < 0.85
    without = multi_label_classifier(identity, 1, scale_range=None)
    assert "random_scale" not in [layer.name for layer in without.layers]


@pytest.mark.slow
def test_it_learns_colours_by_compile_and_fit():
    """Red, green and blue squares on grey: which are there?"""
    generator = np.random.default_rng(0)
    labels = (generator.uniform(size=(256, 3)) < 0.5).astype("float32")
    x = np.full((256, 24, 24, 3), 0.3, "float32")
    for image, label in zip(x, labels, strict=True):
        for colour in np.flatnonzero(label):
            # One row of places a colour, so that none hides another.
            row, column = 8 * colour, generator.integers(0, 20)
            image[row : row + 4, column : column + 4] = np.eye(3)[colour]
    keras.utils.set_random_seed(0)
    model = multi_label_classifier(trunk(), 3, seed=0)
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    model.fit(x, labels, epochs=12, verbose=0)
    right = (model.predict(x, verbose=0) > 0.5) == (labels > 0.5)
    assert right.mean() > 0.95


def test_the_backbone_is_copied_as_frozen_as_it_was():
    backbone = trunk()
    backbone.trainable = False
    model = multi_label_classifier(backbone, 2, seed=0)
    assert len(model.trainable_weights) == 2
    before = backbone.get_weights()
    model.compile("sgd", "binary_crossentropy")
    model.fit(images(), np.eye(2)[[0, 1, 0, 1]], verbose=0)
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    backbone.set_weights([0 * w for w in before])
    assert model.predict(images(), verbose=0).std() > 0


def test_saved_and_loaded_it_scales_and_predicts_as_before(tmp_path):
    model = multi_label_classifier(trunk(), 3, (0.6, 0.9), seed=3, name="net")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.name == "net"
    x = images()
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6
    )
    one, two = (
        ops.convert_to_numpy(m.get_layer("random_scale")(x, training=True))
        for m in (model, loaded)
    )
    assert np.abs(one - x).max() > 0.1
    np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize(
    "backbone, error, message",
    [
        (lambda: layers.Dense(2), TypeError, "Received: backbone=<Dense"),
        (
            lambda: keras.Sequential([layers.Conv2D(2, 1)]),
            ValueError,
            "must be built. Received: backbone=",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((8, 8, 3)), layers.Flatten()]
            ),
            ValueError,
            r"\(None, 192\)\]. Build a classifier without its top",
        ),
    ],
)
def test_a_backbone_without_a_map_is_refused(backbone, error, message):
    with pytest.raises(error, match=message):
        multi_label_classifier(backbone(), 3)


@pytest.mark.parametrize(
    "options",
    [
        {"scale_range": (0.4, 1)},
        {"scale_range": (1, 0.5)},
        {"scale_range": 0.5},
        {"scale_range": (0.5, 3)},
    ],
    ids=str,
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="Received: scale_range="):
        multi_label_classifier(trunk(), 3, **options)
    with pytest.raises(ValueError, match="Received: num_classes=0"):
        multi_label_classifier(trunk(), 0)
