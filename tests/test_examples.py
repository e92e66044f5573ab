"""Every example runs, and returns at least the number listed here."""

import importlib.util
import pathlib

import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"

# What each example must reach with `--smoke`. They run with the slow tests, the
# longest in the sweep, and but for one as notebooks: see
# `tests/test_notebooks.py`. What they train is tested in `tests/models` and
# `tests/explainers` as well.
FLOORS = {
    "01_explain_a_classifier.py": 0.3,
    "02_pixel_attention_regression.py": 0.9,
    "03_roi_classification.py": 0.4,
    "04_adversarial_erasing.py": 0.6,
    "05_distinct_class_saliency.py": 0.6,
    "06_weakly_supervised_segmentation.py": 0.4,
    "07_photos.py": 18,
    "08_distributed_training.py": 0.5,
    "09_quadtrees.py": 0.15,
}
BY_ITSELF = ("08_distributed_training.py",)
SWEPT = (
    "02_pixel_attention_regression.py",
    "03_roi_classification.py",
    "04_adversarial_erasing.py",
    "05_distinct_class_saliency.py",
    "06_weakly_supervised_segmentation.py",
    "09_quadtrees.py",
)

pytestmark = pytest.mark.tensorflow


def test_every_example_has_a_floor():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(FLOORS)


def module_of(name):
    spec = importlib.util.spec_from_file_location("example", EXAMPLES / name)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_ITSELF)
def test_an_example_reaches_its_floor(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert module_of(name).main(["--smoke"]) >= FLOORS[name]


@pytest.mark.parametrize("name", FLOORS)
def test_an_example_tells_its_options(name, capsys):
    with pytest.raises(SystemExit) as end:
        module_of(name).main(["--help"])
    assert end.value.code == 0
    assert "--smoke" in capsys.readouterr().out
