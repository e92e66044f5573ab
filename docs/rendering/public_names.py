"""The public names of the package, and links to what the reference says."""

import ast
import functools
import re
import typing

from docs.rendering.example import ROOT

PARTS = tuple(
    path.parent.name
    for path in sorted((ROOT / "keras_xmap").glob("*/__init__.py"))
    if path.parent.name not in ("cli", "engine")
)
# Inline code that is no part of a block, a heading or a link.
_ASIDE = re.compile(
    r"^(?:```|~~~).*?^(?:```|~~~)|^#.*?$|^( {4}|>>>|\.\.\.).*?$|"
    r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\][(\[][^)\]]*[)\]]",
    re.MULTILINE | re.DOTALL,
)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_NAME = re.compile(r"(?:keras_xmap\.)?(?:(\w+)\.)?(\w+)(?:\([^()]*\))?")


class Public(typing.NamedTuple):
    """A public name: where users find it, where it is written, what it is."""

    part: str
    name: str
    home: str
    summary: str

    @property
    def path(self):
        return f"keras_xmap.{self.part}.{self.name}"


@functools.cache
def names_of(part):
    """Returns the public names of a part, as its `__all__` lists them."""
    tree = _tree(f"keras_xmap.{part}")
    homes, names = {}, []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            homes.update({alias.name: node.module for alias in node.names})
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            names = ast.literal_eval(node.value)
    found = {}
    for name in names:
        # `ops.resize` the function hides behind `ops/resize.py` the module
        # for a reader of the source: it is documented where it is written.
        home = homes.get(name, f"keras_xmap.{part}")
        found[name] = Public(part, name, f"{home}.{name}", _summary(home, name))
    return found


@functools.cache
def about(part):
    """Returns what the docstring of a part says."""
    return ast.get_docstring(_tree(f"keras_xmap.{part}")) or ""


def public_at(home):
    """Returns the `Public` that is written at a path, or `None`."""
    return _by_home().get(home)


def linked(text, own=None):
    """Returns a text whose public names in code lead to the reference.

    Args:
        text: Markdown.
        own: The `Public` that the text is about, which stays as it is.
    """
    parts, at = [], 0
    for aside in _ASIDE.finditer(text):
        parts += [_links(text[at : aside.start()], own), aside[0]]
        at = aside.end()
    return "".join([*parts, _links(text[at:], own)])


def _links(text, own):
    def link(match):
        public = _named(match[1])
        if public is None or public == own:
            return match[0]
        return f"[{match[0]}][{public.home}]"

    return _CODE.sub(link, text)


def _named(code):
    """Returns the `Public` that a piece of code names, if it is one alone."""
    match = _NAME.fullmatch(code)
    if match is None:
        return None
    part, name = match.groups()
    if part in PARTS:
        return names_of(part).get(name)
    if part is not None:
        return None
    if code.startswith("keras_xmap.") and name in ("compare", "report"):
        return names_of("comparison")[name]
    # A word in small letters may mean anything.
    found = [
        names_of(x)[name]
        for x in PARTS
        if name in names_of(x) and name != name.lower()
    ]
    return found[0] if len(found) == 1 else None


@functools.cache
def _by_home():
    return {x.home: x for part in PARTS for x in names_of(part).values()}


def _tree(module):
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def _summary(module, name):
    """Returns the first line of the docstring of a name of a module."""
    tree = _tree(module)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and name in [
            x.name for x in node.names
        ]:
            return _summary(node.module, name)
        if getattr(node, "name", None) == name:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""
