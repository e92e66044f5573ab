"""Every command line that the pages show is one that the command takes."""

import pathlib
import re
import shlex

import pytest

from keras_xmap_command._commands import make_parser

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A line, and those that go on with it; behind `python -m`, too.
LINE = re.compile(r"^ *(?:python -m )?keras[-_]xmap ((?:.*\\\n)*.*)$", re.M)


LINES = [
    (page.name, words.replace("\\\n", " "))
    for page in PAGES
    for words in LINE.findall(page.read_text("utf-8"))
]


@pytest.mark.parametrize("page, words", LINES)
def test_it_is_taken(page, words, capsys):
    try:
        make_parser().parse_args(shlex.split(words, comments=True))
    except SystemExit:
        pytest.fail(f"{page}: {words}\n{capsys.readouterr().err}")


def test_the_pages_show_every_command():
    shown = {words.split()[0] for _, words in LINES}
    (actions,) = [x for x in make_parser()._actions if x.choices]
    assert set(actions.choices) <= shown
