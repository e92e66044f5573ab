"""Reads from the source of the package who imports what.

A part is a folder of `keras_xmap`, or a module that stands beside them.
"""

import ast
import dataclasses
import functools
import pathlib
import sys

PACKAGE = pathlib.Path(__file__).parents[1] / "keras_xmap"
# By path from the package on.
MODULES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_ALIASES = {"tf": "tensorflow", "np": "numpy"}
# A chain of attributes that begins so is a use, as an import is.
_OF_INTEREST = ("keras_xmap.", "keras.", "tensorflow.")


@dataclasses.dataclass(frozen=True)
class Use:
    """What one line imports or reaches, in full, as `keras_xmap.ops.resize`.

    `is_import` tells an import from a chain of attributes.
    """

    name: str
    line: int
    in_function: bool
    is_import: bool

    @property
    def library(self):
        return self.name.partition(".")[0]

    @property
    def part(self):
        """The part of the package it belongs to, or `None`."""
        pieces = [*self.name.split("."), ""]
        is_part = pieces[0] == "keras_xmap" and pieces[1] in PARTS
        return pieces[1] if is_part else None


def part_of(path):
    return path.partition("/")[0].removesuffix(".py")


PARTS = {part_of(path) for path in MODULES}


def dotted(node, aliases=_ALIASES):
    """Returns `a.b.c` for a chain of attributes on a name, else `""`."""
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value, aliases)
        return f"{owner}.{node.attr}" if owner else ""
    return aliases.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def _imported(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        origin = "." * node.level + (node.module or "")
        return [f"{origin}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args:
        callee = dotted(node.func).rpartition(".")[2]
        name = getattr(node.args[0], "value", "")
        if callee in ("import_module", "__import__") and name:
            return [name] if isinstance(name, str) else []
    return []


def _for_checkers(tree):
    """Returns the nodes that only a type checker sees."""
    blocks = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and dotted(node.test).rpartition(".")[2] == "TYPE_CHECKING"
    ]
    return {
        inner
        for block in blocks
        for statement in block.body
        for inner in ast.walk(statement)
    }


@functools.cache
def uses(source):
    """Returns a `Use` for all that a module imports or reaches."""
    tree = ast.parse(source)
    unseen = _for_checkers(tree)
    nodes = [node for node in ast.walk(tree) if node not in unseen]
    # `from keras_xmap import engine` makes `engine.run` one of ours.
    aliases = _ALIASES | {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "keras_xmap"
        for alias in node.names
    }
    functions = [node for node in nodes if isinstance(node, FUNCTIONS)]
    inside = {inner for node in functions for inner in ast.walk(node)}
    found = []
    for node in nodes:
        names, is_import = _imported(node), True
        if isinstance(node, ast.Attribute):
            name, is_import = dotted(node, aliases), False
            names = [name] if name.startswith(_OF_INTEREST) else []
        found += [
            Use(name, node.lineno, node in inside, is_import) for name in names
        ]
    return tuple(found)


def public_names(folder):
    """Returns the `__all__` of a folder of the package."""
    names = {}
    for node in ast.parse(MODULES[f"{folder}/__init__.py"]).body:
        if isinstance(node, ast.Assign):
            code = compile(ast.Expression(node.value), folder, "eval")
            names[node.targets[0].id] = eval(code, {}, dict(names))
    return names.get("__all__", [])


def names_at_the_door(folder):
    """Returns what the face of a folder lets other folders take.

    What stands in its `__all__` is for users; what it imports beside that is
    for other folders alone.
    """
    imported = {
        alias.asname or alias.name
        for node in ast.parse(MODULES[f"{folder}/__init__.py"]).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return {*public_names(folder), *imported, "__all__"}


def defined_names(source):
    """Returns what a module defines at its top level."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            names.update(dotted(target) for target in node.targets)
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names.add(node.name)
    return names


def edges():
    """Returns the parts that each part imports, lowest part first.

    The private modules beside the folders are open to all, so an edge to one
    is listed only where it comes from another of them.
    """
    found = {part: set() for part in sorted(PARTS)}
    for path, source in MODULES.items():
        part = part_of(path)
        for use in uses(source):
            is_open = (use.part or "_").startswith("_")
            if use.part != part and (not is_open or is_open_module(part)):
                found[part].add(use.part)
    for others in found.values():
        others.discard(None)
    return from_low_to_high(found)


def is_open_module(part):
    return part.startswith("_") and not part.startswith("__")


def from_low_to_high(found):
    """Returns the rows so that each comes after those it names."""
    rows, waiting = {}, dict(found)
    while waiting:
        ready = [part for part in waiting if waiting[part] <= set(rows)]
        # What is left goes in a circle, which its own test complains about.
        for part in ready or list(waiting):
            rows[part] = sorted(waiting.pop(part))
    return rows


def libraries():
    """Returns the parts that import each library, Python's own left out."""
    found = {}
    for path, source in MODULES.items():
        for use in uses(source):
            own = {*sys.stdlib_module_names, "keras_xmap", ""}
            if use.is_import and use.library not in own:
                found.setdefault(use.library, set()).add(part_of(path))
    return {name: sorted(parts) for name, parts in sorted(found.items())}
