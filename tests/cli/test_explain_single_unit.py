"""What the command says and explains of a model with one unit."""

import re

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from keras_xmap import cli
from keras_xmap import explainers
from keras_xmap import targets

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

LOGITS = keras.losses.BinaryCrossentropy(from_logits=True)


@pytest.fixture
def explained(tmp_path, monkeypatch, capsys):
    """Explains a saved model by HiResCAM; returns map, text and image."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3))
    Image.fromarray(pixels.astype("uint8")).save("a.png")
    image = pixels[None].astype("float32")

    def run(model, *options):
        model.save("model.keras")
        status = cli.main(
            ["explain", "model.keras", "a.png", "--method", "hirescam"]
            + ["--force", "--directory", "out", *options]
        )
        printed = capsys.readouterr()
        if status:
            return None, printed.err, image
        return np.load("out/a.hirescam.npy"), printed.out, image

    return run


def one_unit(activation, loss=None, bias=0.5):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(2, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation=activation),
        ]
    )
    generator = np.random.default_rng(3)
    weights = [generator.normal(size=w.shape) for w in model.get_weights()]
    model.set_weights([*weights[:3], np.full(1, bias)])
    if loss is not None:
        model.compile("sgd", loss)
    return model


def of_python(model, image, target):
    return explainers.HiResCAM(model).explain(image, target, verbose=0)[0]


@pytest.mark.parametrize(
    "activation, loss, bias",
    [("sigmoid", None, 4.0), (None, LOGITS, -4.0)],
    ids=["a probability above a half", "a logit below zero"],
)
def test_the_class_is_printed_with_its_probability(
    activation, loss, bias, explained
):
    model = one_unit(activation, loss, bias)
    found, text, image = explained(model)
    output = float(model(image)[0, 0])
    p = output if activation else 1 / (1 + np.exp(-output))
    answer = int(p > 0.5)
    assert answer == int(bias > 0)
    shown = p if answer else 1 - p
    assert f"class {answer} (highest, probability {shown:.3f})" in text
    assert "its negative for class 0" in text
    np.testing.assert_allclose(found, of_python(model, image, None), rtol=1e-4)
    other, text, _ = explained(model, "--target", str(1 - answer))
    assert f"class {1 - answer} (probability {1 - shown:.3f})" in text
    np.testing.assert_allclose(other, -found, rtol=1e-4, atol=1e-7)


def test_a_number_is_printed_as_it_is(explained):
    model = one_unit(None, "mse")
    found, text, image = explained(model)
    assert f"number {float(model(image)[0, 0]):.3f} ->" in text
    expected = of_python(model, image, targets.Component())
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_unit_that_nothing_tells_of_is_refused_and_the_remedy_works(
    explained,
):
    model = one_unit(None)
    _, error, _ = explained(model)
    assert re.search("a.png: .*Received: a unit.*--target raise", error)
    found, text, image = explained(model, "--target", "raise")
    assert "what would raise the number" in text
    expected = of_python(model, image, targets.Component())
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    lower, _, _ = explained(model, "--target", "lower")
    np.testing.assert_allclose(lower, -found, rtol=1e-4)


def test_raising_is_for_a_single_unit(explained):
    model = keras.Sequential(
        [keras.Input((6, 6, 3)), layers.Conv2D(2, 3), layers.Flatten()]
    )
    _, error, _ = explained(model, "--target", "lower")
    assert "Received: an output of shape (None, 32)" in error


def test_a_map_of_one_channel_is_explained_for_the_object(explained):
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(2, 3, padding="same", activation="relu")(inputs)
    model = keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))
    found, text, image = explained(model)
    mean = float(keras.ops.mean(model(image)))
    assert f"class 1 (probability {mean:.3f})" in text
    expected = of_python(model, image, targets.MaskedMean(1))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
