import keras
import numpy as np
import pytest
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import perceptron
from explainers.networks import random_network
from keras import layers
from reference.gradient import guided_gradient
from reference.gradient import reduce_channels

from keras_xmap.explainers import GuidedBackprop
from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow


def test_two_relus_in_closed_form():
    """Paths through the first unit survive; the second gets -2 from above."""
    model = perceptron(widths=(2, 2), features=2)
    identity = np.eye(2)
    mixing = np.array([[1.0, 1.0], [1.0, -1.0]])
    head = np.array([[3.0, 0, 0], [5.0, 0, 0]])
    model.set_weights(
        [identity, np.zeros(2), mixing, np.zeros(2), head, np.zeros(3)]
    )
    x = np.array([[2.0, 1.0]], "float32")
    # Second ReLU sees (3, 1), gets (3, 5); the first gets (8, -2).
    maps = GuidedBackprop(model, None).explain(x, 0)
    np.testing.assert_array_equal(maps, [[8, 0]])
    np.testing.assert_array_equal(
        Saliency(model, None).explain(x, 0), [[8, -2]]
    )
    # Now the second ReLU's second unit is off: (1, 2) -> (3, -1).
    x = np.array([[1.0, 2.0]], "float32")
    maps = GuidedBackprop(model, None).explain(x, 0)
    np.testing.assert_array_equal(maps, [[3, 3]])


def test_random_networks_have_the_gradients_of_the_reference():
    model, x = perceptron(), images(8, count=6)
    weights = model.get_weights()
    matrices, biases, head = weights[:-2:2], weights[1:-2:2], weights[-2]
    maps = GuidedBackprop(model, None).explain(x, 1)
    expected = [
        guided_gradient(image, matrices, biases, head[:, 1]) for image in x
    ]
    assert_close(maps, expected)
    plain = Saliency(model, None).explain(x, 1)
    assert np.abs(plain - expected).max() > 0.1


@pytest.mark.parametrize("how", ["max", "mean", "norm", "sum"])
def test_channels_are_reduced_as_by_the_reference(how):
    model, x = random_network(), images(9, 7, 3)
    signed = GuidedBackprop(model, None).explain(x, 2)
    assert signed.shape == x.shape
    maps = GuidedBackprop(model, how).explain(x, 2)
    assert_close(maps, reduce_channels(signed, how))


def test_each_class_is_a_backward_pass_of_its_own():
    model, x = perceptron(), images(8)
    classes = np.array([[0, 1, 2]] * 3)
    together = GuidedBackprop(model, None).explain(x, classes)
    for k in range(3):
        alone = GuidedBackprop(model, None).explain(x, k)
        np.testing.assert_allclose(together[:, k], alone, rtol=1e-6)
    # Gradients from above are filtered: not linear in the score.
    both = GuidedBackprop(model, None).explain(x, lambda s: s[:, 0] + s[:, 1])
    assert np.abs(both - together[:, 0] - together[:, 1]).max() > 0.1


def test_scaling_by_a_positive_number_scales_the_map():
    model, x = perceptron(), images(8)
    once = GuidedBackprop(model, None).explain(x, 0)
    scaled = GuidedBackprop(model, None).explain(x, lambda s: 5 * s[:, 0])
    assert_close(scaled, 5 * once)


def test_constant_and_large_images_have_finite_maps():
    explainer = GuidedBackprop(random_network(head="mlp"))
    for value in (0, 1, 1e18, -1e18):
        x = np.full((2, 9, 7, 3), value, "float32")
        assert np.isfinite(explainer.explain(x, 2)).all()


def test_where_nothing_positive_comes_back_the_map_is_zero():
    model = perceptron()
    *weights, head, bias = model.get_weights()
    model.set_weights([*weights, -np.abs(head), bias])
    maps = GuidedBackprop(model).explain(images(8), 0)
    np.testing.assert_array_equal(maps, np.zeros((3, 8)))


def test_a_model_without_relu_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(
        ValueError, match="Received: a model with no activation"
    ):
        GuidedBackprop(model).explain(images(4), 0)
