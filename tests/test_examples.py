"""Every example runs, and returns at least the number listed here."""

import importlib.util
import pathlib

import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"

# What `main(["--smoke"])` of each example must reach.
FLOORS = {"01_explain_a_classifier.py": 0.3}

pytestmark = pytest.mark.tensorflow


def test_every_example_has_a_floor():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(FLOORS)


@pytest.mark.parametrize("name, floor", FLOORS.items())
def test_an_example_reaches_its_floor(name, floor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    spec = importlib.util.spec_from_file_location("example", EXAMPLES / name)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    assert example.main(["--smoke"]) >= floor
