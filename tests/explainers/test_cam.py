import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import BIAS
from explainers.networks import GOLDEN
from explainers.networks import WEIGHTS
from explainers.networks import WINDOWS
from explainers.networks import activations_and_gradients
from explainers.networks import assert_close
from explainers.networks import golden
from explainers.networks import images
from explainers.networks import random_network
from keras import layers
from reference import cam as reference
from reference import laid

from keras_xmap.explainers import CAM
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import HiResCAM

pytestmark = pytest.mark.tensorflow


def test_the_golden_map():
    maps = CAM(golden()).explain(GOLDEN, 1)
    np.testing.assert_array_equal(maps, [[[-2, 4], [6, 8]]])


def test_the_mean_of_the_map_plus_the_bias_is_the_score():
    model, x = random_network(), images(9, 7, 3)
    scores = model.predict(x, verbose=0)
    bias = model.get_layer("dense").get_weights()[1]
    for k in range(4):
        maps = CAM(model, resize=False).explain(x, k)
        expected = scores[:, k] - bias[k]
        np.testing.assert_allclose(
            maps.mean(axis=(1, 2)), expected, rtol=1e-5, atol=1e-6
        )
    maps = CAM(golden()).explain(GOLDEN, 1)
    np.testing.assert_allclose(maps.mean() + BIAS[1], 4.5)


@pytest.mark.parametrize("size", [(20,), (9, 7), (7, 8, 9)])
def test_random_networks_have_the_maps_of_the_reference(size):
    model, x = random_network(size), images(*size, 3)
    classes = np.array([0, 3, 1])
    activations, _ = activations_and_gradients(model, x, classes)
    weights = model.get_layer("dense").get_weights()[0][:, classes].T
    expected = reference.cam(activations, weights)
    maps = CAM(model, resize=False).explain(x, classes)
    assert_close(maps, expected)
    resized = [laid.lay(heatmap, size, WINDOWS["last"]) for heatmap in expected]
    assert_close(CAM(model).explain(x, classes), resized)


def test_on_plain_arrays_the_map_is_its_formula():
    activations = keras.ops.convert_to_tensor(GOLDEN)
    gradients = keras.ops.ones_like(activations) * [[[[0.5, -0.25]]]]
    maps = CAM(golden()).map(activations, gradients)
    np.testing.assert_array_equal(maps, [[[-2, 4], [6, 8]]])


def test_grad_cam_and_hires_cam_are_its_positive_part_over_the_positions():
    model, x = random_network(), images(9, 7, 3)
    options = {"resize": False}
    cam = CAM(model, **options).explain(x, 2)
    positions = cam[0].size
    assert (cam < 0).any()
    relu = np.maximum(cam, 0) / positions
    assert_close(GradCAM(model, **options).explain(x, 2), relu)
    assert_close(HiResCAM(model, **options).explain(x, 2), cam / positions)


def test_scaling_the_score_scales_the_map():
    model, x = random_network(), images(9, 7, 3)
    once = CAM(model).explain(x, 2)
    thrice = CAM(model).explain(x, lambda scores: -3 * scores[:, 2])
    assert_close(thrice, -3 * once)


def test_permuting_channels_with_their_weights_changes_nothing():
    model, x = random_network(), images(9, 7, 3)
    expected = CAM(model).explain(x, 2)
    order = np.random.default_rng(0).permutation(6)
    kernel, bias = model.get_layer("last").get_weights()
    model.get_layer("last").set_weights([kernel[..., order], bias[order]])
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([kernel[order], bias])
    assert_close(CAM(model).explain(x, 2), expected)


@pytest.mark.parametrize(
    "between",
    [
        lambda: [layers.Dropout(0.5)],
        lambda: [layers.BatchNormalization()],
        lambda: [layers.Dense(3)],
        lambda: [layers.Reshape((6, 1)), layers.Flatten()],
    ],
)
def test_what_is_linear_may_stand_behind_the_pooling(between):
    inputs = keras.Input((9, 7, 3))
    x = layers.Conv2D(6, 3, activation="relu")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    for layer in between():
        x = layer(x)
    model = keras.Model(inputs, layers.Dense(2, use_bias=False)(x))
    x = images(9, 7, 3)
    maps = CAM(model, resize=False).explain(x, 1)
    scores = model.predict(x, verbose=0)[:, 1]
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), scores, rtol=1e-4)


def test_averaging_by_hand_is_global_average_pooling():
    pools = [
        layers.Lambda(lambda x: keras.ops.mean(x, axis=(1, 2))),
        keras.Sequential([layers.AveragePooling2D(2), layers.Flatten()]),
        layers.Lambda(lambda x: tf.reduce_sum(x, [1, 2]) / 4.0),
    ]
    for pool in pools:
        maps = CAM(golden(pool)).explain(GOLDEN, 1)
        np.testing.assert_allclose(maps, [[[-2, 4], [6, 8]]])


def test_large_activations_stay_finite_and_constant_ones_give_flat_maps():
    model = golden()
    maps = CAM(model).explain(1e30 * GOLDEN, 1)
    np.testing.assert_allclose(maps, 1e30 * CAM(model).explain(GOLDEN, 1))
    constant = CAM(model).explain(np.full((1, 2, 2, 2), 3.0, "float32"), 1)
    np.testing.assert_array_equal(constant, np.full((1, 2, 2), 3.0))
    zero = CAM(model).explain(np.zeros((2, 2, 2, 2), "float32"), 1)
    np.testing.assert_array_equal(zero, np.zeros((2, 2, 2)))


def test_a_class_without_weights_has_a_map_of_zeros():
    model = golden()
    model.get_layer("dense").set_weights([0 * WEIGHTS, BIAS])
    maps = CAM(model).explain(GOLDEN, 1)
    np.testing.assert_array_equal(maps, np.zeros((1, 2, 2)))


def test_a_head_that_weighs_positions_is_sent_to_hires_cam():
    for head in ("flatten",):
        model = random_network(head=head)
        with pytest.raises(
            ValueError, match="Received: a head that weighs.*Use HiResCAM"
        ):
            CAM(model).explain(images(9, 7, 3), 0)


def test_a_head_that_is_not_linear_is_refused_with_its_operation():
    model = random_network(head="mlp")
    with pytest.raises(
        ValueError, match="Received: between layer 'last'.*'hidden' .Relu"
    ):
        CAM(model).explain(images(9, 7, 3), 0)
    with pytest.raises(ValueError, match="stands layer .* .Max.. Use GradCAM"):
        CAM(golden(layers.GlobalMaxPooling2D())).explain(GOLDEN, 1)


def test_an_earlier_layer_is_refused_with_what_follows_it():
    model = random_network()
    with pytest.raises(ValueError, match="between layer 'first'.*Relu"):
        CAM(model, "first").explain(images(9, 7, 3), 0)


def test_a_probability_is_no_linear_score():
    model = golden()
    model = keras.Sequential([model, layers.Softmax()])
    np.testing.assert_array_equal(
        CAM(model).explain(GOLDEN, 1), [[[-2, 4], [6, 8]]]
    )
    with pytest.raises(ValueError, match="between layer.*Softmax"):
        CAM(model, score="output").explain(GOLDEN, 1)
