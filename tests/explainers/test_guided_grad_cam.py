import keras
import numpy as np
import pytest
from explainers.networks import CONVOLUTIONS
from explainers.networks import NUMBER
from explainers.networks import WINDOWS
from explainers.networks import CountsTraces
from explainers.networks import activations_and_gradients
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import random_network
from explainers.networks import randomize
from keras import layers
from reference import cam as reference
from reference import laid
from reference.gradient import guided_gradient
from reference.gradient import reduce_channels

from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import GuidedBackprop
from keras_xmap.explainers import GuidedGradCAM

pytestmark = pytest.mark.tensorflow


def test_by_hand():
    """Two pixels of one channel; the layer is their ReLU.

    Grad-CAM: weight mean(3, 1) = 2, heatmap (2 * 1, 2 * 4); guided gradient
    (3, 1).
    """
    inputs = keras.Input((1, 2, 1))
    x = layers.ReLU(name="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))
    model.layers[-1].kernel.assign([[3.0], [1.0]])
    x = np.array([[[[1.0], [4.0]]]], "float32")
    explainer = GuidedGradCAM(model)
    np.testing.assert_allclose(
        explainer.explain(x, NUMBER), [[[6, 8]]], rtol=1e-6
    )
    assert explainer.layers_used == ["relu"]


REDUCTIONS = ("max", "mean", "norm", "sum", None)


@pytest.mark.parametrize(
    "size, reductions",
    [((20,), ["max", None]), ((9, 7), REDUCTIONS), ((7, 8, 9), ["max", None])],
)
def test_it_is_the_product_of_the_two_methods(size, reductions):
    model, x = random_network(size, head="mlp"), images(*size, 3)
    classes = np.array([0, 3, 1])
    fine = GuidedBackprop(model, None).explain(x, classes)
    coarse = GradCAM(model).explain(x, classes)
    for how in reductions:
        if how is None:
            expected = fine * coarse[..., None]
        else:
            expected = reduce_channels(fine, how) * coarse
        explainer = GuidedGradCAM(model, channel_reduction=how)
        assert_close(explainer.explain(x, classes), expected)


@pytest.mark.parametrize("layer", ["first", "last"])
def test_the_layer_may_be_chosen(layer):
    model, x = random_network(head="mlp"), images(9, 7, 3)
    explainer = GuidedGradCAM(model, layer)
    fine = GuidedBackprop(model).explain(x, 2)
    product = fine * GradCAM(model, layer).explain(x, 2)
    assert_close(explainer.explain(x, 2), product)
    assert explainer.layers_used == [layer]
    by_object = GuidedGradCAM(model, model.get_layer(layer))
    assert_close(by_object.explain(x, 2), product)


def test_random_networks_have_the_map_of_the_references():
    """A 1 x 1 convolution is a perceptron at every pixel."""
    inputs = keras.Input((4, 3, 2))
    hidden = layers.Conv2D(5, 1, activation="relu", name="hidden")(inputs)
    pooled = layers.GlobalAveragePooling2D()(hidden)
    model = keras.Model(inputs, layers.Dense(3)(pooled))
    randomize(model)
    x = images(4, 3, 2)
    kernel, bias, head, _ = model.get_weights()
    coarse = reference.grad_cam(
        *activations_and_gradients(model, x, 1, layer="hidden")
    )
    fine = np.zeros(x.shape)
    for at in np.ndindex(*x.shape[:3]):
        fine[at] = guided_gradient(
            x[at], [kernel[0, 0]], [bias], head[:, 1] / 12
        )
    expected = reduce_channels(fine * coarse[..., None], "norm")
    maps = GuidedGradCAM(model, channel_reduction="norm").explain(x, 1)
    assert_close(maps, expected)


def test_the_coarse_map_is_brought_to_the_size_of_the_input():
    model, x = random_network(), images(9, 7, 3)
    coarse = reference.grad_cam(*activations_and_gradients(model, x, 2))
    coarse = np.stack(
        [laid.lay(heatmap, (9, 7), WINDOWS["last"]) for heatmap in coarse]
    )
    fine = GuidedBackprop(model).explain(x, 2)
    assert_close(GuidedGradCAM(model).explain(x, 2), fine * coarse)


def test_where_the_channels_come_first():
    inputs = keras.Input((3, 8, 6))
    options = {"data_format": "channels_first", "padding": "same"}
    x = layers.Conv2D(4, 3, activation="relu", **options)(inputs)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    x = images(3, 8, 6)
    coarse = GradCAM(model).explain(x, 1)
    assert coarse.max() > 0
    for how in ("max", None):
        fine = GuidedBackprop(model, how).explain(x, 1)
        product = fine * (coarse if how else coarse[:, None])
        maps = GuidedGradCAM(model, channel_reduction=how).explain(x, 1)
        assert_close(maps, product)


def test_inputs_without_positions_have_no_map():
    image, vector = keras.Input((8, 6, 3)), keras.Input((4,))
    x = layers.Conv2D(4, 3, activation="relu")(image)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Concatenate()([x, layers.Dense(3, activation="relu")(vector)])
    model = keras.Model([image, vector], layers.Dense(2)(x))
    data = [images(8, 6, 3), images(4)]
    of_image, of_vector = GuidedGradCAM(model).explain(data, 1)
    assert of_vector is None
    fine, _ = GuidedBackprop(model).explain(data, 1)
    assert_close(of_image, fine * GradCAM(model).explain(data, 1))


def test_several_classes_are_those_of_single_calls():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    explainer = GuidedGradCAM(model)
    together = explainer.explain(x, np.array([[0, 3]] * 3))
    for k, category in enumerate((0, 3)):
        alone = explainer.explain(x, category)
        np.testing.assert_allclose(together[:, k], alone, rtol=1e-5, atol=1e-7)


def test_one_forward_pass_serves_both_methods_and_all_classes():
    counter = CountsTraces()
    inputs = keras.Input((9, 7, 3))
    x = CONVOLUTIONS[2](4, 3, activation="relu")(counter(inputs))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4)(x))
    counter.count = 0
    GuidedGradCAM(model).explain(images(9, 7, 3), np.array([[0, 1, 2]] * 3))
    assert counter.count == 1


def test_where_grad_cam_is_zero_so_is_the_map():
    model = random_network()
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([-np.abs(kernel), bias])
    x = images(9, 7, 3)
    maps = GuidedGradCAM(model).explain(x, 2)
    np.testing.assert_array_equal(maps, np.zeros((3, 9, 7)))


def test_constant_and_large_images_have_finite_maps():
    explainer = GuidedGradCAM(random_network(head="mlp"))
    for value in (0.0, 1.0, 1e17, -1e17):
        x = np.full((2, 9, 7, 3), value, "float32")
        assert np.isfinite(explainer.explain(x, 2)).all()


def test_what_either_method_needs_is_asked_for():
    without_relu = keras.Sequential(
        [
            keras.Input((9, 7, 3)),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    with pytest.raises(ValueError, match="needs a ReLU"):
        GuidedGradCAM(without_relu).explain(images(9, 7, 3), 0)
    without_positions = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(2)]
    )
    with pytest.raises(ValueError, match="The model has no spatial layer"):
        GuidedGradCAM(without_positions).explain(images(4), 0)
    model = random_network(head="mlp")
    with pytest.raises(ValueError, match="Received: target_layer='hidden'"):
        GuidedGradCAM(model, "hidden").explain(images(9, 7, 3), 0)
    with pytest.raises(ValueError, match="channel_reduction='median'"):
        GuidedGradCAM(model, channel_reduction="median")
