"""The table of methods: its values, its order, what it says, how it goes on."""

import base64
import csv
import html.parser
import io
import os
import pathlib
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops
from PIL import Image

import keras_xmap
from keras_xmap import explainers
from keras_xmap import metrics
from keras_xmap import targets
from keras_xmap.comparison._images import Images

pytestmark = pytest.mark.tensorflow

SIDE = 6
NAME = "<script>alert('x')</script> | _b_"


class EdgeDetector(explainers.Explainer):
    """Shows where neighbouring pixels differ, and knows nothing of a model."""

    def compute(self, inputs, target, parts):
        edges = ops.abs(inputs - ops.roll(inputs, 1, axis=1))
        return ops.sum(edges, axis=-1), {
            "score_used": self.evaluate(inputs).score_used
        }


class Stopped(EdgeDetector):
    """Is interrupted as long as a file is there."""

    def explain_batches(self, *args, **kwargs):
        if os.path.exists(os.environ.get("STOP", "")):
            raise KeyboardInterrupt
        return super().explain_batches(*args, **kwargs)


@pytest.fixture(scope="module")
def model():
    """A linear model of two classes: `GradientInput` is exact."""
    made = keras.Sequential(
        [keras.Input((SIDE, SIDE, 1)), layers.Flatten(), layers.Dense(2)]
    )
    generator = np.random.default_rng(0)
    made.set_weights([generator.normal(size=(SIDE**2, 2)), np.array([0, 9])])
    return made


@pytest.fixture(scope="module")
def photos():
    generator = np.random.default_rng(1)
    return generator.uniform(size=(5, SIDE, SIDE, 1)).astype("float32")


@pytest.fixture(scope="module")
def masks(photos):
    return (photos[..., 0] > 0.7).astype("float32")


def metrics_of(model):
    options = {"baseline": "zero", "score": "logits", "num_steps": SIDE**2}
    return [
        metrics.Deletion(model, **options),
        metrics.Insertion(model, **options),
        "sanity",
        "pointing_game",
        "energy_in_mask",
    ]


@pytest.fixture(scope="module")
def found(model, photos, masks):
    before = [w.tobytes() for w in model.get_weights()]
    result = keras_xmap.compare(
        model,
        photos,
        {
            "Saliency": explainers.Saliency,
            NAME: EdgeDetector(model),
            "CAM": "cam",
            "GradientInput": "GradientInput",
        },
        metrics=metrics_of(model),
        masks=masks,
        batch_size=2,
        verbose=0,
    )
    assert [w.tobytes() for w in model.get_weights()] == before
    return result


def row_of(result, name):
    (row,) = [row for row in result.rows if row["method"] == name]
    return row


def without_time(result):
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "forward_passes")}
        for row in result.rows
    ]


def test_the_output_is_explained_where_it_is_asked_for(photos):
    x = inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.Flatten()(x)
    heads = [layers.Dense(2, activation="softmax")(x) for _ in range(2)]
    made = keras.Model(inputs, layers.Average()(heads))
    options = {"methods": ["Saliency"], "metrics": ["deletion"], "verbose": 0}
    with pytest.raises(ValueError, match='Pass score="output"'):
        keras_xmap.compare(made, photos, **options)
    result = keras_xmap.compare(made, photos, **options, score="output")
    row = row_of(result, "Saliency")
    assert row["call"].endswith("score='output')")
    maps = explainers.Saliency(made, score="output").explain(photos, verbose=0)
    deletion = metrics.Deletion(made, num_steps=16)
    deletion.update_state(photos, maps)
    assert row["deletion"] == pytest.approx(float(deletion.result()), 1e-5)
    with pytest.raises(ValueError, match="`score` must be .* score='odds'"):
        keras_xmap.compare(made, photos, **options, score="odds")


def test_what_is_exact_wins_and_what_knows_nothing_fails(found):
    ranks = {row["method"]: row["rank"] for row in found.rows}
    assert ranks == {
        "GradientInput": 1,
        "Saliency": 2,
        NAME: 3,
        "(random map)": None,
        "(image centre)": None,
        "CAM": None,
    }
    assert found.best == "GradientInput"
    best = row_of(found, "GradientInput")
    for row in found.rows[1:-1]:
        assert best["deletion"] <= row["deletion"]
        assert best["insertion"] >= row["insertion"]
    edges = row_of(found, NAME)
    assert edges["fails_sanity"]
    assert edges["all_forgotten"] == edges["half_forgotten"] == 1
    assert edges["remarks"][0].startswith(
        "fails the sanity check: its pixels keep their order (rank "
        "correlation 1.00) when the model forgets all it has learned"
    )
    assert not best["fails_sanity"]


def test_values_are_those_of_the_metrics_called_by_hand(
    found, model, photos, masks
):
    target = model.predict(photos, verbose=0).argmax(axis=1)
    explainer = explainers.GradientInput(model)
    maps = explainer.explain(photos, target, verbose=0)
    deletion, insertion = metrics_of(model)[:2]
    pointing, energy = metrics.PointingGame(), metrics.EnergyInMask()
    for metric in (deletion, insertion):
        metric.update_state(photos, maps, target)
    pointing.update_state(masks, maps)
    energy.update_state(masks, np.maximum(maps, 0))
    row = row_of(found, "GradientInput")
    for metric in (deletion, insertion, pointing, energy):
        expected = float(metric.result())
        assert row[metric.name] == pytest.approx(expected, rel=1e-5)
    similar = metrics.parameter_randomization(
        explainer, photos, target, steps=2, verbose=0
    )
    (whole,) = similar.values()
    assert row["all_forgotten"] == pytest.approx(
        whole.absolute_spearman, abs=1e-6
    )
    assert row["seconds"] > 0
    assert row["forward_passes"] > 0


def test_what_the_model_cannot_have_is_listed_with_the_reason(found, model):
    row = row_of(found, "CAM")
    assert found.rows[-1] is row
    with pytest.raises(ValueError) as caught:
        explainers.CAM(model).explain(np.zeros((1, SIDE, SIDE, 1)), 0)
    assert row["refusal"] == " ".join(str(caught.value).split())
    assert row["deletion"] is None
    assert row["rank"] is None


def test_nothing_of_the_forward_pass_is_left_out():
    x = inputs = keras.Input((64, 64, 3))
    for _ in range(3):
        x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    data = np.zeros((2, 64, 64, 3), "float32")
    compiled = tf.function(model)
    compiled(data)
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        compiled(data).numpy()
        taken.append(time.perf_counter() - start)
    seconds = Images(model, data, None, 2, "logits").forward_seconds()
    # An empty step takes less than a tenth.
    assert 2 * seconds > min(taken) / 3


def test_the_package_has_it_by_its_name():
    assert keras_xmap.compare is keras_xmap.comparison.compare
    assert "compare" in dir(keras_xmap)


class Reader(html.parser.HTMLParser):
    """Takes a page apart, and counts what is open."""

    VOID = {"meta", "img", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href")]
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_loads_nothing(found, tmp_path):
    text = found.to_html(tmp_path / "compare.html")
    assert (tmp_path / "compare.html").read_text("utf-8") == text
    assert [p.name for p in tmp_path.iterdir()] == ["compare.html"]
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert "url(" not in text
    assert "@import" not in text
    # Four images, each with the maps of three methods.
    assert len(reader.links) == 4 * 4
    for link in reader.links:
        kind, _, content = link.partition(",")
        assert kind == "data:image/png;base64"
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        assert picture.size == (SIDE, SIDE)
    assert NAME in "".join(reader.text)
    assert "http" not in text
    # Wide tables scroll in a box of their own.
    assert '<div class="box"><table>' in text
    assert ".box { overflow-x: auto; }" in text
    assert "width=device-width" in text


def test_csv_holds_the_numbers_and_markdown_shows_them(found, tmp_path):
    path = os.fspath(tmp_path / "compare.csv")
    lines = list(csv.DictReader(io.StringIO(found.to_csv(path))))
    assert pathlib.Path(path).read_text("utf-8") == found.to_csv()
    for line, row in zip(lines, found.rows, strict=True):
        assert line["method"] == row["method"]
        for name in found.columns:
            value = None if line[name] == "" else float(line[name])
            assert value == row[name]
    text = found.to_markdown()
    table = [line for line in text.splitlines() if line.startswith("|")]
    # Whatever stands in a cell, each row has the same columns.
    counts = {line.replace("\\|", "").count("|") for line in table}
    assert counts == {len(found.columns) + 4}
    assert f"- CAM: {row_of(found, 'CAM')['refusal'][:20]}" in text
    assert "deletion ↓" in table[0]
    assert "insertion ↑" in table[0]


def test_a_run_that_is_killed_goes_on(model, photos, tmp_path, monkeypatch):
    stop = tmp_path / "stop"
    monkeypatch.setenv("STOP", str(stop))
    options = {
        "methods": {
            "GradientInput": "gradient-input",
            "edges": Stopped(model),
        },
        "metrics": ["sanity", *metrics_of(model)[:2]],
        "batch_size": 2,
        "verbose": 0,
    }
    whole = keras_xmap.compare(model, photos, **options)
    directory = tmp_path / "run"
    stop.touch()
    weights = model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        keras_xmap.compare(model, photos, directory=directory, **options)
    for kept, now in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    first = (directory / "00.json").read_bytes()
    assert not (directory / "01.json").exists()
    stop.unlink()
    resumed = keras_xmap.compare(model, photos, directory=directory, **options)
    assert (directory / "00.json").read_bytes() == first
    assert without_time(resumed) == without_time(whole)
    assert resumed.columns == whole.columns
    # Once more, nothing is measured anew.
    again = keras_xmap.compare(model, photos, directory=directory, **options)
    assert again.rows == resumed.rows
    assert again.to_html() == resumed.to_html()
    refuses_another_run(model, photos, directory, options)


def refuses_another_run(model, photos, directory, options):
    compare = keras_xmap.compare
    with pytest.raises(ValueError, match=r"Received: .*data\.batches\[0\]"):
        compare(model, photos + 0.1, directory=directory, **options)
    with pytest.raises(ValueError, match="Received: .*seed=1, where the run"):
        compare(model, photos, directory=directory, seed=1, **options)
    other = {**options, "metrics": ["sanity"]}
    with pytest.raises(ValueError, match=r"Received: .*metrics\.deletion"):
        compare(model, photos, directory=directory, **other)
    kept = model.get_weights()
    try:
        model.set_weights([w + 1 for w in kept])
        with pytest.raises(ValueError, match=r"Received: .*model\.weights"):
            compare(model, photos, directory=directory, **options)
    finally:
        model.set_weights(kept)
    (directory / "01.json").write_text("{}")
    with pytest.raises(ValueError, match=r"01\.json \(not as it was written"):
        compare(model, photos, directory=directory, **options)


def quick(model, data, **options):
    """Compares by one method and one metric."""
    options = {"metrics": ["sparseness"], "verbose": 0, **options}
    methods = options.pop("methods", ["Saliency"])
    return keras_xmap.compare(model, data, methods, **options)


@pytest.mark.slow
def test_datasets_are_gone_through_batch_by_batch(model, photos):
    labels = np.array([0, 1, 0, 1, 0])
    data = tf.data.Dataset.from_tensor_slices((photos, labels)).batch(2)
    found = quick(model, data, target="labels")
    maps = explainers.Saliency(model).explain(photos, labels, verbose=0)
    expected = metrics.Sparseness()
    expected.update_state(maps)
    assert found.rows[0]["sparseness"] == pytest.approx(
        float(expected.result()), rel=1e-5
    )
    with pytest.raises(ValueError, match="Received: another batch"):
        quick(model, data.unbatch().shuffle(5, seed=3).batch(1))
    with pytest.raises(ValueError, match="which can be gone through once"):
        quick(model, iter([photos]))


@pytest.mark.slow
def test_boxes_stand_for_masks(model, photos):
    boxes = np.array([[[0, 0, 3, 2], [-1] * 4]] * 5)
    masks = np.zeros((5, SIDE, SIDE))
    masks[:, :2, :3] = 1
    named = {"metrics": ["pointing_game"]}
    first = quick(model, photos, boxes=boxes, **named)
    second = quick(model, photos, masks=masks, **named)
    assert without_time(first) == without_time(second)
    found = quick(model, photos, boxes=boxes, metrics=["max_box_accuracy"])
    maps = explainers.Saliency(model).explain(
        photos, model.predict(photos, verbose=0).argmax(axis=1), verbose=0
    )
    expected = metrics.MaxBoxAccuracy()
    expected.update_state(boxes, maps)
    value = found.rows[0]["max_box_accuracy"]
    assert value == pytest.approx(float(expected.result()))


def test_a_metric_that_cannot_be_is_told_and_the_others_are_measured(
    model, photos
):
    # A score that is negative is no probability.
    found = quick(
        model,
        photos,
        target=lambda outputs: outputs[:, 0] - 100,
        metrics=["average_drop", "sparseness"],
    )
    row = found.rows[0]
    assert row["average_drop"] is None
    assert row["sparseness"] > 0
    assert row["remarks"][0].startswith("average_drop: A drop is a share of")


@pytest.mark.slow
def test_a_model_of_two_inputs_names_the_one_that_is_explained(photos):
    a, b = keras.Input((SIDE, SIDE, 1), name="a"), keras.Input((3,), name="b")
    x = layers.Concatenate()([layers.Flatten()(a), b])
    model = keras.Model({"a": a, "b": b}, layers.Dense(2)(x))
    data = {"a": photos, "b": np.ones((5, 3), "float32")}
    named = quick(model, data, input_name="a", metrics=["deletion", "sanity"])
    assert named.rows[0]["refusal"] is None
    assert 'alt="Saliency"' in named.to_html()
    assert {row["method"] for row in named.rows[1:]} == {
        "(random map)",
        "(image centre)",
    }
    found = quick(model, data)
    assert "`input_name` must name the input" in found.rows[0]["refusal"]
    assert found.best is None
    assert "There is no order" in found.to_html()


def test_where_all_fail_none_is_best(model, photos):
    found = quick(
        model,
        photos,
        methods=[EdgeDetector(model)],
        metrics=["sanity", "deletion"],
    )
    assert found.rows[0]["rank"] == 1
    assert found.best is None
    assert "No method is to be believed" in found.to_html()


def test_a_model_without_weights_has_no_sanity_check():
    model = keras.Sequential(
        [keras.Input((SIDE, SIDE, 2)), layers.GlobalAveragePooling2D()]
    )
    data = np.random.default_rng(0).uniform(size=(2, SIDE, SIDE, 2))
    found = quick(
        model, data, methods=["gradient-input"], metrics=["sanity", "deletion"]
    )
    row = found.rows[0]
    assert row["remarks"][0].startswith("no sanity check: `explainer` must be")
    assert (row["refusal"], row["rank"]) == (None, 1)


def test_without_a_metric_that_has_a_value_there_is_no_order(model, photos):
    found = quick(model, photos, methods=["Saliency", "GradientInput"])
    ranks = {row["method"]: row["rank"] for row in found.rows[:2]}
    assert ranks == {"GradientInput": None, "Saliency": None}
    assert found.about["Order"].startswith("none")


def test_what_is_wrong_with_masks_is_no_refusal_of_a_method(model, photos):
    class Torn:
        def __len__(self):
            return 5

        def __getitem__(self, rows):
            raise OSError("torn.png cannot be read")

    with pytest.raises(OSError, match=r"torn\.png"):
        quick(model, photos, masks=Torn(), metrics=["pointing_game"])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"methods": "gradcamm"}, "Received: 'gradcamm' in methods="),
        ({"methods": []}, r"Received: methods=\[\]"),
        ({"methods": [3]}, r"Received: methods=\[3\]"),
        ({"methods": {"": "cam"}}, "Received: methods="),
        ({"methods": [explainers.Explainer]}, "Received: methods="),
        ({"metrics": "deletions"}, "Received: metrics='deletions'"),
        ({"metrics": ["mean_iou"]}, "Received: 'mean_iou' without masks"),
        ({"metrics": ["max_box_accuracy"]}, "without boxes"),
        ({"metrics": [metrics.MeanIoU()]}, "Received: metrics="),
        ({"metrics": ["deletion", "deletion"]}, "of different names"),
        ({"masks": np.zeros((4, 6, 6))}, "Received: 4 masks for 5 images"),
        ({"masks": np.zeros((5, 36))}, r"Received: masks\.shape=\(5, 36\)"),
        ({"masks": 3}, r"Received: masks\.shape=\(\)"),
        ({"boxes": [0, 0, 2, 2]}, r"Received: boxes\.shape=\(4,\)"),
        ({"target": [[0, 1]] * 5}, "`target` must be one class"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"seed": -1}, "Received: seed=-1"),
        ({"verbose": "loud"}, "Received: verbose='loud'"),
        ({"directory": ""}, "Received: directory=''"),
    ],
)
def test_arguments_are_checked(model, photos, options, match):
    with pytest.raises(ValueError, match=match):
        quick(model, photos, **options)


def test_explainers_and_metrics_must_be_of_the_model(model, photos):
    other = keras.Sequential([keras.Input((SIDE, SIDE, 1)), layers.Flatten()])
    with pytest.raises(ValueError, match="`methods` must be explainers of"):
        quick(model, photos, methods=[explainers.Saliency(other)])
    with pytest.raises(ValueError, match="`metrics` must be of `model`"):
        quick(model, photos, metrics=[metrics.Deletion(other)])
    sensitivity = metrics.MaxSensitivity(explainers.Saliency(model))
    with pytest.raises(ValueError, match="which asks one explainer"):
        quick(model, photos, metrics=[sensitivity])
    with pytest.raises(TypeError, match="Received: model=3"):
        quick(3, photos)


@pytest.mark.slow
def test_combined_targets_and_classes_by_hand(model, photos):
    target = targets.Difference(targets.Class(), targets.Class(0))
    names = ["deletion", "road"]
    found = quick(model, photos, target=target, metrics=names)
    assert found.rows[0]["road"] is not None
    assert "deletion and road" in found.about["Order"]
    assert found.rows[0]["refusal"] is None
    deletion = metrics.Deletion(model, num_steps=16)
    maps = explainers.Saliency(model).explain(photos, target, verbose=0)
    deletion.update_state(photos, maps, target)
    assert found.rows[0]["deletion"] == pytest.approx(
        float(deletion.result()), rel=1e-5
    )
