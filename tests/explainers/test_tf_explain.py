"""Parity with tf-explain where it is right.

That is: functional models in float32 that end in a layer of scores and an
activation layer. What it computes is compared, before it draws pictures of it.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import random_network
from keras import layers
from tf_explain import core as tf_explain

from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import GradientInput
from keras_xmap.explainers import IntegratedGradients
from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow

CLASS = 2


@pytest.fixture(scope="module", params=["average", "mlp"])
def networks(request):
    """A model of probabilities, and theirs of the scores."""
    model = random_network(head=request.param)
    model = keras.Model(model.inputs, layers.Softmax()(model.outputs[0]))
    return model, tf_explain.VanillaGradients().get_score_model(model)


def test_saliency_is_theirs(networks):
    (model, scores), x = networks, images(9, 7, 3)
    expected = tf_explain.VanillaGradients.compute_gradients(
        tf.constant(x), scores, CLASS
    )
    maps = Saliency(model, channel_reduction=None).explain(x, CLASS)
    assert_close(np.abs(maps), np.abs(expected))


def test_gradient_times_input_is_theirs(networks):
    (model, scores), x = networks, images(9, 7, 3)
    expected = tf_explain.GradientsInputs.compute_gradients(
        tf.constant(x), scores, CLASS
    )
    maps = GradientInput(model, channel_reduction=None).explain(x, CLASS)
    assert_close(maps, expected)


@pytest.mark.parametrize("layer", ["first", "last"])
def test_without_its_guided_gradients_grad_cam_is_theirs(layer, networks):
    (model, scores), x = networks, images(9, 7, 3)
    theirs = tf_explain.GradCAM
    found = theirs.get_gradients_and_filters(
        scores, x, layer, CLASS, use_guided_grads=False
    )
    expected = np.array(theirs.generate_ponderated_output(*found))
    maps = GradCAM(model, layer, resize=False).explain(x, CLASS)
    assert_close(maps, np.maximum(expected, 0))


def test_integrated_gradients_are_theirs_times_the_difference(networks):
    (model, scores), x = networks, images(9, 7, 3, count=1)
    theirs = tf_explain.IntegratedGradients
    steps = 2000  # theirs is a sum of rectangles with both ends
    path = theirs.generate_interpolations(x, steps).astype("float32")
    mean = theirs.get_integrated_gradients(path, scores, CLASS, steps)
    explainer = IntegratedGradients(
        model, num_steps=256, channel_reduction=None
    )
    assert_close(explainer.explain(x, CLASS), x * mean, tolerance=0.01)
