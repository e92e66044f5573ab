"""An example as a notebook."""

import os
import re

import nbformat

from docs.rendering.example import ROOT
from docs.rendering.example import read_example

_FOLDED = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}


def notebook_of(example, record=None):
    """Returns an example as a notebook, with what a run of it has left.

    Args:
        example: The `Example`.
        record: Its `Record`, or `None` for a notebook that has not run.
    """
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell(f"# {example.title}\n\n{example.introduction}")
    ]
    number = 0
    for cell in example.cells:
        if cell.kind == "text":
            cells.append(v4.new_markdown_cell(cell.source))
            continue
        made = v4.new_code_cell(cell.source)
        made.metadata.update(_FOLDED if cell.about else {})
        if record is not None:
            number += 1
            made.execution_count = number
            made.outputs = record.outputs_of(cell)
        cells.append(made)
    for position, cell in enumerate(cells):
        cell["id"] = f"cell-{position}"  # the same whenever it is made
    notebook = v4.new_notebook(cells=cells)
    notebook.metadata.kernelspec = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    nbformat.validate(notebook)
    return notebook


def executed(path, folder, small=False, settings=None):
    """Returns an example and its notebook, run in a folder.

    Args:
        path: File of the example.
        folder: Folder that it may write to.
        small: Whether it runs at the size of `--smoke`.
        settings: Dictionary from settings, such as `"MODEL"`, to what they
            are in place of their defaults.
    """
    from nbclient import NotebookClient

    example = read_example(path, small)
    notebook = notebook_of(example)
    for name, value in (settings or {}).items():
        _set(notebook, name, value)
    NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    ).execute(env=environment())
    return example, notebook


def _set(notebook, name, value):
    """Puts a setting of a notebook anew."""
    line = re.compile(rf"^{name} = .*$", re.MULTILINE)
    cells = [
        x
        for x in notebook.cells
        if x.cell_type == "code" and line.search(x.source)
    ]
    if len(cells) != 1:
        raise ValueError(
            "What is set has to be a setting of the example, in capitals. "
            f"Received: {name}."
        )
    cells[0].source = line.sub(lambda _: f"{name} = {value!r}", cells[0].source)


def environment():
    """Returns the environment of a kernel: quiet, with this package."""
    seen = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, seen)),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
