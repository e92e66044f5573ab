"""What mkdocstrings reads of a docstring, and what is added to it.

Keras heads examples "Example:" and does not indent them; mkdocstrings looks for
an indented section "Examples:". Added are where users find the name, where its
source is, links to other names, and a picture where there is one.
"""

import pathlib
import sys
import textwrap

import griffe

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.rendering.public_names import linked  # noqa: E402
from docs.rendering.public_names import public_at  # noqa: E402

REPOSITORY = "https://github.com/keras-xmap/keras-xmap"
PICTURES = ROOT / "docs" / "images" / "methods"


class Examples(griffe.Extension):
    def on_object(self, *, obj, **kwargs):
        if not obj.docstring:
            return
        public = public_at(obj.path)
        text, heading, examples = obj.docstring.value.partition("\nExample:\n")
        text = linked(text, public)
        if heading:
            examples = textwrap.indent(examples.strip("\n"), "    ")
            text = f"{text}\nExamples:\n{examples}"
        if public is not None:
            text = f"{where(public, obj)}\n\n{text}"
        obj.docstring.value = text


def where(public, obj):
    """Returns how to import a name, its source and its picture."""
    file = obj.filepath.relative_to(ROOT).as_posix()
    source = f"{REPOSITORY}/blob/main/{file}#L{obj.lineno}"
    said = f"`{public.path}` · [source]({source})"
    picture = PICTURES / f"{obj.filepath.stem}.jpg"
    if public.part == "explainers" and picture.is_file():
        said += (
            f"\n\n![Maps of {public.name} on three photos]"
            f"(../images/methods/{picture.name})"
        )
    return said
