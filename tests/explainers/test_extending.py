"""Methods that users write themselves, on the public bases."""

import keras
import numpy as np
import pytest
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import random_network
from keras import ops

import keras_xmap
from keras_xmap import explainers

pytestmark = pytest.mark.tensorflow


class MyGradCAM(keras_xmap.explainers.CAMExplainer):
    """The formula of Grad-CAM, as an outsider would write it."""

    def map(self, activations, gradients):
        axes = tuple(range(1, len(gradients.shape) - 1))
        weights = ops.mean(gradients, axis=axes, keepdims=True)
        return ops.relu(ops.sum(weights * activations, axis=-1))


class MyGradientInput(keras_xmap.explainers.GradientExplainer):
    def attributions(self, inputs, target, parts):
        found = self.gradients(self.evaluate(inputs), target, parts)
        return found.times(found.values)


class MyBlackout(keras_xmap.explainers.PerturbationExplainer):
    """How far the score falls when the upper half is set to zero."""

    def maps_of_input(self, x, clean, scores, layout):
        rows = ops.arange(layout.size[0]) < layout.size[0] // 2
        upper = ops.broadcast_to(rows[:, None], layout.size)
        fall = clean - scores(ops.where(layout.expand(upper), 0.0, x))
        return fall[..., None, None] * ops.cast(upper, "float32")


CASES = {
    "GradCAM": (MyGradCAM, explainers.GradCAM),
    "GradientInput": (
        lambda model: MyGradientInput(model, "sum"),
        explainers.GradientInput,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_method_of_ones_own_is_as_good_as_ours(name, strategy):
    mine, ours = CASES[name]
    model, x = random_network(head="mlp"), images(9, 7, 3, count=4)
    several = np.array([[0, 1], [2, 1], [3, 3], [0, 2]])
    for target in (2, None, several):
        expected = ours(model).explain(x, target)
        assert_close(mine(model).explain(x, target), expected)
    with strategy.scope():
        copy = random_network(head="mlp")
    explainer = mine(copy)
    assert_close(
        explainer.explain(x, several, batch_size=3), ours(model)(x, several)
    )
    assert explainer.score_used.startswith("output of")


def test_a_perturbation_of_ones_own_is_explained():
    model = keras.Sequential(
        [keras.Input((4, 2, 1)), keras.layers.GlobalAveragePooling2D()]
    )
    x = np.arange(8, dtype="float32").reshape(1, 4, 2, 1)
    maps = MyBlackout(model).explain(x, keras_xmap.targets.Component(0))
    # The upper half holds 0 to 3, whose share of the mean is 6 / 8.
    np.testing.assert_allclose(maps[0, :2], 0.75)
    np.testing.assert_array_equal(maps[0, 2:], 0)


def test_fusion_and_layers_come_with_the_base():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    mine = MyGradCAM(model, ["first", "last"], fusion="max")
    ours = explainers.GradCAM(model, ["first", "last"], fusion="max")
    assert_close(mine.explain(x, 1), ours.explain(x, 1))
    assert mine.layers_used == ["first", "last"]


def test_a_typo_names_the_class_that_was_typed():
    with pytest.raises(TypeError, match="LayerCAM.*'resise'"):
        explainers.LayerCAM(random_network(), resise=False)
    with pytest.raises(TypeError, match="MyGradCAM.*formula|abstract|map"):

        class Incomplete(keras_xmap.explainers.CAMExplainer):
            pass

        Incomplete(random_network())
