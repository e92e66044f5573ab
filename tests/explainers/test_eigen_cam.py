import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import WINDOWS
from explainers.networks import activations_and_gradients
from explainers.networks import assert_close
from explainers.networks import golden
from explainers.networks import images
from explainers.networks import random_network
from explainers.networks import sizes_and
from keras import layers
from reference import laid
from reference import weighted_cam as reference

from keras_xmap.explainers import EigenCAM

pytestmark = pytest.mark.tensorflow


def tensor(*shape, seed=0):
    return keras.ops.convert_to_tensor(images(*shape, seed=seed))


def test_a_matrix_of_rank_one_by_hand():
    """A = u v with u = [1, 2, 3, 4] and v = [3, 4]: M = 5 u."""
    u = np.array([[1, 2], [3, 4]], "float32")
    activations = np.stack([3 * u, 4 * u], axis=-1)[None]
    maps = EigenCAM(golden()).explain(activations, 1)
    np.testing.assert_allclose(maps, 5 * u[None], rtol=1e-5)


def test_of_orthogonal_channels_it_is_the_longer_one():
    activations = np.zeros((1, 2, 2, 2), "float32")
    activations[0, 0, :, 0] = [2, 1]
    activations[0, 1, :, 1] = [1, 1]
    maps = EigenCAM(golden()).explain(activations, 1)
    np.testing.assert_allclose(maps, [[[2, 1], [0, 0]]], atol=1e-6)


@sizes_and("center", [False, True])
def test_random_networks_have_the_maps_of_the_reference(size, center):
    model, x = random_network(size), images(*size, 3)
    for layer in ("first", "last"):
        activations, _ = activations_and_gradients(model, x, 2, layer)
        expected = reference.eigen_cam(activations, center)
        explainer = EigenCAM(model, layer, center, resize=False)
        assert_close(explainer.explain(x, 2), expected)
        resized = [
            laid.lay(heatmap, size, WINDOWS[layer]) for heatmap in expected
        ]
        maps = EigenCAM(model, layer, center).explain(x, 2)
        assert_close(maps, resized)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("shape", [(3, 4, 30), (8, 9, 5), (4, 4, 16), (7, 1)])
def test_more_channels_or_more_positions_are_all_the_same(shape, center):
    activations = tensor(*shape)
    maps = EigenCAM(golden(), center=center).map(activations, None)
    expected = reference.eigen_cam(activations, center)
    assert_close(maps, expected)


@pytest.mark.parametrize("channels", [3, 200])
def test_sizes_known_only_at_the_call_are_all_the_same(channels):
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(channels, 3, activation="relu", name="maps")(inputs)
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    bottom = keras.Model(inputs, model.get_layer("maps").output)
    explainer = EigenCAM(model, resize=False)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def run(x):
        return explainer(x, 1)

    for size in [(6, 7), (9, 8)]:
        x = images(*size, 3)
        expected = reference.eigen_cam(bottom(x))
        assert_close(run(x), expected)


def test_of_activations_that_are_not_negative_the_map_is_not():
    activations = keras.ops.abs(tensor(5, 6, 9))
    assert np.min(EigenCAM(golden()).map(activations, None)) > 0


def test_the_sign_is_that_of_the_activations():
    activations = keras.ops.abs(tensor(5, 6, 9))
    maps = EigenCAM(golden()).map(activations, None)
    # The singular vector, with entries of positive sum, stays.
    assert_close(EigenCAM(golden()).map(-activations, None), -maps)
    centered = EigenCAM(golden(), center=True).map(activations, None)
    toward = np.asarray(activations).sum(axis=-1)
    toward = toward - toward.mean(axis=(1, 2), keepdims=True)
    assert (np.sum(centered * toward, axis=(1, 2)) > 0).all()


def test_centred_it_is_the_first_principal_component_of_mean_zero():
    """As in pytorch-grad-cam, whose sign is that of NumPy's SVD."""
    activations = tensor(5, 6, 9)
    maps = np.asarray(EigenCAM(golden(), center=True).map(activations, None))
    for image, heatmap in zip(np.asarray(activations), maps, strict=True):
        matrix = image.reshape(-1, 9).astype("float64")
        matrix -= matrix.mean(axis=0)
        theirs = matrix @ np.linalg.svd(matrix)[2][0]
        theirs *= np.sign(theirs @ heatmap.ravel())
        assert_close(heatmap.ravel(), theirs)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), 0, atol=1e-5)


def test_the_map_is_the_same_for_every_class():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    explainer = EigenCAM(model)
    maps = explainer.explain(x, np.array([[0, 3], [1, 2], [3, 3]]))
    np.testing.assert_array_equal(maps[:, 0], maps[:, 1])
    np.testing.assert_allclose(explainer.explain(x), maps[:, 0], rtol=1e-6)
    np.testing.assert_allclose(
        explainer.explain(x, lambda scores: -scores[:, 1]),
        maps[:, 0],
        rtol=1e-6,
    )


def test_no_backward_pass_is_made():
    """A score of argmax has no gradient at all."""
    model, x = random_network(), images(9, 7, 3)
    explainer = EigenCAM(model)
    maps = explainer.explain(
        x,
        lambda scores: keras.ops.cast(keras.ops.argmax(scores, -1), "float32"),
    )
    np.testing.assert_allclose(maps, explainer.explain(x, 0), rtol=1e-6)


def test_scaling_the_activations_scales_the_map():
    activations = keras.ops.abs(tensor(5, 6, 9))
    maps = EigenCAM(golden()).map(activations, None)
    for factor in (1e-30, 1e-3, 1e30):
        scaled = EigenCAM(golden()).map(activations * factor, None)
        assert_close(scaled, maps * factor)


def test_permuting_channels_changes_nothing():
    activations = tensor(5, 6, 9)
    maps = EigenCAM(golden()).map(activations, None)
    order = np.random.default_rng(1).permutation(9)
    permuted = keras.ops.take(activations, order, axis=-1)
    assert_close(EigenCAM(golden()).map(permuted, None), maps)


@pytest.mark.parametrize("center", [False, True])
def test_dead_and_constant_activations_are_never_nan(center):
    explainer = EigenCAM(golden(), center=center)
    zeros = np.zeros((2, 2, 2, 2), "float32")
    np.testing.assert_array_equal(explainer.explain(zeros, 1), zeros[..., 0])
    maps = explainer.explain(zeros + np.float32([3, 4]), 1)
    value = 0 if center else 5
    np.testing.assert_allclose(maps, np.full((2, 2, 2), value), atol=1e-5)
