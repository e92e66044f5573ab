"""Who may import whom, read from the source of every module."""

import ast
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MODULES = sorted((ROOT / "keras_xmap").rglob("*.py"))

# Each part of the package, lowest first, and the parts that it may import
# beside itself, `_validation` and `_warnings`, which are open to all.
MAY_IMPORT = {
    "_validation": "",
    "_warnings": "",
    "_boxes": "",
    "ops": "",
    "losses": "ops",
    "layers": "ops losses",
    "models": "ops layers losses",
    "visualization": "ops",
    "engine": "ops",
    "datasets": "ops engine",
    "targets": "ops engine",
    "explainers": "ops engine targets",
    "metrics": "_boxes ops engine targets explainers",
    "segmentation": "_boxes ops layers losses models visualization engine "
    "targets explainers",
    "callbacks": "ops layers losses models visualization engine targets "
    "explainers metrics segmentation",
    "cli": "ops layers losses models visualization engine datasets targets "
    "explainers metrics segmentation callbacks",
    "__main__": "cli",
    "__init__": "",
}
# Libraries, and the parts that may import them.
EVERY_PART = " ".join(MAY_IMPORT)
LIBRARIES = {
    "keras": EVERY_PART,
    "tensorflow": "engine",
    "numpy": "_boxes visualization engine datasets targets metrics "
    "segmentation callbacks cli",
    "scipy": "segmentation",
    "skimage": "_boxes visualization datasets explainers metrics segmentation "
    "cli",
    "PIL": "visualization datasets cli",
    "matplotlib": "visualization cli",
    "cv2": "segmentation",
    "sklearn": "datasets segmentation",
}
# Extras: a user may lack them, so a function imports them when it is called.
INSIDE_FUNCTIONS = {"matplotlib", "cv2", "sklearn"}
# Not public, or another Keras than the one that built the model.
FORBIDDEN = ("keras.src", "tensorflow.keras", "tf_keras", "keras._tf_keras")
ALIASES = {"tf": "tensorflow", "np": "numpy"}


def dotted(node):
    """Returns `a.b.c` for a chain of attributes on a name, else `""`."""
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ALIASES.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def names_used(node):
    """Returns the dotted names that one syntax node imports or reaches."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        origin = "." * node.level + (node.module or "")
        return [f"{origin}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args:
        callee = dotted(node.func).rpartition(".")[2]
        if callee in ("import_module", "__import__"):
            return [getattr(node.args[0], "value", "")]
    name = dotted(node)
    is_part = name.startswith("keras_xmap.") and name.count(".") == 1
    return [name] if is_part or name in FORBIDDEN else []


def complaint(part, name, in_function):
    """Returns what is wrong with `part` using `name`, or `None`."""
    if not isinstance(name, str) or not name:
        return None
    if name.startswith("."):
        return f"relative import of {name}; write it in full"
    if any(f"{name}.".startswith(f"{bad}.") for bad in FORBIDDEN):
        return f"{name} is not public Keras"
    library, _, rest = name.partition(".")
    if library in sys.stdlib_module_names:
        return None
    if library == "keras_xmap":
        target = rest.partition(".")[0]
        open_to_all = {"_validation", "_warnings"}
        allowed = {part, *open_to_all, *MAY_IMPORT[part].split()}
        if target in MAY_IMPORT and target not in allowed:
            return f"{part} may not import {name}"
        return None
    if part not in LIBRARIES.get(library, "").split():
        return f"{part} may not import {library}"
    if library in INSIDE_FUNCTIONS and not in_function:
        return f"{library} is an extra; import it inside a function"
    return None


def violations(part, source):
    """Returns a line for each import in `source` that breaks a rule."""
    tree = ast.parse(source)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, functions)
        for inner in ast.walk(node)
    }
    return [
        f"line {node.lineno}: {text}"
        for node in ast.walk(tree)
        for name in names_used(node)
        if (text := complaint(part, name, node in inside))
    ]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_its_own_part_and_lower_ones(path):
    part = path.relative_to(ROOT / "keras_xmap").parts[0].removesuffix(".py")
    assert part in MAY_IMPORT, f"give {part} a row in MAY_IMPORT"
    assert violations(part, path.read_text("utf-8")) == []


@pytest.mark.parametrize("part, allowed", MAY_IMPORT.items())
def test_the_table_runs_from_low_to_high(part, allowed):
    rows = list(MAY_IMPORT)
    assert all(rows.index(low) < rows.index(part) for low in allowed.split())


@pytest.mark.parametrize(
    "part, source",
    [
        ("layers", "import keras_xmap.engine"),
        ("layers", "from keras_xmap import engine"),
        ("losses", "from keras_xmap.layers import GuidedReLU"),
        ("layers", "def call(self):\n    from keras_xmap import explainers"),
        ("ops", "import keras_xmap\nkeras_xmap.layers.Dense"),
        ("models", "import importlib\nimportlib.import_module('tensorflow')"),
        ("losses", "from ..engine import tape"),
        ("losses", "import numpy as np"),
        ("metrics", "import tensorflow as tf"),
        ("explainers", "def map(self):\n    from tensorflow import raw_ops"),
        ("explainers", "from keras.src import backend"),
        ("explainers", "from keras import src"),
        ("explainers", "import keras\nkeras.src.backend"),
        ("engine", "import tensorflow as tf\ntf.keras.layers.Dense(1)"),
        ("engine", "from tensorflow import keras"),
        ("visualization", "import matplotlib.pyplot as plt"),
        ("segmentation", "try:\n    import cv2\nexcept ImportError:\n    pass"),
        ("datasets", "import a_package_that_nobody_declared"),
    ],
)
def test_a_broken_rule_is_found(part, source):
    assert len(violations(part, source)) == 1


@pytest.mark.parametrize(
    "part, source",
    [
        ("layers", "import keras\nfrom keras import ops\nimport math"),
        ("layers", "from keras_xmap._checks import check_positive"),
        ("layers", "from keras_xmap.layers.base import Base"),
        ("engine", "import tensorflow as tf\ntf.raw_ops.Relu"),
        ("explainers", "from keras_xmap.engine import evaluate"),
        ("visualization", "def show():\n    import matplotlib.pyplot as plt"),
        ("__main__", "from keras_xmap.cli import main"),
    ],
)
def test_a_kept_rule_is_let_pass(part, source):
    assert violations(part, source) == []
