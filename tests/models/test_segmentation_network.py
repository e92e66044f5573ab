import keras
import numpy as np
import pytest
from keras import layers

from keras_xmap.models import segmentation_network


def trunk():
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Conv2D(4, 3, strides=2, padding="same", name="masks"),
        ]
    )


def photos(size=16):
    rng = np.random.default_rng(0)
    return rng.uniform(size=(2, size, size, 3)).astype("float32")


def test_the_head_is_two_convolutions_and_a_softmax():
    backbone = trunk()
    model = segmentation_network(backbone, 2, filters=5, dilation_rate=3)
    x = backbone.predict(photos(), verbose=0)
    kernel, bias = model.get_layer("context").get_weights()
    assert kernel.shape == (3, 3, 4, 5)
    padded = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)))
    x = bias + sum(
        padded[:, 3 * i : 3 * i + 8, 3 * j : 3 * j + 8] @ kernel[i, j]
        for i in range(3)
        for j in range(3)
    )
    kernel, bias = model.get_layer("mask_scores").get_weights()
    scores = np.exp(np.maximum(x, 0) @ kernel[0, 0] + bias)
    np.testing.assert_allclose(
        model.predict(photos(), verbose=0),
        scores / scores.sum(axis=-1, keepdims=True),
        atol=1e-5,
    )


def test_the_branch_is_the_mean_of_scores_of_the_features():
    backbone = trunk()
    model = segmentation_network(backbone, 2, filters=5, classify=True)
    assert set(model.output) == {"masks", "classes"}
    kernel, bias = model.get_layer("class_scores").get_weights()
    mean = backbone.predict(photos(), verbose=0).mean(axis=(1, 2))
    np.testing.assert_allclose(
        model.predict(photos(), verbose=0)["classes"],
        1 / (1 + np.exp(-(mean @ kernel[0, 0] + bias))),
        atol=1e-5,
    )


def test_the_seed_makes_the_new_weights_repeatable():
    backbone = trunk()
    first, again, other = (
        segmentation_network(backbone, 2, classify=True, seed=seed)
        for seed in (1, 1, 2)
    )
    pairs = list(zip(first.get_weights(), again.get_weights(), strict=True))
    assert all((a == b).all() for a, b in pairs)
    others = zip(first.get_weights(), other.get_weights(), strict=True)
    assert not all((a == b).all() for a, b in others)


def test_channels_first_are_told_by_the_backbone():
    backbone = keras.Sequential(
        [
            keras.Input((3, 8, 8)),
            layers.Conv2D(4, 3, data_format="channels_first"),
        ]
    )
    model = segmentation_network(backbone, 2, classify=True)
    shapes = {name: tuple(x.shape) for name, x in model.output.items()}
    assert shapes == {"masks": (None, 3, 6, 6), "classes": (None, 2)}


@pytest.mark.parametrize(
    "options", [{"num_classes": 0}, {"filters": 0}, {"dilation_rate": -1}]
)
def test_arguments_out_of_range_are_refused(options):
    options = {"num_classes": 2, **options}
    with pytest.raises(ValueError, match="Received: "):
        segmentation_network(trunk(), **options)
