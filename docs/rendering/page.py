"""An example as a page of the documentation."""

import ast
import re
import textwrap

from docs.rendering.record import digest_of

# What docstrings of examples tell in a word at the start of a line.
_FACT = re.compile(r"^([A-Z][a-z]+): (?=\S)", re.MULTILINE)
_NAMES = {"keras": "Keras", "tensorflow": "TensorFlow", "roi": "ROI"}
_PAGE = re.compile(r"\bdocs/(\w+)\.md\b")


def page_of(example, record, source):
    """Returns the Markdown of an example.

    Args:
        example: The `Example`.
        record: Its `Record`, or `None` where it has never run.
        source: Where its script is, seen from the page.
    """
    parts = [
        f"# {example.title}",
        introduction(example.introduction),
        f"[The script]({source}) · [the same as a notebook]"
        f"({example.name}.ipynb)",
        _about_the_run(example, record),
    ]
    for cell in example.cells:
        if cell.kind == "text":
            parts.append(cell.source)
        if cell.kind == "code":
            parts += [_code(cell), *_left(cell, record, example)]
    return "\n\n".join(filter(None, parts)) + "\n"


def introduction(text):
    """Returns what a docstring says below its first line, as Markdown."""
    blocks = [_fenced(x) for x in re.split(r"\n{2,}", text)]
    return _PAGE.sub(r"[\1](../\1.md)", "\n\n".join(blocks))


def _fenced(block):
    if block.startswith("    "):
        code = textwrap.dedent(block)
        return f"```{_language(code)}\n{code}\n```"
    return _FACT.sub(r"- **\1:** ", block)


def _language(code):
    try:
        ast.parse(code)
    except SyntaxError:
        return "text"
    return "python"


def _about_the_run(example, record):
    if record is None:
        return ""
    on = " and ".join(f"{_NAMES[k]} {v}" for k, v in record.versions.items())
    said = f"Printed and drawn by a run on {on}."
    if record.small:
        said += " It was one at the small size of `--smoke`."
    if record.digest != digest_of(example):
        said += " The example has changed since."
    return f"*{said}*"


def _code(cell):
    fence = f"```python\n{cell.source}\n```"
    if cell.about is None:
        return fence
    title = cell.about.replace('"', "'")
    return f'??? note "{title}"\n\n{textwrap.indent(fence, "    ")}'


def _left(cell, record, example):
    """Yields what a cell has left, where the page has such a cell."""
    if record is None:
        return
    for kind, value in record.of_cell(cell):
        if kind == "text":
            yield f"```text\n{value}\n```"
        else:
            yield f"![What it drew]({example.name}/{value})"


def index_of(examples):
    """Returns the page that lists all examples.

    Args:
        examples: Pairs of an `Example` and its `Record` or `None`.
    """
    parts = [
        "# Examples",
        "Each page is made from a script in `examples`, which takes options on "
        "the command line, and is a notebook, too. What the pages show was "
        "printed and drawn by a run.",
    ]
    for example, record in examples:
        parts.append(f"## [{label_of(example.name)}]({example.name}.md)")
        parts.append(f"*{example.title}*")
        parts.append(_first_words(example.introduction))
        parts += _first_picture(example, record)
    return "\n\n".join(parts) + "\n"


def label_of(name):
    """Returns how the navigation names an example: `1 Explain a classifier`."""
    number, *words = name.split("_")
    said = " ".join(_NAMES.get(word, word) for word in words)
    return f"{int(number)} {said[0].upper()}{said[1:]}"


def _first_words(text):
    blocks = [x for x in re.split(r"\n{2,}", text) if not x.startswith(" ")]
    first = blocks[0] if blocks else ""
    # The code that follows on the page of the example is not here.
    first = re.sub(":$", ".", first)
    return _PAGE.sub(r"[\1](../\1.md)", first)


def _first_picture(example, record):
    if record is None:
        return []
    drawn = [
        value
        for cell in example.cells
        for kind, value in record.of_cell(cell)
        if kind == "picture"
    ]
    return [
        f"[![What it drew]({example.name}/{value})]({example.name}.md)"
        for value in drawn[:1]
    ]
