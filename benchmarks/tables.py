"""Makes the tables of the documentation out of the results of benchmarks.

    python -m benchmarks.tables            rewrites them
    python -m benchmarks.tables --check    fails where one is not as it would be

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; the function
that makes it stands in a folder's `TABLES` of `tables.py`, under that name. Of
a table of words, `LAST_CELLS` names the function that makes the last cell of
each row from the others. Tables of figures that no benchmark makes are listed
in `BY_HAND`.
"""

import argparse
import functools
import importlib
import re
import sys

from benchmarks.common.results import ROOT
from benchmarks.common.results import figures_of

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MARKED = re.compile(
    r"<!-- table: (?P<name>[a-z0-9-]+) -->\n(?P<body>.*?)<!-- end -->",
    re.DOTALL,
)
# A figure, as of a measurement: one with a point in it.
FIGURE = re.compile(r"\|\s*[*+-]?\**\d*\.\d")

# Page and first line of the tables that are not made from a file of results.
BY_HAND = {
    (
        "docs/report.md",
        "| place | what it is | a flat map has there | dominates from |",
    ): "shares of an area, computed by the rules beside them, not measured",
    (
        "docs/distribution.md",
        "| | formula | 10^6 images of 320 x 320, 1.5 classes, 3 rounds of 10 "
        "epochs |",
    ): "computed by the formulas in it, not measured",
}


def makers():
    """Returns a dictionary from names to functions from old to new lines."""
    found = {}
    for file in sorted((ROOT / "benchmarks").glob("*/tables.py")):
        folder = file.parent.name
        module = importlib.import_module(f"benchmarks.{folder}.tables")
        figures = figures_of(folder)
        for name, make in module.TABLES.items():
            found[name] = lambda _, make=make, figures=figures: make(figures)
        for name, make in getattr(module, "LAST_CELLS", {}).items():
            found[name] = functools.partial(_with_last_cells, make, figures)
    return found


def _with_last_cells(make, figures, lines):
    """Returns a table whose rows end in what `make(figures, cells)` says."""
    made = list(lines[:2])
    for line in lines[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")][:-1]
        made.append(f"| {' | '.join([*cells, make(figures, cells)])} |")
    return made


def rewritten(text, made):
    """Returns the text of a page with its tables made anew."""

    def replace(match):
        name = match["name"]
        if name not in made:
            raise ValueError(
                f"Expected the name of a table, one of {sorted(made)}. "
                f"Received: {name!r}."
            )
        body = "\n".join(made[name](match["body"].strip().splitlines()))
        return f"<!-- table: {name} -->\n\n{body}\n\n<!-- end -->"

    return MARKED.sub(replace, text)


def unmarked(text):
    """Returns the first lines of tables of figures outside of the markers."""
    rest = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    rest = MARKED.sub("", rest)
    tables = re.findall(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    return [x.splitlines()[0] for x in tables if FIGURE.search(x)]


def complaints():
    """Returns what is wrong with the tables of all pages."""
    made, found, used = makers(), [], set()
    for page in PAGES:
        name, text = page.relative_to(ROOT).as_posix(), page.read_text("utf-8")
        used.update(match["name"] for match in MARKED.finditer(text))
        if rewritten(text, made) != text:
            found.append(f"{name}: run `python -m benchmarks.tables`")
        for header in unmarked(text):
            if (name, header) not in BY_HAND:
                found.append(f"{name}: figures from no benchmark: {header}")
    found += [f"{name} stands on no page" for name in sorted(set(made) - used)]
    return found


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args(argv)
    if not arguments.check:
        made = makers()
        for page in PAGES:
            text = page.read_text("utf-8")
            page.write_text(rewritten(text, made), "utf-8")
    print("Not made from the results of a benchmark:")
    for (page, header), reason in BY_HAND.items():
        print(f"  {page}: {header}: {reason}")
    found = complaints()
    for complaint in found:
        print(complaint)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
