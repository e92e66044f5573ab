"""`keras-xmap report`: a model and photos in, a page out."""

import base64
import csv
import io
import re

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import keras_xmap
from keras_xmap import cli
from keras_xmap.cli._model_inputs import ModelInputs
from keras_xmap.cli._pixels import Pixels

pytestmark = pytest.mark.tensorflow

NUMBER = 24


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model that answers by brightness, and photos, half of them tagged."""
    root = tmp_path_factory.mktemp("report")
    draws = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((24, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    kernel = np.stack([np.zeros(3), np.ones(3)], axis=1)
    model.set_weights([kernel, np.zeros(2)])
    model.save(root / "model.keras")
    (root / "photos").mkdir()
    for number in range(NUMBER):
        pixels = np.zeros((48, 64, 3), "uint8")
        if number % 2:
            pixels[:8, :8] = draws.integers(200, 256)
        else:
            row, column = draws.integers(14, 20, 2)
            pixels[row : row + 12, column : column + 12] = 255
        Image.fromarray(pixels).save(root / "photos" / f"{number:02}.png")
    tag = np.zeros((48, 64), "uint8")
    tag[:8, :8] = 255
    Image.fromarray(tag).save(root / "tag.png")
    Image.fromarray(np.full_like(tag, 255) - tag).save(root / "object.png")
    (root / "names.txt").write_text("dark\nbright\n")
    return root


def report(made, directory, *options):
    command = ["report", made / "model.keras", made / "photos", *options]
    command += ["--directory", directory, "--method", "gradientinput"]
    return cli.main([str(x) for x in command])


def test_the_report_is_that_of_the_function(made, tmp_path, capsys):
    options = "--artifact", made / "tag.png", "--labels", made / "names.txt"
    assert report(made, tmp_path / "run", *options) == 0
    printed = capsys.readouterr().out
    assert "bright: 24 images" in printed
    assert (
        "suspicious: 12 images of bright by border and corners and artifact"
        in printed
    )
    model = keras.saving.load_model(made / "model.keras")
    inputs = ModelInputs(model, Pixels(None, None))
    photos = [
        inputs.make(
            np.asarray(Image.open(made / "photos" / f"{number:02}.png"))
        )
        for number in range(NUMBER)
    ]
    artifact = np.zeros((24, 32))
    artifact[:4, :4] = 1
    expected = keras_xmap.report(
        keras_xmap.explainers.GradientInput(model),
        np.concatenate(photos),
        artifact=artifact,
        verbose=0,
    )
    with open(tmp_path / "run" / "report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("border", "corners", "artifact"):
        shares = [float(row[name]) for row in rows]
        np.testing.assert_allclose(shares, expected.images[name], atol=1e-9)
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "bright" in page
    # The photo itself stands on the page, not what the model takes of it.
    number, content = re.search(
        r'<h3>Image (\d+):.*?base64,([^"]+)" alt="image"', page, re.DOTALL
    ).groups()
    shown = Image.open(io.BytesIO(base64.b64decode(content)))
    photo = Image.open(made / "photos" / f"{int(number):02}.png")
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(photo))


def test_a_report_is_not_overwritten(made, tmp_path, capsys):
    (tmp_path / "report.html").write_text("mine")
    assert report(made, tmp_path) == 2
    assert "`--force`" in capsys.readouterr().err
    assert (tmp_path / "report.html").read_text() == "mine"


@pytest.mark.parametrize("path", ["", "nowhere.png"])
def test_an_artifact_that_is_not_there_is_told_first(path, made, capsys):
    assert report(made, made / "none", "--artifact", path) == 2
    told = capsys.readouterr().err
    assert f"Received: --artifact '{path}', which is not there" in told


def test_a_photo_that_cannot_be_read_is_left_out(made, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    options = broken, "--target", "1", "--force"
    assert report(made, tmp_path / "run", *options) == 1
    told = capsys.readouterr().err
    assert str(broken) in told
    assert "24 images reported on, 1 left out" in told
