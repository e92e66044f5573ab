import keras
import numpy as np
import pytest
from explainers.networks import GOLDEN
from explainers.networks import WINDOWS
from explainers.networks import activations_and_gradients
from explainers.networks import assert_close
from explainers.networks import golden
from explainers.networks import images
from explainers.networks import random_network
from explainers.networks import sizes_and
from reference import laid
from reference import weighted_cam as reference

from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers import LayerCAM

pytestmark = pytest.mark.tensorflow

HEADS = ("average", "flatten", "mlp")
CLASSES = np.array([0, 3, 1])


def test_the_golden_map():
    maps = LayerCAM(golden()).explain(GOLDEN, 1)
    np.testing.assert_array_equal(maps, [[[0.5, 1], [1.5, 2]]])


def test_the_golden_map_scaled_by_a_tanh():
    maps = LayerCAM(golden(), gamma=2.0).explain(GOLDEN, 1)
    expected = np.tanh([[[0.5, 1.0], [1.5, 2.0]]])
    np.testing.assert_allclose(maps, expected, rtol=1e-6)


@sizes_and("head", HEADS)
def test_random_networks_have_the_maps_of_the_reference(size, head):
    model, x = random_network(size, head), images(*size, 3)
    for layer in ("first", "last"):
        found = activations_and_gradients(model, x, CLASSES, layer)
        expected = reference.layer_cam(*found)
        explainer = LayerCAM(model, layer, resize=False)
        assert_close(explainer.explain(x, CLASSES), expected)
        # `gamma` acts on what the formula has summed, without the network.
        for gamma in (0.5, 2.0):
            maps = LayerCAM(model, layer, gamma).map(*found)
            assert_close(maps, reference.layer_cam(*found, gamma))
    resized = [laid.lay(heatmap, size, WINDOWS["last"]) for heatmap in expected]
    assert_close(LayerCAM(model, "last").explain(x, CLASSES), resized)


@pytest.mark.parametrize("layer", ["first", "last"])
def test_scaled_maps_of_a_random_network_are_those_of_the_reference(layer):
    model, x = random_network(head="mlp"), images(9, 7, 3)
    expected = reference.layer_cam(
        *activations_and_gradients(model, x, CLASSES, layer), 2.0
    )
    resized = [
        laid.lay(heatmap, (9, 7), WINDOWS[layer]) for heatmap in expected
    ]
    maps = LayerCAM(model, layer, gamma=2.0).explain(x, CLASSES)
    assert_close(maps, resized)


def test_where_everything_speaks_for_the_class_it_is_hires_cam():
    model, x = random_network(), images(9, 7, 3)
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([np.abs(kernel), bias])
    assert_close(LayerCAM(model).explain(x, 2), HiResCAM(model).explain(x, 2))


def test_negative_activations_of_a_layer_without_relu_are_cut_off():
    activations = keras.ops.convert_to_tensor(-GOLDEN)
    gradients = np.ones((1, 2, 2, 2), "float32")
    maps = LayerCAM(golden()).map(activations, gradients)
    np.testing.assert_array_equal(maps, np.zeros((1, 2, 2)))


def test_scaled_maps_do_not_depend_on_the_size_of_the_score():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    explainer = LayerCAM(model, gamma=2.0, resize=False)
    expected = explainer.explain(x, 2)
    maps = explainer.explain(x, lambda scores: 1e-6 * scores[:, 2])
    assert_close(maps, expected)
    np.testing.assert_allclose(maps.max(axis=(1, 2)), np.tanh(2), rtol=1e-6)


@pytest.mark.parametrize("gamma", [None, 2.0])
def test_constant_and_large_images_have_finite_maps(gamma):
    explainer = LayerCAM(random_network(head="mlp"), gamma=gamma)
    for value in (0.0, 1.0, 1e18, -1e18):
        x = np.full((2, 9, 7, 3), value, "float32")
        assert np.isfinite(explainer.explain(x, 2)).all()
        x = images(9, 7, 3) * np.float32(value)
        assert np.isfinite(explainer.explain(x, 2)).all()


def test_a_map_of_zeros_stays_one_when_scaled():
    maps = LayerCAM(golden(), gamma=2.0).explain(0 * GOLDEN, 1)
    np.testing.assert_array_equal(maps, np.zeros((1, 2, 2)))


@pytest.mark.parametrize("gamma", [0, -1.0, float("inf"), "2"])
def test_a_wrong_gamma_is_refused_at_once(gamma):
    with pytest.raises(ValueError, match=f"Received: gamma={gamma!r}"):
        LayerCAM(golden(), gamma=gamma)


def test_products_are_rectified_position_by_position():
    activations = np.array([[[[2.0, -3.0], [-1.0, 4.0]]]], "float32")
    gradients = np.array([[[[1.0, -2.0], [5.0, 0.5]]]], "float32")
    maps = LayerCAM(golden(), rectify="products").map(activations, gradients)
    np.testing.assert_array_equal(maps, [[[2 + 6, 2]]])
    maps = LayerCAM(golden()).map(activations, gradients)
    np.testing.assert_array_equal(maps, [[[2, 0]]])


def test_where_no_activation_is_negative_both_rectifications_are_one():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    assert_close(
        LayerCAM(model, rectify="products").explain(x, 2),
        LayerCAM(model).explain(x, 2),
    )


def test_another_rectification_is_refused():
    with pytest.raises(ValueError, match="Received: rectify='both'"):
        LayerCAM(golden(), rectify="both")
