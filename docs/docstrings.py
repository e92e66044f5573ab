"""Tells mkdocstrings where the examples of a docstring are.

Keras heads them "Example:" and does not indent them; it looks for an indented
section "Examples:".
"""

import textwrap

import griffe


class Examples(griffe.Extension):
    def on_object(self, *, obj, **kwargs):
        if not obj.docstring:
            return
        text, heading, examples = obj.docstring.value.partition("\nExample:\n")
        if heading:
            examples = textwrap.indent(examples.strip("\n"), "    ")
            obj.docstring.value = f"{text}\nExamples:\n{examples}"
