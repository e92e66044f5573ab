"""The vectors that captum's tests of `LayerGradCam` publish.

captum's network of one convolution (`BasicModel_ConvNet_One_Conv`), written
down in Keras. Its flattening goes channel by channel, Keras' position by
position.
"""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers import LayerCAM

pytestmark = pytest.mark.tensorflow

IMAGE = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)


def network():
    inputs = keras.Input((4, 4, 1))
    # The input as the output of a layer: captum's `attribute_to_layer_input`.
    x = layers.Identity(name="copy")(inputs)
    x = layers.Conv2D(2, 3, name="conv1")(x)
    x = layers.ReLU(name="relu1")(x)
    x = layers.Flatten()(layers.Permute((3, 1, 2))(x))
    x = layers.ReLU()(layers.Dense(4, name="fc1")(x))
    model = keras.Model(inputs, x)
    model.get_layer("conv1").set_weights(
        [np.ones((3, 3, 1, 2)), np.array([-50, -75])]
    )
    kernel = np.repeat([[1], [-1]], [5, 3], axis=0) * np.ones((8, 4))
    model.get_layer("fc1").set_weights([kernel, np.zeros(4)])
    return model


def explain(kind, layer, x=IMAGE):
    return kind(network(), layer, resize=False).explain(x, 0)[0]


def test_the_network_is_theirs():
    """54: 4 + 31 + 40 of the first channel, less 6 + 15 of the second."""
    np.testing.assert_array_equal(network()(IMAGE), np.full((1, 4), 54))


def test_grad_cam_before_the_relu():
    expected = [[11.25, 13.5], [20.25, 22.5]]
    np.testing.assert_array_equal(explain(GradCAM, "conv1"), expected)


def test_grad_cam_behind_the_relu():
    expected = [[0, 4], [28, 32.5]]
    np.testing.assert_array_equal(explain(GradCAM, "relu1"), expected)


def test_grad_cam_of_the_sum_of_two_inputs():
    expected = [[14.5, 19], [32.5, 37]]
    np.testing.assert_array_equal(
        explain(GradCAM, "conv1", IMAGE + 1), expected
    )


def test_grad_cam_at_the_input_with_the_final_relu():
    x = IMAGE.copy()
    x[0, 1, 1, 0] = -4
    expected = 0.5625 * np.maximum(x[0, ..., 0], 0)
    np.testing.assert_array_equal(explain(GradCAM, "copy", x), expected)


def test_the_same_network_by_hand_for_the_element_wise_methods():
    """Derivatives behind the ReLU: 1 four times; 1, -1, -1, -1."""
    hires = [[0, 4], [31 - 6, 40 - 15]]
    np.testing.assert_array_equal(explain(HiResCAM, "relu1"), hires)
    assert np.sum(hires) == 54
    layer_cam = [[0, 4], [31, 40]]
    np.testing.assert_array_equal(explain(LayerCAM, "relu1"), layer_cam)
