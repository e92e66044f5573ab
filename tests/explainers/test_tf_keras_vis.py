"""Parity with tf-keras-vis where it is right.

That is: functional models in float32 whose ReLUs are `activation="relu"` or
`Activation("relu")`. Its maps are compared before it resizes (corners
aligned) and normalises them. Its scores are targets of ours.
"""

import functools

import keras
import numpy as np
import pytest
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import random_network
from keras import layers
from tf_keras_vis.gradcam import Gradcam as TheirGradCAM
from tf_keras_vis.saliency import Saliency as TheirSaliency
from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation
from tf_keras_vis.utils.scores import BinaryScore
from tf_keras_vis.utils.scores import CategoricalScore
from tf_keras_vis.utils.scores import InactiveScore

from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import GuidedBackprop
from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers import Saliency
from keras_xmap.explainers import SmoothGrad
from keras_xmap.targets import Class
from keras_xmap.targets import MaskedMean

pytestmark = pytest.mark.tensorflow

CLASSES = [0, 3, 1]


def with_activation_layers():
    inputs = keras.Input((9, 7, 3))
    x = layers.Activation("relu")(layers.Conv2D(5, 3, name="first")(inputs))
    x = layers.Conv2D(6, 3, strides=2, name="last")(x)
    x = layers.Activation("relu")(x)
    x = layers.Dense(8, name="hidden")(layers.Flatten()(x))
    x = layers.Activation("relu")(x)
    model = keras.Model(inputs, layers.Dense(4, name="dense")(x))
    generator = np.random.default_rng(3)
    model.set_weights(
        [0.5 * generator.normal(size=w.shape) for w in model.get_weights()]
    )
    return model


NETWORKS = {
    "average": lambda: random_network(head="average"),
    "mlp": lambda: random_network(head="mlp"),
    "Activation": with_activation_layers,
}
every_network = pytest.mark.parametrize("network", NETWORKS)


@pytest.fixture(scope="module")
def networks():
    """Makes the networks, which no test here changes, once."""
    return functools.cache(lambda network: NETWORKS[network]())


@every_network
@pytest.mark.parametrize("layer", ["first", "last"])
def test_grad_cam_is_theirs(network, layer, networks):
    model, x = networks(network), images(9, 7, 3)
    expected = TheirGradCAM(model)(
        CategoricalScore(CLASSES),
        x,
        penultimate_layer=layer,
        expand_cam=False,
        normalize_cam=False,
    )
    maps = GradCAM(model, layer, resize=False).explain(x, CLASSES)
    assert_close(maps, expected)


@every_network
def test_saliency_is_theirs(network, networks):
    model, x = networks(network), images(9, 7, 3)
    theirs = TheirSaliency(model)
    score = CategoricalScore(CLASSES)
    kept = theirs(score, x, keepdims=True, normalize_map=False)
    # With keepdims theirs are absolute too.
    maps = Saliency(model, channel_reduction=None).explain(x, CLASSES)
    assert_close(np.abs(maps), kept)
    reduced = theirs(score, x, normalize_map=False)
    assert_close(Saliency(model).explain(x, CLASSES), reduced)


@every_network
def test_guided_backprop_is_theirs(network, networks):
    model, x = networks(network), images(9, 7, 3)
    theirs = TheirSaliency(model, model_modifier=GuidedBackpropagation())
    expected = theirs(CategoricalScore(CLASSES), x, normalize_map=False)
    assert_close(GuidedBackprop(model).explain(x, CLASSES), expected)
    plain = Saliency(model).explain(x, CLASSES)
    assert np.abs(expected - plain).max() > 0.01 * plain.max()


EXPLAINERS = {
    "GradCAM": GradCAM,
    "HiResCAM": HiResCAM,
    "Saliency": Saliency,
    "SmoothGrad": lambda model: SmoothGrad(model, num_samples=2),
    "GuidedBackprop": GuidedBackprop,
}
# A score becomes a target before any method sees it: GradCAM and Saliency stand
# for the others from day to day.
every_explainer = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        if name not in ("GradCAM", "Saliency")
        else name
        for name in EXPLAINERS
    ],
)


@every_explainer
def test_a_categorical_score_is_a_class(name, networks):
    explainer, x = EXPLAINERS[name](networks("mlp")), images(9, 7, 3)
    one = explainer.explain(x, CategoricalScore(2))
    np.testing.assert_array_equal(one, explainer.explain(x, 2))
    for batch_size in (1, 2, 3):
        each = explainer.explain(
            x, CategoricalScore(CLASSES), batch_size=batch_size, verbose=0
        )
        assert_close(each, explainer.explain(x, CLASSES, verbose=0))


def test_a_categorical_score_of_another_length_is_refused():
    saliency, x = Saliency(random_network()), images(9, 7, 3)
    with pytest.raises(ValueError, match=r"Received: .*\(2,\) for 3 images"):
        saliency.explain(x, CategoricalScore([0, 1]))


def test_a_categorical_score_of_a_map_of_classes_is_its_mean():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Conv2D(3, 1)(x))
    x = images(6, 6, 3)
    maps = Saliency(model).explain(x, CategoricalScore(1))
    assert_close(maps, Saliency(model).explain(x, MaskedMean(1)))
    theirs = TheirSaliency(model)(CategoricalScore(1), x, normalize_map=False)
    assert_close(maps, theirs)


@every_explainer
def test_a_binary_score_is_for_or_against_the_unit(name):
    x = images(9, 7, 3)
    explainer = EXPLAINERS[name](random_network(classes=1))
    on_its_side = explainer.explain(x, lambda scores: scores[:, 0])
    against_it = explainer.explain(x, lambda scores: -scores[:, 0])
    for values in (True, False, [True, False, True]):
        score = BinaryScore(values)
        maps = explainer.explain(x, score, batch_size=2, verbose=0)
        is_on = np.broadcast_to(values, 3)[:, None, None]
        assert_close(maps, np.where(is_on, on_its_side, against_it))


def test_a_binary_score_needs_a_single_unit():
    with pytest.raises(ValueError, match=r"Received: shape \(None, 4\)"):
        Saliency(random_network()).explain(images(9, 7, 3), BinaryScore(True))


@pytest.fixture(scope="module")
def two_outputs():
    model = random_network(head="mlp")
    hidden = model.get_layer("hidden").output
    other = layers.Dense(2, name="other", kernel_initializer="ones")(hidden)
    return keras.Model(model.inputs[0], [model.outputs[0], other])


@every_explainer
def test_an_inactive_score_leaves_its_output_out(name, two_outputs):
    explainer, x = EXPLAINERS[name](two_outputs), images(9, 7, 3)
    maps = explainer.explain(x, [CategoricalScore(CLASSES), InactiveScore()])
    assert_close(maps, explainer.explain(x, Class(CLASSES, output=0)))
    maps = explainer.explain(x, [InactiveScore(), CategoricalScore(1)])
    assert_close(maps, explainer.explain(x, Class(1, output=1)))


@every_explainer
def test_a_score_per_output_explains_their_sum(name, two_outputs):
    explainer, x = EXPLAINERS[name](two_outputs), images(9, 7, 3)
    maps = explainer.explain(x, [CategoricalScore(CLASSES), lambda o: o[:, 1]])
    one_hot = np.eye(4, dtype="float32")[CLASSES]
    expected = explainer.explain(
        x, lambda o: keras.ops.sum(one_hot * o[0], axis=-1) + o[1][:, 1]
    )
    assert_close(maps, expected)


def test_a_score_per_output_is_theirs(two_outputs):
    x, scores = (
        images(9, 7, 3),
        [CategoricalScore(CLASSES), CategoricalScore(0)],
    )
    expected = TheirSaliency(two_outputs)(scores, x, normalize_map=False)
    assert_close(Saliency(two_outputs).explain(x, scores), expected)
