import keras
import numpy as np
import pytest
from explainers.networks import NUMBER
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import input_gradients
from explainers.networks import random_network
from keras import layers
from reference.gradient import reduce_channels

from keras_xmap.explainers import GuidedBackprop
from keras_xmap.explainers import Saliency
from keras_xmap.explainers import SmoothGrad

pytestmark = pytest.mark.tensorflow

HEADS = ("average", "flatten", "mlp")
# Two pixels of two channels, and the derivatives of the score by them.
KERNEL = np.array([3.0, -4.0, 1.0, 2.0], "float32")
BY_HAND = {
    "max": [4.0, 2.0],
    "mean": [3.5, 1.5],
    "norm": [5.0, 5**0.5],
    "sum": [-1.0, 3.0],
    None: [[3.0, -4.0], [1.0, 2.0]],
}


def linear(bias=0.0):
    model = keras.Sequential(
        [keras.Input((1, 2, 2)), layers.Flatten(), layers.Dense(2)]
    )
    kernel = np.stack([KERNEL, -10 * KERNEL], axis=-1)
    model.set_weights([kernel, np.full(2, bias, "float32")])
    return model


@pytest.mark.parametrize("how", BY_HAND)
def test_every_reduction_of_channels_by_hand(how):
    maps = Saliency(linear(), how).explain(images(1, 2, 2), 0)
    expected = np.array([BY_HAND[how]] * 3)[:, None]
    np.testing.assert_allclose(maps, expected, rtol=1e-6)


@pytest.mark.parametrize("how", BY_HAND)
@pytest.mark.parametrize("explainer", [SmoothGrad, GuidedBackprop])
def test_the_other_gradient_methods_reduce_alike(explainer, how):
    """A ReLU that is always open makes guided gradients plain ones."""
    inputs = keras.Input((1, 2, 2))
    x = layers.ReLU()(layers.Rescaling(1.0, offset=1e6)(inputs))
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))
    model.layers[-1].kernel.assign(np.abs(KERNEL)[:, None])
    maps = explainer(model, channel_reduction=how).explain(
        images(1, 2, 2), NUMBER
    )
    expected = np.array(BY_HAND[how]) if how != "sum" else np.array([7.0, 3.0])
    expected = np.abs(np.array([expected] * 3))[:, None]
    np.testing.assert_allclose(maps, expected, rtol=1e-5)


@pytest.mark.parametrize("how", BY_HAND)
def test_the_reduction_is_over_channels_also_where_they_come_first(how):
    model = keras.Sequential(
        [
            keras.Input((2, 1, 2)),
            layers.Flatten(data_format="channels_first"),
            layers.Dense(1),
        ]
    )
    model.layers[-1].kernel.assign(KERNEL[:, None])
    maps = Saliency(model, how).explain(images(2, 1, 2), NUMBER)
    expected = np.array([BY_HAND[how]] * 3)[:, None]
    if how is None:
        expected = np.moveaxis(expected, -1, 1)
    np.testing.assert_allclose(maps, expected, rtol=1e-6)


def test_inputs_without_channels_are_made_absolute_or_kept_signed():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.layers[0].kernel.assign(KERNEL[:, None])
    for how in ("max", "mean", "norm"):
        maps = Saliency(model, how).explain(images(4), NUMBER)
        np.testing.assert_array_equal(maps, [[3, 4, 1, 2]] * 3)
    for how in ("sum", None):
        maps = Saliency(model, how).explain(images(4), NUMBER)
        np.testing.assert_array_equal(maps, [KERNEL] * 3)


def test_the_map_of_a_linear_model_is_its_weights_whatever_the_image():
    explainer = Saliency(linear(bias=3.0))
    for seed in range(3):
        maps = explainer.explain(images(1, 2, 2, seed=seed), 0)
        np.testing.assert_array_equal(maps, [[[4, 2]]] * 3)
    maps = explainer.explain(images(1, 2, 2), np.array([0, 1, 0]))
    np.testing.assert_array_equal(maps[:, 0], [[4, 2], [40, 20], [4, 2]])


@pytest.mark.parametrize("head", HEADS)
def test_random_networks_have_the_maps_of_the_reference(head):
    model, x = random_network(head=head), images(9, 7, 3)
    classes = np.array([0, 3, 1])
    gradients = input_gradients(model, x, classes)
    kept = Saliency(model, channel_reduction=None).explain(x, classes)
    assert_close(kept, gradients)
    # What is reduced does not depend on the head that it comes from.
    for how in ("max", "mean", "norm", "sum") if head == "mlp" else ("max",):
        maps = Saliency(model, how).explain(x, classes)
        assert_close(maps, reduce_channels(gradients, how))


@pytest.mark.parametrize("size", [(20,), (7, 8, 9)])
def test_sequences_and_volumes_are_reduced_alike(size):
    model, x = random_network(size), images(*size, 3)
    gradients = input_gradients(model, x, 2)
    maps = Saliency(model, "norm").explain(x, 2)
    assert_close(maps, reduce_channels(gradients, "norm"))


def test_scaling_the_score_scales_the_map():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    signed, absolute = Saliency(model, None), Saliency(model)
    scaled = signed.explain(x, lambda s: -5 * s[:, 2])
    assert_close(scaled, -5 * signed.explain(x, 2))
    scaled = absolute.explain(x, lambda s: -5 * s[:, 2])
    assert_close(scaled, 5 * absolute.explain(x, 2))


def test_a_constant_added_to_all_scores_changes_nothing():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    expected = Saliency(model).explain(x, 2)
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([kernel, bias + 7])
    np.testing.assert_array_equal(Saliency(model).explain(x, 2), expected)


@pytest.mark.parametrize("how", ["max", "norm", None])
def test_constant_and_large_images_have_finite_maps(how):
    explainer = Saliency(random_network(head="mlp"), how)
    for value in (0, 1, 1e18, -1e18):
        x = np.full((2, 9, 7, 3), value, "float32")
        assert np.isfinite(explainer.explain(x, 2)).all()


def test_an_image_behind_dead_units_has_a_map_of_zeros():
    model = random_network()
    kernel, bias = model.get_layer("first").get_weights()
    model.get_layer("first").set_weights([kernel, bias - 1e6])
    for how in BY_HAND:
        maps = Saliency(model, how).explain(images(9, 7, 3), 2)
        np.testing.assert_array_equal(maps, np.zeros_like(maps))


def test_images_in_float64_have_float32_maps():
    x = images(9, 7, 3).astype("float64")
    model = random_network()
    maps = Saliency(model).explain(x, 2)
    assert maps.dtype == np.float32
    assert_close(maps, Saliency(model).explain(x.astype("float32"), 2))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_images_in_half_precision_lose_nothing_on_the_way_back(dtype):
    """1e-8 is 0 in float16; the model itself computes in float32."""
    model = linear()
    x = keras.ops.cast(images(1, 2, 2), dtype)
    maps = Saliency(model).explain(x, lambda s: 1.01e-8 * s[:, 0])
    np.testing.assert_allclose(maps, [[[4.04e-8, 2.02e-8]]] * 3, rtol=1e-6)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(
        ValueError, match="Received: channel_reduction='median'"
    ):
        Saliency(linear(), "median")


def test_channels_that_are_sliced_and_stacked_again_are_channels():
    """As Keras 3.10 reverses them in `preprocess_input`."""
    inputs = keras.Input((8, 8, 3))
    slices = [inputs[..., channel] for channel in (2, 1, 0)]
    x = keras.layers.Conv2D(2, 3)(keras.ops.stack(slices, axis=-1))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    images = np.random.default_rng(0).random((2, 8, 8, 3), "float32")
    maps = Saliency(model).explain(images, 1)
    assert maps.shape == (2, 8, 8)
