"""`keras-xmap compare`: a model and photos in, a table of methods out."""

import csv

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

METHODS = ("gradcam", "saliency", "cam")
SIZES = {"a": (24, 32), "b": (12, 16), "c": (48, 16)}  # height, width


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A saved model without a linear head, photos, masks and boxes."""
    root = tmp_path_factory.mktemp("compare")
    generator = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((12, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.set_weights(
        [0.5 * generator.normal(size=w.shape) for w in model.get_weights()]
    )
    model.save(root / "model.keras")
    (root / "photos").mkdir()
    (root / "masks").mkdir()
    lines = ["image,x0,y0,x1,y1"]
    for name, (height, width) in SIZES.items():
        pixels = generator.integers(0, 256, (height, width, 3))
        Image.fromarray(pixels.astype("uint8")).save(
            root / "photos" / f"{name}.png"
        )
        mask = np.zeros((height, width), "uint8")
        mask[: height // 2, width // 4 : width // 2] = 255
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
        box = width // 4, 0, width // 2, height // 2
        lines.append(",".join(map(str, (f"{name}.png", *box))))
    lines.append("other.png,0,0,1,1")
    (root / "boxes.csv").write_text("\n".join(lines))
    return root


def compare(made, directory, *options):
    command = ["compare", made / "model.keras", made / "photos"]
    command += ["--directory", directory, "--batch-size", 2]
    return cli.main([str(x) for x in (*command, *options)])


def table(directory):
    with open(directory / "compare.csv", newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


@pytest.mark.slow
def test_the_table_is_that_of_the_function(made, tmp_path, capsys):
    options = "--masks", made / "masks", "--methods", *METHODS
    assert compare(made, tmp_path / "run", *options) == 0
    printed = capsys.readouterr().out
    rows = table(tmp_path / "run")
    model = keras.saving.load_model(made / "model.keras")
    photos, masks = [], []
    for name in SIZES:
        picture = Image.open(made / "photos" / f"{name}.png")
        inputs = ModelInputs(model, Pixels(None, None))
        photos.append(inputs.make(np.asarray(picture))[0])
        mask = np.zeros((12, 16), "float32")
        mask[:6, 4:8] = 1
        masks.append(mask)
    found = keras_xmap.compare(
        model, np.stack(photos), METHODS, masks=masks, batch_size=2, verbose=0
    )
    assert [*rows] == [row["method"] for row in found.rows]
    for row in found.rows:
        for name in set(found.columns) - {"seconds", "forward_passes"}:
            read = rows[row["method"]][name]
            expected = row[name]
            if expected is None:
                assert read == ""
            else:
                assert float(read) == pytest.approx(expected, 1e-4, 1e-5), name
    assert rows["CAM"]["refusal"] == found.rows[-1]["refusal"]
    assert f"- CAM                    {rows['CAM']['refusal'][:30]}" in printed
    assert f"first: {found.best}" in printed
    page = (tmp_path / "run" / "compare.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 3 * 3
    # Called again it goes on, and has nothing left to do.
    files = {p: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    assert compare(made, tmp_path / "run", *options) == 0
    assert files == {p: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    # Boxes of the same places, in pixels of the photos, stand for the masks.
    capsys.readouterr()
    options = "--boxes", made / "boxes.csv", "--methods", "gradcam"
    assert compare(made, tmp_path / "boxed", *options) == 0
    boxed = table(tmp_path / "boxed")["GradCAM"]
    for name in ("pointing_game", "energy_in_mask"):
        assert boxed[name] == rows["GradCAM"][name]
    assert 0 <= float(boxed["max_box_accuracy"]) <= 1
    # Another run in the same folder is refused in one line.
    assert compare(made, tmp_path / "boxed", "--methods", "saliency") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "`--directory` must be empty, or of a run of the same data" in error
    assert "truth.boxes=" in error


def test_mistakes_end_in_one_line(made, tmp_path, capsys):
    def said(*options):
        assert compare(made, tmp_path / "run", *options) == 2
        return capsys.readouterr().err.splitlines()[-1]

    assert "`--masks` must be a folder" in said("--masks", "nowhere")
    assert "without b.png" in said("--masks", lacking(made, tmp_path))
    assert "`--boxes` must be a file" in said("--boxes", "nowhere")
    boxes = tmp_path / "boxes.csv"
    for text, error in {
        "image,x0\na,1": "Received: --boxes",
        "image,x0,y0,x1,y1\na.png,3,0,2,1": "Received: 3, 0, 2, 1 in line 2",
        "image,x0,y0,x1,y1\na.png,3,0,,1": "Received: 3, 0, , 1 in line 2",
        "image,x0,y0,x1,y1\nz.png,0,0,2,1": "for none of them, such as a.png",
    }.items():
        boxes.write_text(text)
        assert error in said("--boxes", boxes)
    assert "one of" in said("--methods", "gradcamm")
    assert "no `--labels`" in said("--target", "cat")
    assert not (tmp_path / "run" / "compare.csv").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    model = made / "model.keras"
    for image, error in {
        empty: "A folder of images must hold one",
        "nowhere.png": "nowhere.png, which is not there",
    }.items():
        command = ["compare", model, image, "--directory", tmp_path / "run"]
        assert cli.main([str(x) for x in command]) == 2
        assert error in capsys.readouterr().err


@pytest.mark.slow
def test_photos_that_cannot_be_read_are_named(made, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no photo")
    command = ["compare", made / "model.keras", made / "photos" / "a.png"]
    command += [broken, "--directory", tmp_path / "run"]
    command += ["--methods", "saliency"]
    assert cli.main([str(x) for x in command]) == 1
    printed = capsys.readouterr()
    assert "broken.png" in printed.err
    assert "1 images compared, 1 left out" in printed.err
    assert table(tmp_path / "run")["Saliency"]["rank"] == "1"


def lacking(made, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    content = (made / "masks" / "a.png").read_bytes()
    (folder / "a.png").write_bytes(content)
    return folder
