"""Tells mkdocstrings that Keras' "Example:" holds code, as "Examples:" does."""

import re

import griffe


class Examples(griffe.Extension):
    def on_instance(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = re.sub(
                r"^Example:$", "Examples:", obj.docstring.value, flags=re.M
            )
