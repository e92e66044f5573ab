import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow

IMAGES = np.random.default_rng(0).random((4, 8, 8, 1)).astype("float32")


def model_with(kernel, bias, head):
    """relu(kernel * image + bias), its mean, times `head`."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(1, 1, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax", use_bias=False),
        ]
    )
    weights = [[[[[kernel]]]], [bias], [head]]
    model.set_weights([np.array(w, "float32") for w in weights])
    return model


def test_dead_units_give_zeros_and_one_warning_that_names_them():
    model = model_with(kernel=1.0, bias=-9.0, head=[1.0, -1.0])
    with pytest.warns(UserWarning) as caught:
        maps = Saliency(model).explain(IMAGES, 0)
    np.testing.assert_array_equal(maps, np.zeros((4, 8, 8)))
    assert len(caught) == 1
    text = str(caught[0].message)
    assert "4 of 4 maps of Saliency are zero everywhere" in text
    assert "ReLUs that no image activates" in text
    assert caught[0].filename == __file__


def test_a_map_that_the_relu_of_the_method_removed_is_told():
    model = model_with(kernel=1.0, bias=0.0, head=[1.0, -1.0])
    with pytest.warns(UserWarning, match="the ReLU of the method removed"):
        maps = GradCAM(model).explain(IMAGES, 1)
    assert (maps == 0).all()
    # What spoke against the class is there for a method that keeps the sign.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (HiResCAM(model).explain(IMAGES, 1) < 0).all()
        GradCAM(model).explain(IMAGES, 0)


def test_a_saturated_output_is_told_with_the_remedy():
    model = model_with(kernel=1.0, bias=0.0, head=[1e4, -1e4])
    with pytest.warns(UserWarning, match='explain score="logits"'):
        Saliency(model, score="output").explain(IMAGES, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Saliency(model).explain(IMAGES, 0)


def test_every_class_of_every_image_is_counted():
    model = model_with(kernel=1.0, bias=0.0, head=[1.0, -1.0])
    with pytest.warns(UserWarning, match="4 of 8 maps"):
        GradCAM(model).explain(IMAGES, [[0, 1]] * 4)
