"""Remedies that reach the command name its options, and lead on as typed."""

import csv
import inspect
import re
import shlex

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import keras_xmap
from keras_xmap import cli
from keras_xmap import explainers
from keras_xmap.cli import _compare
from keras_xmap_command import as_options
from keras_xmap_command._commands import make_parser
from keras_xmap_command._options import OPTIONS

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(
    ("said", "expected"),
    {
        'Pass score="output" to explain': "Pass --score output to explain",
        "as target_layer='a/b:1'.": "as --target-layer a/b:1.",
        "pass target_layer='my layer'": "pass --target-layer 'my layer'",
        "by target_layer=['a', 'b'], or": (
            "by --target-layer a --target-layer b, or"
        ),
        "Received: target_layer=3 for": "Received: --target-layer 3 for",
        "Pass target_layer=None for": "Pass no --target-layer for",
        "Pass `views=None`.": "Pass no `--views`.",
        "as in views=[1, 'mirror'], or": "as in --views 1,mirror, or",
        "views=[1.5, (1.5, 'mirror')]": "--views 1.5,1.5:mirror",
        "Received: batch_size=0.": "Received: --batch-size 0.",
        "Received: target=-1.": "Received: --target -1.",
        "a class, such as `target=3`.": "a class, such as `--target 3`.",
        "name the `target_layer`": "name the `--target-layer`",
    }.items(),
)
def test_arguments_are_told_as_options(said, expected):
    assert as_options(said, "explain") == expected


@pytest.mark.parametrize(
    "said",
    [
        # What is to be called in Python, with its arguments.
        "IntegratedGradients(model, target_layer='a').",
        "by `keras_xmap.targets.Class(index, target=3)` or",
        "AverageDrop(f(model, 1), score='output') of",
        # No option of the command, no such word, and no value.
        "pass `resize=False`, or name it by `input_name`",
        "num_views=None and `num_target`, maps.target=1",
        "Received: target=<function f>, target=[<f>].",
        "the target is no score",
    ],
)
def test_all_else_stays_as_it_is(said):
    assert as_options(said, "explain") == said


def test_each_command_has_options_of_its_own():
    said = "Give the `class_names`, or labels='masks', in directory=..., seed=2"
    assert as_options(said, "masks") == (
        "Give the `--classes`, or --labels-of-masks, in --directory ..., "
        "--seed 2"
    )
    assert as_options(said, "report") == (
        "Give the `--labels`, or labels='masks', in directory=..., --seed 2"
    )
    assert as_options(said, "demo") == said


def parsers():
    (found,) = [x for x in make_parser()._actions if x.choices]
    return found.choices


def python_of(command):
    """What a command calls."""
    from keras_xmap import weak_segmentation

    of_images = [getattr(explainers, name) for name in explainers.__all__]
    of_images = [kind for kind in of_images if isinstance(kind, type)]
    explaining = [*of_images, explainers.Explainer.explain]
    return {
        "explain": explaining,
        "compare": [keras_xmap.compare],
        "report": [*explaining, keras_xmap.report],
        "masks": [
            weak_segmentation.WeakSegmentation,
            keras_xmap.datasets.LabelledFolder,
            keras_xmap.datasets.VOCFolder,
            keras_xmap.segmentation.refine_with_crf,
        ],
    }[command]


@pytest.mark.parametrize("command", OPTIONS)
def test_every_argument_that_an_option_gives_is_told_as_it(command):
    options = {
        action.dest.replace("_", "-")
        for action in parsers()[command]._actions
        if action.option_strings
    }
    arguments = {
        name
        for called in python_of(command)
        for name in inspect.signature(called).parameters
    }
    told = OPTIONS[command]
    assert set(told) <= arguments
    assert set(told.values()) <= options
    same = {name for name in arguments if name.replace("_", "-") in options}
    # The report's views are not asked for on the command line.
    assert same <= set(told)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    Image.fromarray(pixels.astype("uint8")).save("a.png")
    return tmp_path


def saved(inputs, outputs):
    """Saves a model with weights that are not those of zero maps."""
    model = keras.Model(inputs, outputs)
    generator = np.random.default_rng(1)
    model.set_weights(
        [generator.normal(size=w.shape) for w in model.get_weights()]
    )
    model.save("model.keras")


def mean_of_softmaxes():
    x = inputs = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(4, 3, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    heads = [layers.Dense(3, activation="softmax")(x) for _ in range(2)]
    saved(inputs, layers.Average()(heads))


def run(command, *options):
    command = [command, "model.keras", "a.png", "--directory", "out"]
    return cli.main([*command, *map(str, options)])


def remedy(said, verb):
    """The options that a message tells to give, as they are typed."""
    (found,) = re.findall(rf"{verb} ((?:--[\w-]+ [^\s.]+ ?)+)", said)
    return shlex.split(found.replace(",", ""))


def test_a_score_that_is_refused_is_explained_as_the_remedy_says(
    folder, capsys
):
    mean_of_softmaxes()
    for command in ("explain", "report"):
        options = ["--method", "saliency"]
        assert run(command, *options) == 2
        said = capsys.readouterr().err
        assert 'score="' not in said
        options += remedy(said, "Pass")
        assert options[2:] == ["--score", "output"]
        assert run(command, *options) == 0
    written = np.load("out/a.saliency.npy")
    model = keras.saving.load_model("model.keras")
    image = np.asarray(Image.open("a.png"), "float32")[np.newaxis]
    found = explainers.Saliency(model, score="output").explain(image, verbose=0)
    np.testing.assert_allclose(written, found[0], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_compare_takes_the_score_that_it_tells(folder, capsys):
    mean_of_softmaxes()
    methods = ["--methods", "saliency", "gradcam"]
    assert run("compare", *methods) == 2
    option = remedy(capsys.readouterr().err, "Pass")
    assert option == ["--score", "output"]
    assert run("compare", *methods, *option) == 0
    for row in rows("out"):
        assert not row["refusal"] and float(row["insertion"]) > 0
        assert "score='output'" in row["call"]


def test_rows_of_a_comparison_name_options_too():
    row = {"method": "A", "rank": None, "fails_sanity": False}
    said = 'Pass score="output"'
    first = {**row, "refusal": f"{said} to go on.", "remarks": []}
    second = {**row, "refusal": None, "remarks": [f"B. {said}.", "C"]}
    found = keras_xmap.comparison.Comparison([first, second], [], {}, {}, [])
    _compare.name_options(found)
    assert found.rows[0]["refusal"] == "Pass --score output to go on."
    assert found.rows[1]["remarks"] == ["B. Pass --score output.", "C"]
    assert "Pass --score output" in found.to_markdown()


def rows(directory):
    """The rows of the two methods."""
    with open(f"{directory}/compare.csv", newline="") as file:
        found = {row["method"]: row for row in csv.DictReader(file)}
    return found["Saliency"], found["GradCAM"]


def two_branches():
    x = inputs = keras.Input((16, 16, 3))
    branches = [
        layers.Conv2D(4, size, activation="relu", name=f"conv_{size}")(x)
        for size in (3, 5)
    ]
    x = layers.Concatenate()(
        [layers.GlobalAveragePooling2D()(x) for x in branches]
    )
    saved(inputs, layers.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize(
    ("options", "begin", "end"),
    [
        # An error, and a warning.
        (["--method", "eigencam"], "Fuse their maps by ", ", name one"),
        (
            ["--method", "layercam", "--target-layer", "conv_3"],
            "Whole are ",
            ".\n",
        ),
    ],
)
def test_branches_are_fused_as_the_remedy_says(
    options, begin, end, folder, capsys
):
    two_branches()
    run("explain", *options)
    said = capsys.readouterr().err
    start = said.index(begin) + len(begin)
    typed = shlex.split(said[start : said.index(end, start)])
    assert typed[::2] == ["--target-layer"] * 2
    assert set(typed[1::2]) == {"conv_3", "conv_5"}
    assert run("explain", *options[:2], *typed, "--force") == 0
    printed = capsys.readouterr()
    assert "layers explained: conv_" in printed.out
    assert begin not in printed.err
    assert np.load(f"out/a.{options[1]}.npy").std() > 0


def test_a_call_of_a_layer_is_chosen_as_the_remedy_says(folder, capsys):
    shared = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")
    x = inputs = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(shared(shared(x)))
    saved(inputs, layers.Dense(3, activation="softmax")(x))
    options = ["--method", "gradcam", "--target-layer"]
    assert run("explain", *options, "conv") == 2
    said = capsys.readouterr().err
    flag, layer = remedy(said, "as")
    assert flag == "--target-layer" and layer.startswith("conv:")
    assert run("explain", *options, layer) == 0
    assert "layer explained: conv" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("compare", ["--batch-size", 0], "`--batch-size` must be .* 0"),
        ("compare", ["--seed", -1], "`--seed` must be .* --seed -1"),
        ("report", ["--worst", 0], "`--worst` must be .* --worst 0"),
        ("report", ["--target", 7], "(--target|`--target`).*7"),
    ],
)
def test_mistakes_name_the_option_that_was_typed(
    command, options, said, folder, capsys
):
    mean_of_softmaxes()
    score = ["--score", "output", "--directory", "out"]
    assert run(command, *score, *options) == 2
    error = capsys.readouterr().err
    assert re.search(said, error), error
    assert not re.search(r"(batch_size|seed|worst|target)=", error)
