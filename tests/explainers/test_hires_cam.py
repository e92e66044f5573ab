import keras
import numpy as np
import pytest
from explainers.networks import BIAS
from explainers.networks import GOLDEN
from explainers.networks import WINDOWS
from explainers.networks import activations_and_gradients
from explainers.networks import assert_close
from explainers.networks import golden
from explainers.networks import images
from explainers.networks import random_network
from explainers.networks import sizes_and
from reference import cam as reference
from reference import laid

from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import HiResCAM

pytestmark = pytest.mark.tensorflow

HEADS = ("average", "flatten", "mlp")


def test_the_golden_map_sums_to_the_score():
    maps = HiResCAM(golden()).explain(GOLDEN, 1)
    np.testing.assert_array_equal(maps, [[[-0.5, 1], [1.5, 2]]])
    assert maps.sum() + BIAS[1] == 4.5


def test_on_plain_arrays_the_map_is_its_formula():
    gradients = np.arange(8, dtype="float32").reshape(1, 2, 2, 2)
    activations = keras.ops.convert_to_tensor(GOLDEN)
    maps = HiResCAM(golden()).map(activations, gradients)
    np.testing.assert_array_equal(maps, [[[4, 4], [12, 24]]])


@sizes_and("head", HEADS)
def test_random_networks_have_the_maps_of_the_reference(size, head):
    model, x = random_network(size, head), images(*size, 3)
    classes = np.array([0, 3, 1])
    expected = reference.hires_cam(
        *activations_and_gradients(model, x, classes)
    )
    maps = HiResCAM(model, resize=False).explain(x, classes)
    assert_close(maps, expected)
    resized = [laid.lay(heatmap, size, WINDOWS["last"]) for heatmap in expected]
    assert_close(HiResCAM(model).explain(x, classes), resized)


@pytest.mark.parametrize("head", ["average", "flatten"])
def test_behind_a_linear_head_the_map_is_complete(head):
    model, x = random_network(head=head), images(9, 7, 3)
    scores = model.predict(x, verbose=0)
    bias = model.get_layer("dense").get_weights()[1]
    classes = np.arange(4)[None].repeat(3, 0)
    maps = HiResCAM(model, resize=False).explain(x, classes)
    np.testing.assert_allclose(
        maps.sum(axis=(2, 3)) + bias, scores, rtol=1e-5, atol=1e-5
    )


def test_grad_cam_is_not_complete_behind_flatten():
    model, x = random_network(head="flatten"), images(9, 7, 3)
    activations, gradients = activations_and_gradients(model, x, 2)
    hires = HiResCAM(model, resize=False).explain(x, 2)
    # Signed, as the ReLU alone would break completeness.
    weights = gradients.mean(axis=(1, 2))
    signed = reference.cam(activations, weights)
    score = model.predict(x, verbose=0)[:, 2]
    score -= model.get_layer("dense").get_weights()[1][2]
    assert np.abs(hires.sum(axis=(1, 2)) - score).max() < 1e-5
    assert np.abs(signed.sum(axis=(1, 2)) - score).min() > 0.1
    grad_cam = GradCAM(model, resize=False).explain(x, 2)
    assert_close(grad_cam, np.maximum(signed, 0))
    assert np.abs(grad_cam - np.maximum(hires, 0)).max() > 0.1


@pytest.mark.parametrize("head", HEADS)
def test_a_constant_added_to_all_scores_changes_nothing(head):
    model, x = random_network(head=head), images(9, 7, 3)
    expected = HiResCAM(model).explain(x, 2)
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([kernel, bias + 7])
    np.testing.assert_array_equal(HiResCAM(model).explain(x, 2), expected)


def test_permuting_channels_with_their_weights_changes_nothing():
    model, x = random_network(head="flatten"), images(9, 7, 3)
    expected = HiResCAM(model).explain(x, 2)
    order = np.random.default_rng(0).permutation(6)
    kernel, bias = model.get_layer("last").get_weights()
    model.get_layer("last").set_weights([kernel[..., order], bias[order]])
    kernel, bias = model.get_layer("dense").get_weights()
    kernel = kernel.reshape(-1, 6, 4)[:, order].reshape(kernel.shape)
    model.get_layer("dense").set_weights([kernel, bias])
    assert_close(HiResCAM(model).explain(x, 2), expected)


def test_a_dead_channel_has_no_effect():
    model, x = random_network(head="flatten"), images(9, 7, 3)
    kernel, bias = model.get_layer("last").get_weights()
    kernel[..., 2], bias[2] = 0, -1
    model.get_layer("last").set_weights([kernel, bias])
    expected = HiResCAM(model).explain(x, 2)
    head, bias = model.get_layer("dense").get_weights()
    head.reshape(-1, 6, 4)[:, 2] *= -50
    model.get_layer("dense").set_weights([head, bias])
    assert_close(HiResCAM(model).explain(x, 2), expected)


def test_the_map_is_linear_in_the_score():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    one, two = (HiResCAM(model).explain(x, k) for k in (1, 2))
    both = HiResCAM(model).explain(x, lambda s: 3 * s[:, 1] - 2 * s[:, 2])
    assert_close(both, 3 * one - 2 * two)


@pytest.mark.parametrize("head", HEADS)
def test_constant_and_large_images_have_finite_maps(head):
    explainer = HiResCAM(random_network(head=head))
    for value in (0, 1, 1e18, -1e18):
        x = np.full((3, 9, 7, 3), value, "float32")
        assert np.isfinite(explainer.explain(x, 2)).all()
        x = images(9, 7, 3) * np.float32(value)
        assert np.isfinite(explainer.explain(x, 2)).all()


def test_dead_activations_give_a_map_of_zeros():
    maps = HiResCAM(golden()).explain(0 * GOLDEN, 1)
    np.testing.assert_array_equal(maps, np.zeros((1, 2, 2)))
