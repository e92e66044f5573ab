"""The tables of results, from the pages where each of them is explained."""

import ast
import re

from docs.rendering.example import ROOT

_TABLE = re.compile(
    r"<!-- table: (?P<name>[a-z0-9-]+) -->\n(?P<body>.*?)<!-- end -->",
    re.DOTALL,
)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_ASKED = re.compile(r"^::: results: ([\w ]+)$", re.MULTILINE)
# Tables that choose among others, or repeat some of their rows.
_NO_RESULTS = ("which-explainer", "costs-short")


def with_results(markdown):
    """Turns `::: results: PAGE ...` into the tables of these pages."""

    def tables(match):
        return "\n\n".join(
            part for page in match[1].split() for part in tables_of(page)
        )

    return _ASKED.sub(tables, markdown)


def tables_of(page):
    """Yields a heading, what a table is of, and the table itself."""
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    commands = _commands()
    heading = None
    for match in _TABLE.finditer(text):
        if match["name"] in _NO_RESULTS:
            continue
        above = text[: match.start()].rstrip("\n")
        title = _HEADING.findall(_CODE.sub("", above))[-1]
        if title != heading:
            yield f"### [{title}]({page}.md#{_anchor(title)})"
            heading = title
        said = above.rpartition("\n\n")[2]
        if not said.startswith(("<!--", "- ", "#", "    ", "```")):
            yield said
        yield match["body"].strip("\n")
        if match["name"] in commands:
            yield f"*`python -m benchmarks.{commands[match['name']]}`*"


def _anchor(title):
    """Returns the anchor that Markdown gives a heading."""
    words = re.sub(r"[^\w\s-]", "", title).strip().lower()
    return re.sub(r"[-\s]+", "-", words)


def _commands():
    """Returns which benchmark makes the figures of each table."""
    found = {}
    for file in (ROOT / "benchmarks").glob("*/tables.py"):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(
                node.value, ast.Dict
            ):
                names = [getattr(x, "value", None) for x in node.value.keys]
                found.update(dict.fromkeys(names, file.parent.name))
    return found
