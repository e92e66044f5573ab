"""What the documentation shows is run: docstrings, README.md, docs/."""

import doctest
import importlib
import pathlib
import re
import warnings

import keras
import numpy as np
import pytest

import keras_xmap

ROOT = pathlib.Path(__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "keras_xmap").rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Runs each example in an empty folder, without a display."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")


def docstring_examples(name):
    names = {"keras": keras, "keras_xmap": keras_xmap, "np": np}
    module = importlib.import_module(name.removesuffix(".__init__"))
    found = doctest.DocTestFinder().find(module, extraglobs=names)
    return [test for test in found if test.examples]


@pytest.mark.traces
@pytest.mark.parametrize("name", MODULES)
def test_docstrings_show_what_happens(name):
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in docstring_examples(name):
        keras.utils.set_random_seed(0)
        # Untrained weights may well say nothing for a class.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*zero everywhere")
            runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_every_folder_has_docstrings_that_are_run():
    folders = {name.split(".")[1] for name in MODULES}
    without_examples = {"cli", "distribution", "engine", "erasing"}
    assert set(keras_xmap.__all__) - folders <= {
        "__version__",
        *without_examples,
    }


def test_a_wrong_docstring_is_found():
    parser = doctest.DocTestParser()
    test = parser.get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    runner = doctest.DocTestRunner()
    assert runner.run(test, out=lambda text: None).failed == 1


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_run_from_top_to_bottom(page):
    text = page.read_text("utf-8")
    variables = {"__name__": page.stem}
    for block in BLOCK.finditer(text):
        keras.utils.set_random_seed(0)
        # Empty lines before the code make a traceback name the page's line.
        lines_above = text.count("\n", 0, block.start(1))
        code = compile("\n" * lines_above + block[1], str(page), "exec")
        exec(code, variables)
