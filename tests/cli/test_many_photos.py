"""Many photos: in batches, read as they are needed, some of them bad."""

import sys

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from keras_xmap import cli
from keras_xmap import explainers
from keras_xmap.cli import _photo_batches
from keras_xmap.cli._explanation import Explanation
from keras_xmap.cli._photo_files import PhotoFile

pytestmark = pytest.mark.tensorflow

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of five photos, and a model of images of any size."""
    place = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu", name="features"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.set_weights(
        [generator.normal(size=w.shape) for w in model.get_weights()]
    )
    model.save(place / "model.keras")
    (place / "photos").mkdir()
    for name in NAMES:
        pixels = generator.integers(0, 256, (8, 10, 3)).astype("uint8")
        Image.fromarray(pixels).save(place / f"photos/{name}.png")
    return place


@pytest.fixture
def sizes(place, monkeypatch, tmp_path):
    """The sizes of the batches that are explained."""
    found, explain = [], Explanation.of

    def counted(self, data):
        found.append(len(data))
        return explain(self, data)

    monkeypatch.setattr(Explanation, "of", counted)
    monkeypatch.chdir(tmp_path)
    return found


def run(place, *options):
    command = ["explain", f"{place}/model.keras", f"{place}/photos"]
    return cli.main([*command, "--directory", "out", *map(str, options)])


def in_python(place):
    model = keras.saving.load_model(place / "model.keras")
    files = [place / f"photos/{name}.png" for name in NAMES]
    images = np.stack([np.asarray(Image.open(x)) for x in files])
    return model, images.astype("float32")


def written(method, suffix=""):
    files = [f"out/{name}.{method}{suffix}.npy" for name in NAMES]
    return np.stack([np.load(file) for file in files])


def test_photos_of_a_folder_are_explained_in_batches(place, sizes, capsys):
    assert run(place, "--batch-size", 2, "--method", "grad-cam") == 0
    assert sizes == [2, 2, 1]
    model, images = in_python(place)
    expected = explainers.GradCAM(model).explain(images, verbose=0)
    assert expected.any()
    found = written("gradcam")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if "->" in line]
    assert len(lines) == 5 and "\x1b" not in out


def test_the_highest_classes_are_explained_together(place, sizes, capsys):
    assert run(place, "--method", "hirescam", "--top-k", 2) == 0
    assert sizes == [5]
    model, images = in_python(place)
    order = np.argsort(-model.predict(images, verbose=0), axis=1)
    explainer = explainers.HiResCAM(model)
    for rank in range(2):
        expected = explainer.explain(images, order[:, rank], verbose=0)
        found = written("hirescam", f".top{rank + 1}")
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    out = capsys.readouterr().out
    assert out.count("(highest, probability") == 5
    assert f"a.png: class {order[0, 1]} (probability" in out


@pytest.mark.slow
def test_maps_of_scales_and_of_the_mirrored_photo_are_averaged(place, sizes):
    options = ["--method", "hirescam", "--target", 1]
    assert run(place, *options, "--scales", "1,1.5,mirror,1.5:mirror") == 0
    assert sizes == [5]
    model, images = in_python(place)
    views = [1, 1.5, "mirror", (1.5, "mirror")]
    expected = explainers.HiResCAM(model).explain(
        images, 1, verbose=0, views=views
    )
    found = written("hirescam")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_several_layers_are_averaged(place, sizes):
    layers = ["--target-layer", "features", "--target-layer", "rescaling"]
    assert run(place, "--method", "hirescam", "--target", 1, *layers) == 0
    model, images = in_python(place)
    layers = ["features", "rescaling"]
    expected = explainers.HiResCAM(model, layers).explain(images, 1, verbose=0)
    found = written("hirescam")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_model_of_one_size_is_explained_at_its_last_layer(place, sizes):
    # The default is the mean over two sizes, which this model has not.
    assert run(place, "--target", 1) == 0
    assert sizes == [5]
    model, images = in_python(place)
    expected = explainers.LayerCAM(model).explain(images, 1, verbose=0)
    assert expected.any()
    found = written("layercam")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_two_sizes_that_are_asked_for_have_to_be_there(place, sizes, capsys):
    assert run(place, "--method", "gradcam", "--target-layer", 2) == 2
    assert "--target-layer 2 for a model with the sizes of" in (
        capsys.readouterr().err
    )


def test_where_all_of_a_batch_fail_alike_no_other_is_tried(
    place, sizes, capsys
):
    options = ["--batch-size", 2, "--target-layer", "feature"]
    assert run(place, *options) == 2
    assert sizes == [2, 1, 1]
    error = capsys.readouterr().err
    assert error.count("Did you mean features?") == 1
    assert "0 of 5 images are explained" in error


def test_one_photo_that_fails_takes_no_other_along(
    place, sizes, monkeypatch, capsys
):
    explain = Explanation._maps

    def fails(self, data, chosen):
        if (data == in_python(place)[1][1]).all(axis=(1, 2, 3)).any():
            raise RuntimeError("not this one")
        return explain(self, data, chosen)

    monkeypatch.setattr(Explanation, "_maps", fails)
    assert run(place, "--batch-size", 4, "--target", 1) == 1
    assert sizes == [4, 1, 1, 1, 1, 1]
    error = capsys.readouterr().err
    assert "b.png: not this one" in error and "4 of 5 images" in error


def test_photos_are_read_as_they_are_needed(place, monkeypatch):
    read = []

    def counted(path):
        read.append(path)
        height = 6 if path == "c" else 4
        return np.zeros((height, 4, 3), "uint8")

    class AsTheyAre:
        def make(self, picture, mask):
            return picture[None]

    monkeypatch.setattr(_photo_batches, "read_image", counted)
    files = [PhotoFile(name, name) for name in "abcdef"]
    found = _photo_batches.batches(
        files, _photo_batches.Masks([], 6), AsTheyAre(), 2, {}
    )
    for names, ahead in [("ab", 3), ("c", 4), ("de", 6), ("f", 6)]:
        samples = next(found)
        assert "".join(sample.file.name for sample in samples) == names
        assert len(read) == ahead
    # Large photos wait for no others.
    monkeypatch.setattr(_photo_batches, "_MOST_PIXELS", 15)
    sizes = [
        len(samples)
        for samples in _photo_batches.batches(
            files, _photo_batches.Masks([], 6), AsTheyAre(), 4, {}
        )
    ]
    assert sizes == [1] * 6


def test_a_terminal_shows_one_bar_and_then_the_lines(
    place, sizes, monkeypatch, capsys
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(place, "--batch-size", 2, "--target", 1) == 0
    out = capsys.readouterr().out
    bar, _, lines = out.partition("photos/a.png: class 1")
    assert "5/5" in bar and "photo" in bar
    assert "\x1b" not in lines and lines.count("->") == 5


def test_a_map_that_says_nothing_is_told(place, sizes, capsys):
    model, _ = in_python(place)
    model.layers[1].set_weights(
        [np.zeros((3, 3, 3, 4)), np.full(4, -1.0, "float32")]
    )
    model.save("dead.keras")
    command = ["explain", "dead.keras", f"{place}/photos", "--directory", "o"]
    assert cli.main([*command, "--target", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("(zero everywhere)") == 5
    assert "keras-xmap: 5 of 5 maps are zero everywhere: " in printed.err


def test_a_saturated_answer_is_told_with_the_option_that_mends_it(
    place, sizes, capsys
):
    model, _ = in_python(place)
    kernel = np.zeros((4, 3))
    kernel[:, 1] = 1e6
    model.layers[-1].set_weights([kernel, np.zeros(3)])
    model.save("certain.keras")
    command = ["explain", "certain.keras", f"{place}/photos", "--force"]
    command += ["--directory", "o", "--target", "1", "--method", "saliency"]
    assert cli.main([*command, "--score", "output"]) == 0
    error = capsys.readouterr().err
    assert "5 of 5 maps are zero everywhere: " in error
    assert "is saturated: explain --score logits" in error
    assert cli.main([*command, "--score", "logits"]) == 0
    assert "zero everywhere" not in capsys.readouterr().err
