"""Examples as pages and notebooks, and links of the documentation."""

import ast
import json
import re

import pytest

from docs.rendering import public_names
from docs.rendering import results
from docs.rendering.example import ROOT
from docs.rendering.example import example_of
from docs.rendering.example import paths
from docs.rendering.example import read_example
from docs.rendering.page import index_of
from docs.rendering.page import page_of
from docs.rendering.record import FOLDER
from docs.rendering.record import Record
from docs.rendering.record import digest_of
from docs.rendering.record import read_record

SCRIPT = '''"""Is it so?

You ask.

    x = 1

Data: none.
Time: none.
"""

import argparse
import os
import sys

import keras
from keras_xmap import metrics

SIZE = 8
UNUSED = 9


def make_data():
    """Makes them."""
    return [SIZE]


def trained(model):
    model.fit(make_data())


def share(x):
    """The share of it."""
    return metrics.PointingGame(), os.getcwd()


def launch():
    sys.exit()


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenes", type=int, default=600)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--picture", help="of it")
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args(argv)
    count = 1
    # Quick.
    if arguments.smoke:
        arguments.scenes, count = 6, 2

    # The run. It has
    # two lines.
    model = keras.Model()
    trained(model, arguments.scenes, 0 if arguments.smoke else 2)

    if arguments.workers is not None and count:
        launch()
    if not arguments.smoke:
        # Compared.
        print(share(model), arguments.size)
    for i in range(3):
        if arguments.picture:
            draw(arguments.picture)  # é
    return float(count)


if __name__ == "__main__":
    main()
'''


def cells(small=False, script=SCRIPT):
    example = example_of(script, "01_it", small)
    return [(cell.kind, cell.source) for cell in example.cells]


def test_a_page_is_main_without_its_options():
    start = cells().index(("text", "## From start to end"))
    assert cells()[start + 1 :] == [
        ("code", 'SCENES = 600\nPICTURE = "picture.png"\ncount = 1'),
        ("text", "The run. It has two lines."),
        ("code", "model = keras.Model()\ntrained(model, SCENES, 2)"),
        ("text", "Compared."),
        (
            "code",
            "print(share(model), SIZE)\nfor i in range(3):\n"
            "    draw(PICTURE)  # é\nImage.open(PICTURE)",
        ),
        ("result", "float(count)"),
    ]


def test_a_small_one_takes_the_size_of_smoke():
    found = dict.fromkeys(source for _, source in cells(small=True))
    assert "trained(model, SCENES, 0)" in str(found)
    assert "SCENES, count = 6, 2" in str(found)
    assert "Compared" not in str(found)


def test_what_nothing_needs_is_left_out():
    code = "\n".join(source for kind, source in cells() if kind == "code")
    for name in ("argparse", "UNUSED", "launch", "import sys", "__main__"):
        assert name not in code
    assert "import os" in code
    assert "from PIL import Image" in code


def test_what_only_measures_is_folded_away():
    example = example_of(SCRIPT, "01_it")
    assert [x.about for x in example.code if x.about] == [
        "share: The share of it."
    ]


@pytest.mark.parametrize(
    "old, new, message",
    [
        (
            "    count = 1\n",
            "    if count:\n        return 2\n    count = 1\n",
            "returns at its end.*Received: a return in line",
        ),
        (
            "    count = 1\n",
            "    count = launch(arguments)\n",
            "not all of them. Received: a use of `arguments`",
        ),
        (
            'add_argument("--scenes"',
            'add_argument("scenes"',
            "takes options alone.*Received: add_argument",
        ),
        (
            "    if arguments.smoke:",
            "    if count:\n        pass\n    elif arguments.smoke:",
            "write an `if` of its own. Received: `elif arguments.smoke",
        ),
        (
            "def main(argv=None)",
            "def start(argv=None)",
            "has a function `main",
        ),
    ],
)
def test_what_no_page_can_be_made_of_is_refused(old, new, message):
    with pytest.raises(ValueError, match=message):
        example_of(SCRIPT.replace(old, new), "01_it")


def test_nothing_that_blocks_return_in_the_end_is_lost():
    script = SCRIPT.replace(
        "    return float(count)",
        "    with model:\n        return float(count)",
    )
    assert ("result", "result") in cells(script=script)
    assert "with model:\n    result = float(count)" in str(
        cells(script=script)[-2][1]
    )


def test_strings_stay_as_they_are_but_for_options_in_them():
    lines = [
        '    text = """',
        "one",
        "  two",
        '"""',
        '    print(f"é {arguments.scenes:3d}", f"a" f"{arguments.scenes}")',
        "    if not arguments.smoke:",
        '        text += """',
        "    x",
        '"""',
        "    count = 1",
        "",
    ]
    script = SCRIPT.replace("    count = 1\n", "\n".join(lines), 1)
    (code,) = [x for _, x in cells(script=script) if "text" in x]
    assert code.split("\n")[2:] == [
        'text = """',
        "one",
        "  two",
        '"""',
        'print(f"é {SCENES:3d}", f"a" f"{SCENES}")',
        'text += """',
        "    x",
        '"""',
        "count = 1",
    ]


def test_the_smallest_example_is_a_page_too():
    script = '"""Is it?"""\n\n\ndef main(argv=None):\n    return 1\n'
    assert cells(script=script)[-1] == ("result", "1")
    assert "code" not in dict(cells(script=script))


def test_options_may_be_read_in_a_function_of_their_own():
    lines = SCRIPT.split("\n")
    start = lines.index("def main(argv=None):")
    end = lines.index("    count = 1")
    moved = [
        "def arguments_of(argv):",
        *lines[start + 1 : end],
        "    if arguments.smoke:",
        "        arguments.scenes = 3",
        "    return arguments",
        "",
        "",
        "def main(argv=None):",
        "    arguments = arguments_of(argv)",
    ]
    script = "\n".join([*lines[:start], *moved, *lines[end:]])
    assert cells(script=script) == cells()
    assert "SCENES = 3" in str(cells(True, script))


def test_a_page_shows_what_its_cells_left_and_says_when_it_is_old():
    example = example_of(SCRIPT, "01_it")
    digest = digest_of(example)
    left = {example.code[-2].digest: [["text", "0.5"], ["picture", "a.png"]]}
    record = Record("01_it", digest, False, {"keras": "3.1"}, left)
    page = page_of(example, record, "01_it.py")
    assert page.startswith("# Is it so?\n\nYou ask.\n\n```python\nx = 1\n```")
    assert "- **Data:** none.\n- **Time:** none." in page
    assert "```text\n0.5\n```\n\n![What it drew](01_it/a.png)" in page
    assert "by a run on Keras 3.1." in page
    assert '??? note "share: The share of it."\n\n    ```python' in page
    assert "has changed since" not in page
    assert "has changed since" in page_of(
        example, record._replace(digest="old"), "01_it.py"
    )
    assert "by a run" not in page_of(example, None, "01_it.py")


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)
@pytest.mark.parametrize("small", [False, True])
def test_every_example_is_a_page(path, small):
    example = read_example(path, small)
    code = "\n".join(cell.source for cell in example.code)
    names = {
        getattr(x, "id", getattr(x, "name", None))
        for x in ast.walk(ast.parse(code))
    }
    assert not names & {"argparse", "arguments", "main", "parser"}
    assert "\nif __name__" not in code
    assert example.cells[-1].kind == "result"
    record = read_record(path.stem)
    page = page_of(example, record, path.name)
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page):
        assert (FOLDER / picture).is_file()


def test_examples_are_numbered_without_holes():
    numbers = [int(path.name[:2]) for path in paths()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_runs_are_of_examples_and_their_pictures_are_small():
    names = {path.stem for path in paths()}
    for folder in FOLDER.iterdir():
        assert folder.name in names
        kept = json.loads((folder / "run.json").read_text("utf-8"))
        shown = {
            x for c in kept["cells"].values() for k, x in c if k == "picture"
        }
        files = {x for x in folder.iterdir() if x.name != "run.json"}
        assert {x.name for x in files} == shown
        assert sum(x.stat().st_size for x in files) < 600_000


def test_public_names_lead_to_the_reference():
    linked = public_names.linked
    grad_cam = "keras_xmap.explainers.grad_cam.GradCAM"
    resize = "keras_xmap.ops.resize.resize"
    assert linked("`GradCAM`") == f"[`GradCAM`][{grad_cam}]"
    code = "`explainers.GradCAM(model)`"
    assert linked(f"A {code}.") == f"A [{code}][{grad_cam}]."
    assert linked("`keras_xmap.ops.resize`").endswith(f"[{resize}]")
    own = public_names.public_at(grad_cam)
    assert linked("`GradCAM`", own) == "`GradCAM`"
    assert own.path == "keras_xmap.explainers.GradCAM"
    assert "score grows with" in own.summary


@pytest.mark.parametrize(
    "text",
    [
        "`resize`",
        "`image`",
        "`keras.layers.GradCAM`",
        "## `GradCAM`",
        "[`GradCAM`](a.md)",
        "[the `GradCAM`][x]",
        "```python\n`GradCAM`\n```",
        "    `GradCAM`",
        "``GradCAM``",
        "`GradCAM and more`",
    ],
)
def test_all_else_stays_as_it_is(text):
    assert public_names.linked(text) == text


def test_the_index_names_examples_by_their_files():
    example = example_of(SCRIPT, "03_roi_classification")
    page = index_of([(example, None)])
    assert "## [3 ROI classification](03_roi_classification.md)" in page
    assert "*Is it so?*\n\nYou ask." in page


def test_results_stand_in_one_page():
    text = results.with_results("# All\n\n::: results: localization costs\n")
    assert text.startswith("# All\n\n### [The layer matters more")
    assert "](localization.md#the-layer-matters-more-than-the-method)" in text
    assert "| Grad-CAM, last layer |" in text
    assert "*`python -m benchmarks.localization`*" in text
    assert "*`python -m benchmarks.costs`*" in text
    assert "<!--" not in text


def test_tables_stand_under_a_heading_of_their_page_and_no_comment_of_code():
    text = results.with_results("::: results: quadtree\n")
    titles = re.findall(r"^### \[(.+)\]\(quadtree\.md#", text, re.MULTILINE)
    assert titles == [
        "Trees of images and maps",
        "Occlusion with fewer passes",
        "Label maps that are looked at closely at their edges",
        "Maps in few bytes",
        "Networks on leaves",
    ]


def test_the_reference_names_each_once():
    group = re.compile(r"^::: keras_xmap\.(\w+): (.*(?:\n    .*)*)", re.M)
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        found = group.findall(page.read_text("utf-8"))
        names = [(part, name) for part, x in found for name in x.split()]
        assert len(names) == len(set(names)), page.name
        for part, name in names:
            assert name in public_names.names_of(part), page.name
