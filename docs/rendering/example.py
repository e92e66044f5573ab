"""Reads an example as cells of text and code.

A reader wants the data, the model and what is done with them. Left out are the
options of the command line, which stand at their defaults, and all that nothing
else needs then; folded away is what only measures, draws or files:

- `main` is its body, a cell for each of its paragraphs. A comment that begins
  one is its text.
- An `if` that options decide is the branch that is taken without words on the
  command line. Pictures are wanted: `--picture FILE` or `--folder DIRECTORY`.
- A function is folded if it is not called `make_...`, trains nothing (`fit`),
  and uses nothing of Keras, TensorFlow and keras_xmap but metrics, operations
  and pictures.
"""

import ast
import hashlib
import pathlib
import re
import typing

from docs.rendering.main_body import body_of_main
from docs.rendering.options import PICTURES
from docs.rendering.options import is_parser
from docs.rendering.source import Source
from docs.rendering.source import names_in

ROOT = pathlib.Path(__file__).parents[2]
EVIDENCE = ("keras", "tensorflow", "keras_xmap")
NO_EVIDENCE = (
    "keras_xmap.metrics",
    "keras_xmap.ops",
    "keras_xmap.visualization",
)
SHOWS = {
    "picture": "Image.open({})",
    "folder": "for file in sorted(pathlib.Path({}).iterdir()):\n"
    "    display(Image.open(file))",
}
NEEDS = {
    "Image": "from PIL import Image",
    "pathlib": "import pathlib",
}


class Cell(typing.NamedTuple):
    """Text, code, which may be folded under what it is about, or the result."""

    kind: str
    source: str
    about: str | None = None

    @property
    def digest(self):
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]


class Example(typing.NamedTuple):
    """A page: its name, its question, and what follows."""

    name: str
    title: str
    introduction: str
    cells: list

    @property
    def code(self):
        return [cell for cell in self.cells if cell.kind != "text"]


def paths():
    """Returns the files of all examples, in order."""
    return sorted((ROOT / "examples").glob("[0-9]*.py"))


def read_example(path, small=False):
    """Returns the `Example` of a script, at the size of `--smoke` if small."""
    try:
        return example_of(path.read_text("utf-8"), path.stem, small)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def example_of(text, name, small=False):
    """Returns the `Example` of the text of a script."""
    source = Source(text)
    settings, body, returned = body_of_main(source, small)
    shown = "\n".join([*settings, _with_pictures(body)])
    kept = _needed(source, f"{shown}\n{returned}")
    cells = [Cell("text", "## Data and model")]
    cells += _cells_before_main(source, kept, shown)
    cells.append(Cell("text", "## From start to end"))
    for paragraph in _paragraphs(shown):
        cells += _cells_of(paragraph)
    if returned:
        cells.append(Cell("result", returned))
    title, _, introduction = ast.get_docstring(source.tree).partition("\n")
    return Example(name, title, introduction.strip("\n"), cells)


def _with_pictures(body):
    """Returns the body of `main`, where pictures are shown once written."""
    statements = ast.parse(body).body
    lines = body.split("\n")
    shown = {}
    for statement in statements:
        for option in PICTURES:
            if option.upper() in names_in(statement):
                shown[option] = statement
    for option, statement in sorted(
        shown.items(), key=lambda x: -x[1].end_lineno
    ):
        rest = lines[statement.end_lineno :]
        apart = [""] if rest and rest[0] else []
        show = SHOWS[option].format(option.upper())
        lines[statement.end_lineno :] = [*show.split("\n"), *apart, *rest]
    return "\n".join(lines)


def _needed(source, text):
    """Returns the statements of a module that a text needs, with all theirs."""
    candidates = [
        x
        for x in source.tree.body
        if not (is_parser(x) or _is_main(x) or isinstance(x, ast.Expr))
    ]
    wanted, kept = names_in(ast.parse(text)), []
    found = True
    while found:
        found = [
            x
            for x in candidates
            if x not in kept and (_bound(x) is None or wanted & _bound(x))
        ]
        kept += found
        for statement in found:
            wanted |= names_in(statement)
    return sorted(kept, key=lambda x: x.lineno)


def _is_main(node):
    is_called = isinstance(node, ast.If) and "__name__" in names_in(node)
    return is_called or getattr(node, "name", None) == "main"


def _bound(node):
    """Returns the names that a statement binds; `None` where it does more."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(x.asname or x.name).partition(".")[0] for x in node.names}
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = getattr(node, "targets", None) or [node.target]
        return {name for x in targets for name in names_in(x)}
    return None


def _cells_before_main(source, kept, shown):
    """Yields the imports, then constants, functions and classes in order."""
    modules = _modules(kept)
    imports = [
        source.edited(*source.span(x), [])
        for x in kept
        if isinstance(x, ast.Import | ast.ImportFrom)
    ]
    for name, line in NEEDS.items():
        if re.search(rf"\b{name}\.", shown) and line not in imports:
            imports.append(line)
    if imports:
        yield Cell("code", "\n".join(_sorted_imports(imports)))
    constants = []
    for node in kept:
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        text = source.edited(*source.with_comment(node), [])
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            constants.append(text)
            continue
        if constants:
            yield Cell("code", "\n".join(constants))
            constants = []
        yield Cell("code", text, _about(node, modules))
    if constants:
        yield Cell("code", "\n".join(constants))


def _sorted_imports(lines):
    return sorted(lines, key=lambda x: x.startswith("from "))


def _modules(statements):
    """Returns what each imported name stands for, in full."""
    found = {}
    for node in statements:
        if isinstance(node, ast.Import):
            for x in node.names:
                name = x.asname or x.name.partition(".")[0]
                found[name] = x.name if x.asname else name
        if isinstance(node, ast.ImportFrom):
            for x in node.names:
                found[x.asname or x.name] = f"{node.module}.{x.name}"
    return found


def _about(node, modules):
    """Returns what a folded function is about, or `None` for one shown."""
    if node.name.startswith("make_") or any(
        getattr(x, "attr", None) == "fit" or _is_evidence(_dotted(x, modules))
        for x in ast.walk(node)
    ):
        return None
    said = (ast.get_docstring(node) or "").partition("\n")[0]
    return f"{node.name}: {said}" if said else node.name


def _dotted(node, modules):
    """Returns what an attribute or a name of an imported module stands for."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id in modules:
        return ".".join([modules[node.id], *reversed(parts)])
    return ""


def _is_evidence(dotted):
    # The beginning of a longer name says nothing yet.
    if dotted in EVIDENCE or not dotted.startswith(
        tuple(f"{x}." for x in EVIDENCE)
    ):
        return False
    return not f"{dotted}.".startswith(tuple(f"{x}." for x in NO_EVIDENCE))


def _paragraphs(text):
    """Returns the statements of a text as it sets them apart by empty lines."""
    if not text:
        return []
    lines = text.split("\n")
    starts = [0]
    for before, after in zip(
        ast.parse(text).body, ast.parse(text).body[1:], strict=False
    ):
        between = range(before.end_lineno, after.lineno - 1)
        empty = [number for number in between if not lines[number]]
        if empty:
            starts.append(empty[0])
    ends = [*starts[1:], len(lines)]
    return [
        "\n".join(lines[start:end]).strip("\n")
        for start, end in zip(starts, ends, strict=True)
    ]


def _cells_of(paragraph):
    """Returns the cells of a paragraph: its first comment, and its code."""
    lines = paragraph.split("\n")
    first = next(
        (i for i, line in enumerate(lines) if not line.startswith("#")),
        len(lines),
    )
    said = " ".join(line.lstrip("# ") for line in lines[:first])
    code = "\n".join(lines[first:]).strip("\n")
    return [
        *([Cell("text", said)] if said else []),
        *([Cell("code", code)] if code else []),
    ]
