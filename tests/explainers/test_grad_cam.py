import keras
import numpy as np
import pytest
from explainers.networks import BIAS
from explainers.networks import GOLDEN
from explainers.networks import NUMBER
from explainers.networks import WEIGHTS
from explainers.networks import WINDOWS
from explainers.networks import activations_and_gradients
from explainers.networks import assert_close
from explainers.networks import golden
from explainers.networks import images
from explainers.networks import random_network
from explainers.networks import sizes_and
from keras import layers
from reference import cam as reference
from reference import laid

from keras_xmap.explainers import GradCAM

pytestmark = pytest.mark.tensorflow

HEADS = ("average", "flatten", "mlp")


def test_the_golden_map():
    maps = GradCAM(golden()).explain(GOLDEN, 1)
    np.testing.assert_array_equal(maps, [[[0, 1], [1.5, 2]]])


def test_on_plain_arrays_the_map_is_its_formula():
    activations = keras.ops.convert_to_tensor(GOLDEN)
    # Means over positions: 2 and -1.
    gradients = np.zeros((1, 2, 2, 2), "float32")
    gradients[0, 0, 0] = [8, -4]
    maps = GradCAM(golden()).map(activations, gradients)
    np.testing.assert_array_equal(maps, [[[0, 4], [6, 8]]])


@sizes_and("head", HEADS)
def test_random_networks_have_the_maps_of_the_reference(size, head):
    model, x = random_network(size, head), images(*size, 3)
    classes = np.array([0, 3, 1])
    expected = reference.grad_cam(*activations_and_gradients(model, x, classes))
    maps = GradCAM(model, resize=False).explain(x, classes)
    assert_close(maps, expected)
    resized = [laid.lay(heatmap, size, WINDOWS["last"]) for heatmap in expected]
    assert_close(GradCAM(model).explain(x, classes), resized)


@pytest.mark.parametrize("head", HEADS)
def test_a_constant_added_to_all_scores_changes_nothing(head):
    model, x = random_network(head=head), images(9, 7, 3)
    expected = GradCAM(model).explain(x, 2)
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([kernel, bias + 7])
    np.testing.assert_array_equal(GradCAM(model).explain(x, 2), expected)


@pytest.mark.parametrize("head", ["average", "flatten"])
def test_permuting_channels_with_their_weights_changes_nothing(head):
    model, x = random_network(head=head), images(9, 7, 3)
    expected = GradCAM(model).explain(x, 2)
    order = np.random.default_rng(0).permutation(6)
    kernel, bias = model.get_layer("last").get_weights()
    model.get_layer("last").set_weights([kernel[..., order], bias[order]])
    kernel, bias = model.get_layer("dense").get_weights()
    kernel = kernel.reshape(-1, 6, 4)[:, order].reshape(kernel.shape)
    model.get_layer("dense").set_weights([kernel, bias])
    assert_close(GradCAM(model).explain(x, 2), expected)


def test_a_dead_channel_has_no_effect():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    kernel, bias = model.get_layer("last").get_weights()
    kernel[..., 2], bias[2] = 0, -1
    model.get_layer("last").set_weights([kernel, bias])
    expected = GradCAM(model).explain(x, 2)
    head, bias = model.get_layer("hidden").get_weights()
    head.reshape(-1, 6, 8)[:, 2] *= -50
    model.get_layer("hidden").set_weights([head, bias])
    assert_close(GradCAM(model).explain(x, 2), expected)


@pytest.mark.parametrize("head", HEADS)
def test_scaling_the_score_scales_the_map(head):
    model, x = random_network(head=head), images(9, 7, 3)
    expected = 4 * GradCAM(model).explain(x, 2)
    maps = GradCAM(model).explain(x, lambda scores: 4 * scores[:, 2])
    assert_close(maps, expected)


def test_maps_are_not_negative_and_the_opposite_score_fills_the_rest():
    model, x = random_network(), images(9, 7, 3)
    up = GradCAM(model, resize=False).explain(x, 2)
    down = GradCAM(model, resize=False).explain(x, lambda s: -s[:, 2])
    assert up.min() == down.min() == 0
    assert up.max() > 0 and down.max() > 0
    np.testing.assert_array_equal(up * down, np.zeros_like(up))


def test_a_class_that_every_position_speaks_against_has_a_map_of_zeros():
    model = golden()
    model.get_layer("dense").set_weights([-np.abs(WEIGHTS), BIAS])
    maps = GradCAM(model).explain(GOLDEN, 1)
    np.testing.assert_array_equal(maps, np.zeros((1, 2, 2)))


@pytest.mark.parametrize("head", HEADS)
def test_constant_and_large_images_have_finite_maps(head):
    explainer = GradCAM(random_network(head=head))
    for value in (0, 1, 1e18, -1e18):
        x = np.full((3, 9, 7, 3), value, "float32")
        assert np.isfinite(explainer.explain(x, 2)).all()
        x = images(9, 7, 3) * np.float32(value)
        assert np.isfinite(explainer.explain(x, 2)).all()


def test_the_map_of_one_image_does_not_depend_on_its_batch():
    model, x = random_network(head="mlp"), images(9, 7, 3, count=5)
    explainer = GradCAM(model)
    together = explainer.explain(x, np.arange(5) % 4)
    for i in range(5):
        alone = explainer.explain(x[i : i + 1], i % 4)
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-5, atol=1e-6)
    other = x.copy()
    other[1:] *= 100
    mixed = GradCAM(model).explain(other, np.arange(5) % 4)
    np.testing.assert_allclose(mixed[0], together[0], rtol=1e-5, atol=1e-6)


def test_the_layer_is_taken_by_object_name_and_path():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    expected = reference.grad_cam(
        *activations_and_gradients(model, x, 2, layer="first")
    )
    outer = keras.Sequential([keras.Input((9, 7, 3)), model, layers.Softmax()])
    first = model.get_layer("first")
    for explained, layer in [
        (model, first),
        (model, "first"),
        (outer, first),
        (outer, "first"),
        (outer, f"{model.name}/first"),
    ]:
        explainer = GradCAM(explained, layer, resize=False)
        assert_close(explainer.explain(x, 2), expected)
        assert explainer.layers_used[0].endswith("first")


def test_without_resize_the_map_has_the_size_of_the_layer():
    model, x = random_network(), images(9, 7, 3)
    assert GradCAM(model, resize=False).explain(x, 2).shape == (3, 3, 2)
    first = GradCAM(model, "first", resize=False)
    assert first.explain(x, 2).shape == (3, 7, 5)
    assert GradCAM(model).explain(x, 2).shape == (3, 9, 7)


def test_resizing_takes_pixels_as_areas():
    """4 = 2 * 2 columns: 0, 1 becomes 0, 0.25, 0.75, 1."""
    inputs = keras.Input((4, 4, 1))
    x = layers.AveragePooling2D(2, name="maps")(inputs)
    x = layers.Dense(1, use_bias=False)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    model.set_weights([np.array([[4.0]], "float32")])
    x = np.kron([[0.0, 1.0], [0.0, 1.0]], np.ones((2, 2)))
    maps = GradCAM(model, "maps").explain(x[None, ..., None], NUMBER)
    row = [0, 0.25, 0.75, 1]
    np.testing.assert_allclose(maps[0], [row] * 4)


def test_constant_maps_stay_constant_when_resized():
    inputs = keras.Input((11, 5, 1))
    x = layers.AveragePooling2D(3, padding="same", name="maps")(inputs)
    outputs = layers.Dense(1)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    model.layers[-1].kernel.assign([[8.0]])
    maps = GradCAM(model).explain(np.ones((1, 11, 5, 1), "float32"), NUMBER)
    np.testing.assert_allclose(maps, np.ones((1, 11, 5)), rtol=1e-6)
