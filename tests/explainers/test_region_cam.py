import keras
import numpy as np
import pytest
from explainers.networks import WINDOWS
from explainers.networks import activations_and_gradients
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import random_network
from explainers.networks import sizes_and
from keras import layers
from reference import laid
from reference import region_cam as reference

from keras_xmap.explainers import RegionCAM
from keras_xmap.targets import Component

pytestmark = pytest.mark.tensorflow


@sizes_and("head", ["average", "mlp"], sizes=[(20,), (9, 7), (6, 7, 5)])
def test_random_networks_have_the_maps_of_the_reference(size, head):
    model, x = random_network(size, head), images(*size, 3, count=2)
    names = ["last", "first"]
    targets = np.array([0, 3])
    found = [activations_and_gradients(model, x, targets, n) for n in names]

    def lay(heatmap, number):
        return laid.lay(heatmap, size, WINDOWS[names[number]])

    expected = [
        reference.region_cam([(a[i], g[i]) for a, g in found], lay)
        for i in range(2)
    ]
    explainer = RegionCAM(model)
    # The stretching lifts what float32 has rounded.
    assert_close(explainer.explain(x, targets), expected, 1e-4)
    assert explainer.layers_used == names


def of_pixels(kernel, weights):
    """A 1 x 1 layer on 2 x 2 images, and a score that is linear in it."""
    model = keras.Sequential(
        [
            keras.Input((2, 2, 2)),
            layers.Conv2D(2, 1, use_bias=False, name="maps"),
            layers.Flatten(),
            layers.Dense(1, use_bias=False),
        ]
    )
    model.set_weights(
        [np.asarray(kernel, "float32")[None, None], np.reshape(weights, (8, 1))]
    )
    return model


def test_a_map_by_hand():
    # Derivatives speak for the upper left pixel; the upper right looks alike,
    # the lower left half so, the lower right not at all.
    weights = np.zeros((2, 2, 2), "float32")
    weights[0, 0] = 3, 1
    weights[1, 1] = -5, 0
    model = of_pixels(np.eye(2), weights)
    x = np.array([[[[2, 0], [7, 0]], [[1, 1], [0, 3]]]], "float32")
    half = np.sqrt(0.5)
    # S is 1 at the first pixel alone; each takes cos / sum of its cosines.
    shares = np.array([1 / (2 + half), 1 / (2 + half)])
    diagonal = half / (1 + 3 * half)
    expected = [[shares[0], shares[1]], [diagonal, 0]] / shares[0]
    maps = RegionCAM(model, "maps").explain(x, Component())
    np.testing.assert_allclose(maps[0], expected, atol=1e-6)
    assert np.isclose(expected[1, 0], 0.61327, atol=1e-5)


def two_kinds(count=2):
    """Images of stripes of two colours, on which a corner tells the class."""
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(2, 1, use_bias=False, name="colour")(inputs)
    outputs = layers.Dense(2, use_bias=False)(layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    weights = np.zeros((8, 8, 2, 2), "float32")
    weights[0, 0, :, 1] = 1
    model.set_weights(
        [np.eye(2, dtype="float32")[None, None], weights.reshape(128, 2)]
    )
    stripes = np.zeros((count, 8, 8, 2), "float32")
    stripes[:, :, :3, 0] = 1
    stripes[:, :, 3:, 1] = 1
    return model, stripes


def test_information_spreads_over_all_that_looks_alike_and_ends_at_the_edge():
    model, stripes = two_kinds()
    maps = RegionCAM(model, "colour").explain(stripes, 1)
    np.testing.assert_allclose(maps[:, :, :3], 1, atol=1e-6)
    np.testing.assert_allclose(maps[:, :, 3:], 0, atol=1e-6)


def test_the_size_of_score_and_features_does_not_matter():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    maps = RegionCAM(model).explain(x, 2)
    head = model.get_layer("dense")
    kernel, bias = head.get_weights()
    head.set_weights([1e-3 * kernel, bias])
    assert_close(RegionCAM(model).explain(x, 2), maps, 1e-4)
    assert maps.min() >= 0
    assert maps.max() <= 1


@pytest.mark.parametrize("scale", [1e-20, 1e15])
def test_features_of_any_size_have_the_same_directions(scale):
    model, stripes = two_kinds()
    maps = RegionCAM(model, "colour").explain(scale * stripes, 1)
    np.testing.assert_allclose(maps[:, :, :3], 1, atol=1e-6)
    np.testing.assert_allclose(maps[:, :, 3:], 0, atol=1e-6)


def test_before_a_global_average_a_layer_alone_tells_nothing():
    model, x = random_network(head="average"), images(9, 7, 3)
    with pytest.warns(UserWarning, match="no layer holds a place"):
        assert not RegionCAM(model, "last").explain(x, 2).any()


def test_one_layer_is_a_list_of_one_and_a_number_counts_sizes():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    alone = RegionCAM(model, "last").explain(x, 2)
    for layer in (["last"], 1):
        np.testing.assert_array_equal(
            RegionCAM(model, layer).explain(x, 2), alone
        )
    both = RegionCAM(model, ["last", "first"]).explain(x, 2)
    np.testing.assert_array_equal(RegionCAM(model, 2).explain(x, 2), both)
    np.testing.assert_array_equal(RegionCAM(model).explain(x, 2), both)


def test_a_layer_that_is_transposed_is_read_where_it_lies():
    inputs = keras.Input((6, 4, 2))
    x = layers.Permute((2, 1, 3))(inputs)
    x = layers.Conv2D(3, 1, activation="relu", name="turned")(x)
    turned = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    x = images(6, 4, 2)
    maps = RegionCAM(turned, "turned").explain(x, 1)
    # The same network on images that are transposed beforehand.
    again = keras.Input((4, 6, 2))
    y = turned.get_layer("turned")(again)
    straight = keras.Model(again, turned.layers[-1](layers.Flatten()(y)))
    expected = RegionCAM(straight, "turned").explain(x.transpose(0, 2, 1, 3), 1)
    assert_close(maps, expected.transpose(0, 2, 1))


def test_what_cannot_be_laid_is_refused():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(inputs)
    x = layers.Dense(18)(layers.Flatten()(x))
    x = layers.Reshape((3, 3, 2), name="anew")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    with pytest.raises(ValueError, match="positions of layer 'anew'"):
        RegionCAM(model, "anew").explain(images(6, 6, 2), 1)
