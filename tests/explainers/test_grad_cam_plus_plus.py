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
from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus as Theirs
from tf_keras_vis.utils.scores import CategoricalScore

from keras_xmap.explainers import GradCAMPlusPlus

pytestmark = pytest.mark.tensorflow

HEADS = ("average", "flatten", "mlp")
CLASSES = np.array([0, 3, 1])


def test_the_golden_map():
    """alpha = (1/7, 1), w = (2/7, 0): g is 1/2 and -1/4, sum(A) 10 and 4."""
    maps = GradCAMPlusPlus(golden()).explain(GOLDEN, 1)
    expected = 2 / 7 * np.array([[[1, 2], [3, 4]]])
    np.testing.assert_allclose(maps, expected, rtol=1e-6)


def test_the_sum_over_positions_comes_before_the_product_with_the_gradient():
    """Where g is 1 at the first position of A1 only, alpha is 1 / (2 + 10)."""
    gradients = np.zeros((1, 2, 2, 2), "float32")
    gradients[0, 0, 0, 0] = 1
    activations = keras.ops.convert_to_tensor(GOLDEN)
    maps = GradCAMPlusPlus(golden()).map(activations, gradients)
    expected = 1 / 12 * np.array([[[1, 2], [3, 4]]])
    np.testing.assert_allclose(maps, expected, rtol=1e-6)


def test_normalized_alphas_sum_to_one_over_the_positive_positions():
    """w_1 is then a mean of g: 1/2. w_2 is 0 as before."""
    maps = GradCAMPlusPlus(golden(), normalize_alpha=True).explain(GOLDEN, 1)
    expected = 1 / 2 * np.array([[[1, 2], [3, 4]]])
    np.testing.assert_allclose(maps, expected, rtol=1e-6)


@sizes_and("head", HEADS)
def test_random_networks_have_the_maps_of_the_reference(size, head):
    model, x = random_network(size, head), images(*size, 3)
    found = activations_and_gradients(model, x, CLASSES)
    tensors = [keras.ops.convert_to_tensor(values) for values in found]
    # The formula on arrays, and once within a step.
    for normalize_alpha in (True, False):
        explainer = GradCAMPlusPlus(model, normalize_alpha=normalize_alpha)
        expected = reference.grad_cam_plus_plus(*found, normalize_alpha)
        assert_close(explainer.map(*tensors), expected)
    resized = [laid.lay(heatmap, size, WINDOWS["last"]) for heatmap in expected]
    assert_close(explainer.explain(x, CLASSES), resized)


def test_behind_average_pooling_the_weights_have_a_closed_form():
    """w_k = Z * relu(g) / (2 + g * sum(A_k))."""
    model, x = random_network(), images(9, 7, 3)
    activations, gradients = activations_and_gradients(model, x, 2)
    g = gradients[:, 0, 0]
    np.testing.assert_allclose(gradients, g[:, None, None] + 0 * gradients)
    total = activations.sum(axis=(1, 2))
    weights = 6 * np.maximum(g, 0) / (2 + g * total)
    expected = (weights[:, None, None] * activations).sum(axis=-1)
    maps = GradCAMPlusPlus(model, resize=False).explain(x, 2)
    assert_close(maps, expected)


def test_a_constant_added_to_all_scores_changes_nothing():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    expected = GradCAMPlusPlus(model).explain(x, 2)
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([kernel, bias + 1000])
    maps = GradCAMPlusPlus(model).explain(x, 2)
    np.testing.assert_array_equal(maps, expected)
    assert expected.max() > 0


@pytest.mark.parametrize("scale", [1e-15, 1e-9, 1e-3])
def test_small_gradients_do_not_vanish_on_the_way(scale):
    """g^2 and g^3 would be 0 in float32; then alpha tends to 1/2."""
    gradients = np.full((1, 2, 2, 2), scale, "float32")
    activations = keras.ops.convert_to_tensor(GOLDEN)
    maps = GradCAMPlusPlus(golden()).map(activations, gradients)
    assert_close(maps, reference.grad_cam_plus_plus(GOLDEN, gradients))


@pytest.mark.parametrize("normalize_alpha", [False, True])
def test_a_pole_and_dead_channels_have_finite_maps(normalize_alpha):
    explainer = GradCAMPlusPlus(golden(), normalize_alpha=normalize_alpha)
    # sum(A) * g is -2 for the first channel; the second is dead.
    activations = np.full((1, 2, 2, 2), [-0.5, 0], "float32")
    gradients = np.ones((1, 2, 2, 2), "float32")
    maps = explainer.map(keras.ops.convert_to_tensor(activations), gradients)
    np.testing.assert_array_equal(maps, np.zeros((1, 2, 2)))
    maps = explainer.map(keras.ops.convert_to_tensor(GOLDEN), 0 * gradients)
    np.testing.assert_array_equal(maps, np.zeros((1, 2, 2)))


@pytest.mark.parametrize("normalize_alpha", [False, True])
def test_constant_and_large_images_have_finite_maps(normalize_alpha):
    model = random_network(head="mlp")
    explainer = GradCAMPlusPlus(model, normalize_alpha=normalize_alpha)
    for value in (0.0, 1.0, 1e18, -1e18):
        x = np.full((2, 9, 7, 3), value, "float32")
        assert np.isfinite(explainer.explain(x, 2)).all()
        x = images(9, 7, 3) * np.float32(value)
        assert np.isfinite(explainer.explain(x, 2)).all()


def test_behind_average_pooling_normalized_maps_are_those_of_tf_keras_vis():
    """But for its factor exp(S).

    Elsewhere they differ: tf-keras-vis divides by the sum of alpha over all
    positions, those with g < 0 included, and can be negative there.
    """
    model, x = random_network(), images(9, 7, 3)
    theirs = Theirs(model)(
        CategoricalScore(list(CLASSES)),
        x,
        penultimate_layer="last",
        expand_cam=False,
        normalize_cam=False,
    )
    scores = model.predict(x, verbose=0)[np.arange(3), CLASSES]
    explainer = GradCAMPlusPlus(model, normalize_alpha=True, resize=False)
    maps = explainer.explain(x, CLASSES)
    assert_close(maps, theirs / np.exp(scores)[:, None, None], 2e-6)
