"""Every benchmark runs under `--smoke`; tables are what its results say."""

import ast
import importlib
import json
import pathlib
import types

import keras
import numpy as np
import pytest

from benchmarks.common import counts
from benchmarks.common import intervals
from benchmarks.common import methods
from benchmarks.common import overlaps
from benchmarks.common.map_scores import halved
from benchmarks.pixel_attention import cuts

ROOT = pathlib.Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
SOURCES = sorted(BENCHMARKS.rglob("*.py"))
RESULTS = sorted(BENCHMARKS.glob("*/results.json"))
# Folders without a benchmark in them.
SHARED = {"common"}
# A third to two thirds of a minute each even so; `make test-sweep` runs them.
LONG = {
    "distinct_class_saliency",
    "erasing",
    "localization",
    "pixel_attention",
    "quadtree",
    "regions",
    "weak_segmentation",
}
CIRCUMSTANCES = {"command", "date", "device", "versions", "figures"}

pytestmark = pytest.mark.tensorflow


def name_of(path):
    return path.relative_to(BENCHMARKS).as_posix()


def folders():
    files = BENCHMARKS.glob("*/__init__.py")
    return sorted({file.parent.name for file in files} - SHARED)


def swept_if_long(name):
    return pytest.param(name, marks=pytest.mark.sweep) if name in LONG else name


def snapshot():
    """Returns when each file of the project was last written to."""
    return {
        path: path.stat().st_mtime_ns
        for folder in (BENCHMARKS, ROOT / "docs", ROOT / "build" / "benchmarks")
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [swept_if_long(name) for name in folders()])
def test_a_benchmark_runs_under_smoke_and_keeps_nothing(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERAS_XMAP_BENCHMARK_DATA", raising=False)
    before = snapshot()
    benchmark = importlib.import_module(f"benchmarks.{name}.__main__")
    figures = benchmark.main(["--smoke"])
    assert set(figures) == set(benchmark.PARTS)
    assert all(figures.values())
    assert snapshot() == before
    assert not list(tmp_path.iterdir())


def test_bases_and_what_they_hand_over_are_no_methods():
    names = methods.names()
    assert {"GradCAM", "RISE", "ClassModel"} <= set(names)
    assert not {"Explainer", "CAMExplainer", "Gradients"} & set(names)
    assert not {"InputLayout", "GradientExplainer"} & set(names)


def test_a_halved_box_holds_the_pixels_that_are_left_of_it():
    left = np.arange(10)[::2]
    for start in range(10):
        for end in range(start + 2, 11):
            inside = np.flatnonzero((left >= start // 2 * 2) & (left < end))
            box = halved(np.array([[start, 0, end, 10]]), 5)
            np.testing.assert_array_equal(
                box, [[inside[0], 0, inside[-1] + 1, 5]]
            )


def test_a_halved_box_is_never_empty():
    boxes = np.array([[9, 9, 10, 10], [10, 0, 10, 1], [4, 5, 5, 5]])
    np.testing.assert_array_equal(
        halved(boxes, 5), [[4, 4, 5, 5], [4, 0, 5, 1], [2, 2, 3, 3]]
    )


def test_tables_leave_out_a_predictor_that_has_not_learned():
    tables = importlib.import_module("benchmarks.pixel_attention.tables")

    def runs(*found):
        return {
            f"circles, seed {seed}, noise 0.5": {
                "n": 9,
                "noise": x,
                "collusion": {"clean": clean},
                "maps": {"map": {"iou": x, "auc": 1, "low": x, "high": x}},
            }
            for seed, (clean, x) in enumerate(found)
        }

    def lines(*found):
        figures = {"cuts": runs(*found), "taught": {}}
        return tables.of_cuts(figures, of_source=True)

    head, _, noise, row = lines((0.99, 0.7), (-0.01, 0.0), (0.98, 0.8))
    assert head.endswith("| circles, noise 0.5, two of three seeds, n = 9 |")
    assert noise == "| the noise while training | 0.75 |"
    assert row == "| map | .75 (.70 to .80), 1.000 |"
    # Where none has, there is nothing else to tell.
    head, _, _, row = lines((-0.01, 0.1))
    assert head.endswith("| circles, noise 0.5, one seed, n = 9 |")
    assert row == "| map | .10 [.10, .10], 1.000 |"


def test_maps_of_windows_that_fit_are_laid_as_they_are_stretched():
    laying = importlib.import_module("benchmarks.localization.laying")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 2, 2, activation="relu", name="fine"),
            keras.layers.Conv2D(4, 2, 2, activation="relu", name="coarse"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, kernel_initializer="ones"),
        ]
    )
    images = np.random.default_rng(0).random((4, 16, 16, 3), "float32")
    photos = types.SimpleNamespace(images=images, classes=np.arange(4) % 3)
    layers = [{"coarse"}, {"fine", "coarse"}]
    for made, expected in zip(laying.LAID.values(), layers, strict=True):
        method, asked = made
        laid, stretched, used = laying.both(method, model, asked, photos)
        assert set(used) == expected
        assert laid.any((1, 2)).all()
        np.testing.assert_allclose(laid, stretched, atol=1e-6)


def test_tables_of_the_documentation_are_what_results_say(capsys):
    tables = importlib.import_module("benchmarks.tables")
    assert tables.complaints() == []


@pytest.mark.parametrize(
    ("page", "old", "new"),
    [
        ("costs.md", "| 1 forward | 1.04 |", "| 1 forward | 1.05 |"),
        ("explainers.md", "backward | .76, .90 |", "backward | .76 |"),
    ],
    ids=["a table", "the last cell of a row of words"],
)
def test_a_figure_that_was_changed_by_hand_is_found(page, old, new):
    tables = importlib.import_module("benchmarks.tables")
    text = (ROOT / "docs" / page).read_text("utf-8")
    wrong = text.replace(old, new)
    assert wrong != text
    assert tables.rewritten(wrong, tables.makers()) == text


def test_a_table_of_figures_without_a_benchmark_is_found():
    tables = importlib.import_module("benchmarks.tables")
    text = "| | IoU |\n| --- | --- |\n| ours | .9 |\n"
    assert tables.unmarked(text) == ["| | IoU |"]
    marked = f"<!-- table: costs -->\n\n{text}\n<!-- end -->\n"
    assert tables.unmarked(marked) == []


@pytest.mark.parametrize("path", RESULTS, ids=name_of)
def test_results_say_how_when_and_on_what_they_were_measured(path):
    for part in json.loads(path.read_text("utf-8")).values():
        assert set(part) == CIRCUMSTANCES
        folder = path.parent.name
        assert part["command"].startswith(f"python -m benchmarks.{folder}")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_of_benchmarks_are_short(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            lines = node.end_lineno - node.lineno + 1
            docstring = ast.get_docstring(node)
            if docstring:
                first = node.body[0]
                lines -= first.end_lineno - first.lineno + 1
            assert lines <= 40, f"{node.name}: {lines} lines"


# Pixels shared, found and true of two classes, in each of three photos.
COUNTS = np.array(
    [
        [[2, 4, 4], [0, 0, 0]],
        [[1, 1, 4], [1, 2, 1]],
        [[0, 0, 0], [3, 3, 4]],
    ]
)


def test_counts_are_pixels_shared_found_and_true_where_the_truth_is_known():
    labels = np.array([[0, 1, 1], [2, 2, 0]])
    truth = np.array([[0, 1, 2], [2, 255, 1]])
    expected = [[1, 2, 1], [1, 2, 2], [1, 1, 2]]
    np.testing.assert_array_equal(
        counts.counts(labels, truth, num_classes=2), expected
    )
    masks, true = (
        x == np.array([1, 2])[:, None, None] for x in (labels, truth)
    )
    np.testing.assert_array_equal(
        counts.counts_of_masks(masks, true, truth != 255), expected[1:]
    )


def test_a_mean_iou_is_of_the_classes_that_are_there():
    # 3 of 10 pixels and 4 of 6; then 2 of 6, and no second class.
    assert counts.mean_iou(COUNTS.sum(0)) == pytest.approx((3 / 10 + 4 / 6) / 2)
    assert counts.mean_iou(COUNTS[0]) == pytest.approx(2 / 6)


def test_photos_that_are_alike_leave_no_doubt():
    alike, better = np.repeat(COUNTS[1:2], 5, 0), np.zeros((5, 2, 3), int) + 4
    middle = round((1 / 4 + 1 / 2) / 2, 3)
    assert counts.with_interval(alike) == [middle] * 3
    assert counts.gain(better, alike) == [1 - middle] * 3


def test_an_interval_holds_the_draws_of_two_photos():
    # One photo twice is 1 or 0, in a quarter of the draws each.
    of_photos = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert counts.with_interval(of_photos, counts.mean) == [0.5, 0, 1]
    assert counts.gain(of_photos, of_photos, counts.mean) == [0, 0, 0]


def test_the_best_option_is_that_of_the_highest_score_of_the_rows_asked_for():
    def count(row, option):
        return COUNTS[row] if option == "as found" else COUNTS[row] // 2

    options = ["half", "as found"]
    assert counts.best(options, count, [0, 1, 2]) == "as found"
    of_option = {"a": [1, 0, 0], "b": [0, 1, 1]}

    def hit(row, option):
        return np.array([of_option[option][row], 1])

    assert counts.best(["a", "b"], hit, [0], counts.mean) == "a"
    assert counts.best(["a", "b"], hit, [0, 1, 2], counts.mean) == "b"


def test_masks_of_a_threshold_are_counted_as_single_ones_are():
    found = overlaps.Overlaps(num_thresholds=1, num_classes=3)
    masks = np.array([[[1, 1, 0, 0]], [[0, 0, 1, 1]]], bool)
    truth = np.array([[[1, 0, 0, 0]], [[0, 0, 1, 1]]], bool)
    known = np.array([[True, True, True, False]])
    found.add(0, masks, truth, known, [2, 0])
    np.testing.assert_array_equal(
        found.totals[0], [[1, 1, 1], [0, 0, 0], [1, 2, 1]]
    )
    assert [float(x[0]) for x in found.scores()] == [0.75, 1, 0.75]


def test_draws_of_a_ranking_without_a_mistake_are_without_one():
    labels = np.eye(2)[[0, 1, 0, 1, 1]]
    assert overlaps.average_precision(labels, labels) == 1
    assert set(overlaps.draws_of_precision(labels, labels)) == {1}
    # The one that is meant is second of two.
    assert (
        overlaps.average_precision(
            np.array([[0.9], [0.8]]), np.array([[0], [1]])
        )
        == 0.5
    )


def test_bearable_noise_leaves_nine_tenths_of_what_is_explained():
    """A predictor that says its one pixel errs by the noise, no more."""
    rng = np.random.default_rng(1)
    targets = rng.normal(size=(50, 1))
    data = types.SimpleNamespace(images=targets[:, None, None], targets=targets)
    predictor = types.SimpleNamespace(
        predict=lambda images, verbose: images[:, 0, 0]
    )
    # 1 - strength^2 mean(noise^2) / var(targets) = 0.9
    noise = np.random.default_rng(0).normal(size=data.images.shape)
    expected = np.sqrt(0.1 * targets.var() / np.square(noise).mean())
    found = cuts.bearable_noise(predictor, data, steps=30)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_intervals_by_hand():
    assert intervals.of_mean(np.full(5, 0.25)) == [0.25, 0.25, 0.25]
    assert (intervals.drawn(7, 100).sum(1) == 7).all()
    # Rows of one photo are drawn together.
    weights = intervals.drawn_photos(["a", "b", "a"], 100)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert set((weights[:, 0] + weights[:, 1]).tolist()) == {2}
    # The mean of many has a normal interval of 1.96 standard errors.
    values = np.arange(400.0)
    mean, low, high = intervals.of_mean(values, 4000)
    error = 1.96 * values.std() / 20
    assert mean == 199.5
    assert (low, high) == pytest.approx((mean - error, mean + error), abs=1)
    weighted = intervals.of_weighted_mean(values, intervals.drawn(400, 4000))
    assert weighted == pytest.approx([mean, low, high], abs=1)
    assert intervals.ends([np.nan, 1.0, 1.0]) == (1.0, 1.0)
