import keras
import numpy as np
import pytest
from explainers.networks import NUMBER
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import perceptron
from explainers.networks import random_network
from keras import layers
from reference.deconv_net import deconv_gradient
from reference.gradient import reduce_channels

from keras_xmap.explainers import DeconvNet
from keras_xmap.explainers import GuidedBackprop
from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow


def one_relu(maximum=None):
    model = keras.Sequential(
        [keras.Input((4,)), layers.ReLU(maximum), layers.Dense(1)]
    )
    model.layers[-1].kernel.assign([[1.0], [1.0], [-5.0], [4.0]])
    return model


def test_one_relu_in_closed_form():
    x = np.array([[-1.0, 0.0, 2.0, 3.0]], "float32")
    maps = DeconvNet(one_relu(), channel_reduction=None).explain(x, NUMBER)
    np.testing.assert_array_equal(maps, [[1, 1, 0, 4]])
    guided = GuidedBackprop(one_relu(), None).explain(x, NUMBER)
    np.testing.assert_array_equal(guided, [[0, 0, 0, 4]])
    plain = Saliency(one_relu(), None).explain(x, NUMBER)
    np.testing.assert_array_equal(plain, [[0, 0, -5, 4]])


def test_the_plateau_of_a_relu_with_a_maximum_lets_the_signal_pass():
    x = np.array([[-1.0, 7.0, 2.0, 7.0]], "float32")
    maps = DeconvNet(one_relu(6.0), channel_reduction=None).explain(x, NUMBER)
    np.testing.assert_array_equal(maps, [[1, 1, 0, 4]])


def test_random_networks_have_the_signal_of_the_reference():
    model, x = perceptron(), images(8, count=4)
    weights = model.get_weights()
    matrices, head = weights[:-2:2], weights[-2]
    maps = DeconvNet(model, None).explain(x, 1)
    expected = deconv_gradient(matrices, head[:, 1])
    assert_close(maps, [expected] * 4)
    for other in (Saliency, GuidedBackprop):
        assert np.abs(other(model, None).explain(x, 1) - expected).max() > 0.1


def test_without_max_pooling_it_does_not_depend_on_the_image():
    model = random_network()
    maps = DeconvNet(model, None).explain(images(9, 7, 3), 2)
    assert np.abs(maps).max() > 0
    np.testing.assert_allclose(maps[1:], maps[:1].repeat(2, 0), atol=1e-7)


def test_max_pooling_sends_the_signal_to_the_maximum():
    inputs = keras.Input((4, 1))
    x = layers.MaxPooling1D(2)(layers.ReLU()(inputs))
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))
    model.layers[-1].kernel.assign([[2.0], [3.0]])
    x = np.array([[1.0, 5.0, 4.0, 2.0]], "float32")[..., None]
    maps = DeconvNet(model).explain(x, NUMBER)
    np.testing.assert_array_equal(maps, [[0, 2, 3, 0]])


def test_with_positive_weights_and_active_units_it_is_the_gradient():
    model, x = perceptron(), np.abs(images(8))
    model.set_weights([np.abs(w) for w in model.get_weights()])
    assert_close(
        DeconvNet(model, None).explain(x, 0),
        Saliency(model, None).explain(x, 0),
    )


@pytest.mark.parametrize("how", ["max", "mean", "norm", "sum"])
def test_channels_are_reduced_as_by_the_reference(how):
    model, x = random_network(head="mlp"), images(9, 7, 3)
    signed = DeconvNet(model, None).explain(x, 2)
    assert signed.shape == x.shape
    assert_close(
        DeconvNet(model, how).explain(x, 2), reduce_channels(signed, how)
    )


def test_where_nothing_positive_comes_back_the_map_is_zero():
    model = perceptron()
    *weights, head, bias = model.get_weights()
    model.set_weights([*weights, -np.abs(head), bias])
    maps = DeconvNet(model).explain(images(8), 0)
    np.testing.assert_array_equal(maps, np.zeros((3, 8)))


def test_constant_and_large_images_have_finite_maps():
    explainer = DeconvNet(random_network(head="mlp"))
    for value in (0.0, 1.0, 1e18, -1e18):
        x = np.full((2, 9, 7, 3), value, "float32")
        assert np.isfinite(explainer.explain(x, 2)).all()


def test_a_model_without_relu_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(
        ValueError, match="deconvnet .* Received: a model with no activation"
    ):
        DeconvNet(model).explain(images(4), 0)
