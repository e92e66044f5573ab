"""An error tells the user what was received, wherever it is raised."""

import ast

from imports_in_use import FUNCTIONS
from imports_in_use import MODULES
from imports_in_use import dotted

AT_LEAST = 0.95


def raises(source):
    """Returns the calls that `raise` makes an error by, each with its scope.

    A scope is the function around it, or the module.
    """
    tree = ast.parse(source)
    scopes = [tree, *(n for n in ast.walk(tree) if isinstance(n, FUNCTIONS))]
    innermost = {node: scope for scope in scopes for node in ast.walk(scope)}
    return [
        (node.exc, innermost[node])
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    ]


def functions_by_name(sources):
    found = {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, FUNCTIONS[:2]):
                found.setdefault(node.name, []).append(node)
    return found


def assigned(scope, name):
    """Returns the values that a scope gives to a variable."""
    return [
        node.value
        for node in ast.walk(scope)
        if isinstance(node, (ast.Assign, ast.AugAssign))
        for target in getattr(node, "targets", [getattr(node, "target", None)])
        if dotted(target) == name
    ]


def texts(node, scope, functions, depth=3):
    """Yields the texts that an error is built from.

    Followed are variables of the scope and functions of the package.
    """
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value
        if not depth:
            continue
        if isinstance(inner, ast.Name):
            for value in assigned(scope, inner.id):
                yield from texts(value, scope, functions, depth - 1)
        if isinstance(inner, ast.Call):
            name = dotted(inner.func).rpartition(".")[2]
            for function in functions.get(name, []):
                yield from texts(function, function, functions, depth - 1)


def silent_raises(sources):
    """Returns all raises, and the places of those that show nothing."""
    functions = functions_by_name(sources.values())
    places, silent = [], []
    for path, source in sources.items():
        for call, scope in raises(source):
            places.append(f"{path}:{call.lineno}")
            found = texts(call, scope, functions)
            if not any("received" in text.lower() for text in found):
                silent.append(places[-1])
    return places, silent


def test_errors_show_what_was_received():
    places, silent = silent_raises(MODULES)
    share = 1 - len(silent) / len(places)
    assert share >= AT_LEAST, f"{share:.1%} of {len(places)}; not in:\n" + (
        "\n".join(f"keras_xmap/{place}" for place in silent)
    )


def test_what_is_built_elsewhere_is_followed():
    source = """
def told(name, value):
    return f"{name} is wrong. Received: {value!r}."

def wrong_type(value):
    return TypeError(told("a", value))

def f(x):
    raise ValueError("Expected 1. Received: " + x)

def g(x):
    message = f"Expected 1. Received: {x}"
    raise ValueError(message)

def h(x):
    raise wrong_type(x)

def silent(x):
    try:
        raise ValueError("Expected 1.")
    except ValueError as error:
        raise error
"""
    places, silent = silent_raises({"a.py": source})
    assert len(places) == 4
    assert silent == ["a.py:20"]
