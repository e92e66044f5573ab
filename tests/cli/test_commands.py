import importlib
import inspect
import io
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import keras_xmap
from keras_xmap import cli
from keras_xmap import explainers
from keras_xmap import visualization
from keras_xmap.cli import _explain as explain
from keras_xmap.cli._method import methods
from keras_xmap.cli._pixels import Pixels
from keras_xmap_command import METHODS
from keras_xmap_command import method_name

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A saved model, three pictures of different kinds, and we are there."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    model = classifier((12, 16, 3))
    model.save("model.keras")
    for name, shape in (("rgb", (24, 32, 3)), ("grey", (12, 16))):
        pixels = generator.integers(0, 256, shape).astype("uint8")
        Image.fromarray(pixels).save(f"{name}.png")
    Image.fromarray(
        generator.integers(0, 256, (12, 16, 4)).astype("uint8")
    ).save("rgba.png")
    return tmp_path


def classifier(shape):
    generator = np.random.default_rng(1)
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu", name="features"),
            layers.Conv2D(4, 3, activation="relu", name="last"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.set_weights(
        [generator.normal(size=w.shape) * 0.5 for w in model.get_weights()]
    )
    return model


def read(path):
    return np.asarray(Image.open(io.BytesIO(path.read_bytes())))


def test_explain_writes_the_map_and_the_picture_of_every_image(folder, capsys):
    status = cli.main(
        ["explain", "model.keras", "rgb.png", "grey.png", "rgba.png"]
        + ["--target", "1", "--directory", "out"]
    )
    assert status == 0
    assert sorted(p.name for p in (folder / "out").iterdir()) == [
        f"{stem}.layercam.{suffix}"
        for stem in ("grey", "rgb", "rgba")
        for suffix in ("npy", "png")
    ]
    # The map is what the explainer says of the image, as Keras loads it.
    image = keras.utils.img_to_array(Image.open("grey.png").convert("RGB"))
    model = keras.saving.load_model("model.keras")
    explainer = explainers.LayerCAM(model, 2)
    expected = explainer.explain(image[None], 1)[0]
    written = np.load("out/grey.layercam.npy")
    np.testing.assert_allclose(written, expected, rtol=1e-5)
    picture = visualization.overlay(read(folder / "grey.png"), expected)
    np.testing.assert_array_equal(
        read(folder / "out/grey.layercam.png"), picture
    )
    # Other sizes: the map has the model's, the picture the image's own.
    assert np.load("out/rgb.layercam.npy").shape == (12, 16)
    assert read(folder / "out/rgb.layercam.png").shape == (24, 32, 3)
    printed = capsys.readouterr().out
    assert "layers explained: last, " in printed
    assert "score explained: input of Softmax" in printed


def test_without_a_target_the_top_class_is_named(folder, capsys):
    cli.main(["explain", "model.keras", "grey.png", "--directory", "out"])
    image = keras.utils.img_to_array(Image.open("grey.png").convert("RGB"))
    scores = keras.saving.load_model("model.keras")(image[None])[0].numpy()
    said = f"class {scores.argmax()} (highest, probability {scores.max():.3f})"
    assert said in capsys.readouterr().out


@pytest.mark.slow
def test_every_method_can_be_asked_for_in_any_spelling(folder):
    for method in ("cam", "Grad-CAM", "hires_cam", "saliency", "smoothgrad"):
        status = cli.main(
            ["explain", "model.keras", "grey.png", "--method", method]
            + ["--directory", method]
        )
        assert status == 0
        assert len(list((folder / method).iterdir())) == 2


def test_target_layer_and_range_reach_the_explainer(folder):
    arguments = ["explain", "model.keras", "grey.png", "--target", "2"]
    status = cli.main(
        arguments
        + [
            "--target-layer",
            "features",
            "--range",
            "-1",
            "1",
            "--directory",
            "out",
        ]
    )
    assert status == 0
    image = keras.utils.img_to_array(Image.open("grey.png").convert("RGB"))
    model = keras.saving.load_model("model.keras")
    expected = explainers.LayerCAM(model, "features").explain(
        (image / 127.5 - 1)[None].astype("float32"), 2
    )[0]
    np.testing.assert_allclose(
        np.load("out/grey.layercam.npy"), expected, rtol=1e-4, atol=1e-7
    )


@pytest.mark.slow
def test_views_reach_the_explainer(folder):
    status = cli.main(
        ["explain", "model.keras", "grey.png", "--target", "1"]
        + ["--views", "1,mirror,1:mirror", "--directory", "out"]
    )
    assert status == 0
    image = keras.utils.img_to_array(Image.open("grey.png").convert("RGB"))
    model = keras.saving.load_model("model.keras")
    layer_cam = explainers.LayerCAM(model, 2)
    one, mirrored = layer_cam.explain(np.stack([image, image[:, ::-1]]), 1)
    expected = (one + 2 * mirrored[:, ::-1]) / 3
    written = np.load("out/grey.layercam.npy")
    np.testing.assert_allclose(written, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "text", ["0", "nan", "inf", "", "1,", "miror", "1:up", "mirror:2", "1;2"]
)
def test_views_that_are_none_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        cli.main(["explain", "m", "i", "--views", text, "--directory", "o"])
    assert f"Received: {text}" in capsys.readouterr().err


def test_models_of_grey_images_and_of_any_size_are_served(folder):
    classifier((None, None, 1)).save("grey.keras")
    status = cli.main(
        ["explain", "grey.keras", "rgb.png", "grey.png", "--directory", "out"]
    )
    assert status == 0
    assert np.load("out/rgb.layercam.npy").shape == (24, 32)
    assert np.load("out/grey.layercam.npy").shape == (12, 16)


def test_files_are_overwritten_only_by_force(folder, capsys):
    arguments = ["explain", "model.keras", "grey.png", "--directory", "out"]
    assert cli.main(arguments) == 0
    (folder / "out/grey.layercam.npy").write_bytes(b"mine")
    (folder / "out/grey.layercam.png").unlink()
    assert cli.main(arguments) == 2
    assert "already holds grey.layercam.npy" in capsys.readouterr().err
    assert (folder / "out/grey.layercam.npy").read_bytes() == b"mine"
    assert not (folder / "out/grey.layercam.png").exists()
    assert cli.main([*arguments, "--force"]) == 0
    assert np.load("out/grey.layercam.npy").shape == (12, 16)


def test_models_with_python_code_are_loaded_only_if_asked(folder, capsys):
    model = keras.Sequential(
        [
            keras.Input((12, 16, 3)),
            layers.Lambda(lambda x: x / 255),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
        ]
    )
    model.save("code.keras")
    arguments = ["explain", "code.keras", "grey.png", "--directory", "out"]
    assert cli.main(arguments) == 2
    assert "--unsafe" in capsys.readouterr().err
    assert not (folder / "out").exists()
    assert cli.main([*arguments, "--unsafe"]) == 0


def test_unsafe_is_no_remedy_for_what_is_no_model(folder, capsys):
    (folder / "half.keras").write_bytes(
        (folder / "model.keras").read_bytes()[:500]
    )
    for model in ("half.keras", "grey.png"):
        assert cli.main(["explain", model, "grey.png", "--directory", "o"]) == 2
        error = capsys.readouterr().err
        assert "--unsafe" not in error and model in error
        assert len(error.splitlines()) == 1


OUTPUTS = {
    "no name": ("", "must be a path of text, not empty"),
    "a file": ("grey.png", "must be a folder. Received: grey.png, where /"),
    "below a file": ("grey.png/a/b", "grey.png is a file"),
    "taken": ("taken", "where grey.layercam.npy is a folder"),
    "a long name": ("x" * 300, "of names below 215 bytes"),
    "a long path": ("x/" * 3000, "must be a shorter path"),
    "a dead link": ("dead", "dead is a file"),
}


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("case", OUTPUTS)
def test_a_folder_that_cannot_be_written_is_found_before_the_model_loads(
    folder, case, force, capsys, monkeypatch
):
    (folder / "taken" / "grey.layercam.npy").mkdir(parents=True)
    (folder / "dead").symlink_to(folder / "nowhere")
    before = sorted(folder.rglob("*"))
    monkeypatch.setattr(keras.saving, "load_model", None)
    directory, message = OUTPUTS[case]
    arguments = ["explain", "model.keras", "grey.png", *force]
    assert cli.main([*arguments, "--directory", directory]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert sorted(folder.rglob("*")) == before


def test_a_long_name_of_an_image_is_found_before_the_model_loads(
    folder, capsys, monkeypatch
):
    monkeypatch.setattr(keras.saving, "load_model", None)
    name = "x" * 210 + ".png"
    (folder / "grey.png").rename(folder / name)
    assert cli.main(["explain", "model.keras", name, "--directory", "o"]) == 2
    assert "of names below 215 bytes" in capsys.readouterr().err


def test_formats_that_start_programs_are_not_read(folder, capsys):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    (folder / "a.eps").write_bytes(eps + b"0 setgray\nshowpage\n%%EOF\n")
    (folder / "a.png").write_bytes((folder / "a.eps").read_bytes())
    for name in ("a.eps", "a.png"):
        arguments = ["explain", "model.keras", name, "--directory", "out"]
        assert cli.main(arguments) == 2
        error = capsys.readouterr().err
        assert f"Received: '{name}': The format must be one of " in error
        assert "BMP, GIF, JPEG, " in error and "EPS" not in error


def test_photos_are_seen_as_they_look(folder):
    photo = Image.open("rgb.png").resize((16, 12))
    upright = np.array(photo)
    exif = photo.getexif()
    exif[0x0112] = 3
    photo.rotate(180).save("turned.png", exif=exif)
    photo.save("plain.png")
    names = ["plain.png", "turned.png"]
    arguments = ["explain", "model.keras", *names, "--target", "1"]
    assert cli.main([*arguments, "--directory", "out"]) == 0
    maps = [np.load(f"out/{name[:-4]}.layercam.npy") for name in names]
    np.testing.assert_array_equal(*maps)
    # The picture is of the photo as it was seen.
    pictures = [
        read(folder / f"out/{name[:-4]}.layercam.png") for name in names
    ]
    np.testing.assert_array_equal(*pictures)
    expected = visualization.overlay(upright, maps[0])
    np.testing.assert_array_equal(pictures[0], expected)


def test_bad_images_are_told_at_the_end_and_the_others_are_done(folder, capsys):
    (folder / "bad.png").write_bytes(b"text")
    arguments = ["explain", "model.keras", "bad.png", "rgb.png", "no.png"]
    assert cli.main([*arguments, "grey.png", "--directory", "out"]) == 1
    assert sorted(p.name for p in (folder / "out").glob("*.npy")) == [
        "grey.layercam.npy",
        "rgb.layercam.npy",
    ]
    error = capsys.readouterr().err
    assert "keras-xmap: error: bad.png: " in error
    assert "Received: no.png, which is not there" in error
    assert "keras-xmap: 2 of 4 images are explained." in error
    assert "Traceback" not in error


def test_what_is_wrong_for_all_images_is_told_once(folder, capsys):
    arguments = ["explain", "model.keras", "rgb.png", "grey.png", "--target"]
    assert cli.main([*arguments, "9", "--directory", "out"]) == 2
    error = capsys.readouterr().err
    assert error.count("from 0 to 2. Received: --target 9.") == 1
    assert "error: rgb.png, grey.png: " in error
    assert "0 of 2 images are explained" in error


MISTAKES = {
    "two ways to choose classes": (
        ["no.keras", "grey.png", "--target", "1", "--top-k", "2"],
        "Received: --target 1 --top-k 2",
    ),
    "a class below 0": (
        ["no.keras", "grey.png", "--target", "-1"],
        "Received: --target -1",
    ),
    "no classes": (
        ["no.keras", "grey.png", "--top-k", "0"],
        "`--top-k` must be at least 1. Received: 0",
    ),
    "no images in a batch": (
        ["no.keras", "grey.png", "--batch-size", "0"],
        "`--batch-size` must be at least 1. Received: 0",
    ),
    "more than all classes": (
        ["model.keras", "grey.png", "--top-k", "4"],
        "Received: --top-k 4 for 3",
    ),
    "scales of one size": (
        ["model.keras", "grey.png", "--scales", "1,1.5:mirror"],
        "Received: --views with 1.5 for a model of images of 12 x 16",
    ),
    "two ways to read pixels": (
        ["model.keras", "grey.png", "--range", "0", "1"]
        + ["--preprocess", "vgg16"],
        "Received: both",
    ),
    "no such network": (
        ["model.keras", "grey.png", "--preprocess", "lenet"],
        "Received: lenet",
    ),
    "a helper for a network": (
        ["model.keras", "grey.png", "--preprocess", "decode_predictions"],
        "Received: decode_predictions",
    ),
    "no file of names": (
        ["model.keras", "grey.png", "--labels", "no.txt"],
        "Received: no.txt, which is not one",
    ),
    "a name without names": (
        ["model.keras", "grey.png", "--target", "cat"],
        "Received: --target cat and no `--labels`",
    ),
    "no range": (
        ["model.keras", "grey.png", "--range", "3", "3"],
        "Received: --range 3.0 3.0",
    ),
    "nan as range": (
        ["model.keras", "grey.png", "--range", "nan", "1"],
        "Received: --range nan 1.0",
    ),
    "no name of a mask": (
        ["model.keras", "grey.png", "--mask", ""],
        "which is not there",
    ),
    "no model": (
        ["no.keras", "grey.png"],
        "Received: no.keras, which is not there",
    ),
    "no image": (
        ["model.keras", "no.png"],
        "Received: no.png, which is not there",
    ),
    "not an image": (["model.keras", "model.keras"], "read as an image"),
    "not a model": (["grey.png", "grey.png"], "Received: grey.png: "),
    "no method": (
        ["model.keras", "grey.png", "--method", "magic"],
        "Received: magic",
    ),
    "no layer": (
        ["model.keras", "grey.png", "--target-layer", "x"],
        "Received: --target-layer x.",
    ),
    "layer for occlusion": (
        [
            "no.keras",
            "grey.png",
            "--method",
            "occlusion",
            "--target-layer",
            "last",
        ],
        "`--target-layer` is for methods",
    ),
    "no class": (
        ["model.keras", "grey.png", "--target", "9"],
        "from 0 to 2. Received: --target 9.",
    ),
    "one name twice": (
        ["model.keras", "grey.png", "./grey.png"],
        "Images must have different names",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_ends_in_one_line_and_writes_nothing(folder, case, capsys):
    arguments, message = MISTAKES[case]
    assert cli.main(["explain", *arguments, "--directory", "out"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (folder / "out").exists()


def test_a_model_of_something_else_than_images_is_refused(folder, capsys):
    keras.Sequential([keras.Input((4,)), layers.Dense(2)]).save("v.keras")
    assert cli.main(["explain", "v.keras", "grey.png", "--directory", "o"]) == 2
    assert "(None, 4)" in capsys.readouterr().err


def test_methods_lists_every_explainer_with_its_first_line(capsys):
    assert cli.main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    of_images = {
        name.lower(): getattr(explainers, name)
        for name in explainers.__all__
        if hasattr(getattr(explainers, name), "explain")
        and not inspect.isabstract(getattr(explainers, name))
    }
    assert methods() == of_images
    assert list(METHODS) == sorted(of_images)
    width = max(map(len, of_images)) + 2
    assert lines == [
        f"{name:<{width}}{of_images[name].__doc__.splitlines()[0]}"
        for name in sorted(of_images)
    ]


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("gradcam++", "gradcamplusplus"),
        ("Grad-CAM++", "gradcamplusplus"),
        ("grad_cam", "gradcam"),
        ("Layer CAM", "layercam"),
        ("Gradient*Input", "gradientinput"),
        ("guided-backpropagation", "guidedbackprop"),
    ],
)
def test_methods_are_known_by_what_people_call_them(spelling, name):
    assert method_name(spelling) == name


def test_a_method_that_is_misspelled_is_told_what_is_near():
    with pytest.raises(ValueError, match="Received: gradcm. Did you mean grad"):
        method_name("gradcm")


INSTANT = """
import sys
from keras_xmap_command import main
for arguments in (["methods"], ["explain", "m", "a.png", "--method", "magic"]
                  + ["--directory", "out"]):
    main(arguments)
print("loaded", {"keras", "tensorflow", "numpy"} & set(sys.modules))
"""


def test_what_needs_no_model_imports_no_framework():
    run = [sys.executable, "-c", INSTANT]
    result = subprocess.run(run, capture_output=True, text=True, check=True)
    assert result.stdout.endswith("loaded set()\n")
    assert "Received: magic" in result.stderr


@pytest.mark.slow
def test_frameworks_log_nothing_and_errors_are_seen(folder):
    environment = {k: v for k, v in os.environ.items() if "TF_CPP" not in k}
    code = "import sys, keras_xmap_command as k; sys.exit(k.main())"
    run = [sys.executable, "-c", code, "explain", "model.keras"]
    for image, status, error in (
        ("grey.png", 0, ""),
        ("no.png", 2, "keras-xmap: error: An image must be a file. Received:"),
    ):
        result = subprocess.run(
            [*run, image, "--directory", "out"],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert result.returncode == status, result.stderr
        assert len(result.stderr.splitlines()) == status // 2, result.stderr
        assert result.stderr.startswith(error)


def test_what_an_import_says_is_seen_if_it_fails(monkeypatch, capfd):
    def fails(name):
        os.write(2, b"why it is so\n")
        raise ImportError("no such thing")

    monkeypatch.setattr(importlib, "import_module", fails)
    assert cli.main(["demo"]) == 2
    error = capfd.readouterr().err
    assert "why it is so" in error and "error: no such thing" in error


def test_errors_are_told_without_escapes_and_nodes(monkeypatch, capsys):
    def fails(arguments):
        raise ValueError(
            "\x1b[1mGraph\x1b[0m is\nwrong. Detected at node while/x/y"
        )

    monkeypatch.setattr(explain, "run", fails)
    arguments = ["explain", "model.keras", "a.png", "--directory", "out"]
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err == "keras-xmap: error: Graph is wrong.\n"


def test_without_a_command_the_help_is_shown(capsys):
    assert cli.main([]) == 0
    assert "explain a saved model on images" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"keras-xmap {keras_xmap.__version__}\n"


def test_classes_are_named_and_asked_for_by_name(folder, capsys):
    (folder / "names.txt").write_text("cat\ntabby cat\ndog\n\n")
    arguments = ["explain", "model.keras", "grey.png", "--directory", "out"]
    arguments += ["--force", "--labels", "names.txt"]
    assert cli.main(arguments) == 0
    assert ": class 1, tabby cat (highest" in capsys.readouterr().out
    assert cli.main([*arguments, "--target", "dog"]) == 0
    assert ": class 2, dog (probability" in capsys.readouterr().out
    by_name = np.load("out/grey.layercam.npy")
    assert cli.main([*arguments, "--target", "2"]) == 0
    np.testing.assert_array_equal(np.load("out/grey.layercam.npy"), by_name)


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("cat\ndog\n", "1", "names.txt with 2 names, and 3 classes"),
        ("cat\ndog\nhen\n", "cow", "Received: --target cow and names.txt"),
        ("cat\ndog\ncat\n", "1", "'cat' more than once"),
        ("\n", "1", "names.txt with 0 lines"),
    ],
)
def test_names_that_do_not_fit_are_refused(
    folder, text, target, message, capsys
):
    (folder / "names.txt").write_text(text)
    arguments = ["explain", "model.keras", "grey.png", "--directory", "out"]
    arguments += ["--labels", "names.txt", "--target", target]
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("ResNet50", "resnet50"),
        ("vgg-16", "vgg16"),
        ("mobilenet_v2", "mobilenet_v2"),
        ("EfficientNetB0", "efficientnet"),
    ],
)
def test_pixels_are_those_of_a_network_of_keras_applications(name, module):
    image = np.random.default_rng(0).uniform(size=(3, 4, 3))
    before = image.copy()
    found = Pixels(None, name).of(image)
    preprocess = getattr(keras.applications, module).preprocess_input
    expected = preprocess((255 * image).astype("float32"))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(image, before)
    assert found.dtype == "float32"


def test_preprocess_reaches_the_explainer(folder):
    arguments = ["explain", "model.keras", "rgb.png", "--method", "saliency"]
    arguments += ["--target", "1", "--directory", "out", "--force"]
    assert cli.main([*arguments, "--preprocess", "mobilenet_v2"]) == 0
    found = np.load("out/rgb.saliency.npy")
    assert cli.main([*arguments, "--range", "-1", "1"]) == 0
    by_range = np.load("out/rgb.saliency.npy")
    np.testing.assert_allclose(found, by_range, rtol=1e-4, atol=1e-9)
    assert cli.main(arguments) == 0
    assert np.abs(np.load("out/rgb.saliency.npy") - by_range).max() > 1e-6


@pytest.mark.slow
def test_a_hint_says_what_photos_are_read_as_where_nothing_tells(
    folder, capsys
):
    arguments = ["grey.png", "--directory", "out", "--force"]
    scaled = keras.saving.load_model("model.keras")
    inner = keras.Sequential([keras.Input((12, 16, 3)), scaled])
    inner.save("inner.keras")
    bare = keras.Sequential([keras.Input((12, 16, 3)), *scaled.layers[1:]])
    bare.save("bare.keras")
    for name, options, is_told in [
        ("model", [], False),
        ("inner", [], False),
        ("bare", [], True),
        ("bare", ["--range", "0", "255"], False),
        ("bare", ["--preprocess", "vgg16"], False),
    ]:
        assert cli.main(["explain", f"{name}.keras", *arguments, *options]) == 0
        assert ("holds no Rescaling" in capsys.readouterr().err) is is_told
