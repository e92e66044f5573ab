"""Who may import whom, read from the source of every module.

The two tables below equal what is in use. After a change that is meant:
`python tests/test_architecture.py --write`.
"""

import ast
import pathlib
import re
import sys
import textwrap

import pytest
from imports_in_use import FUNCTIONS
from imports_in_use import MODULES
from imports_in_use import PARTS
from imports_in_use import defined_names
from imports_in_use import dotted
from imports_in_use import edges
from imports_in_use import libraries
from imports_in_use import names_at_the_door
from imports_in_use import part_of
from imports_in_use import public_names
from imports_in_use import uses

# Each part of the package, lowest first, and the parts that it imports. The
# private modules beside the folders are open to all.
IMPORTS = """
__main__:
_checks:
_entries:
_files:
_installation:
_messages:
_numeric:
_saving:
_typing:
_warnings:
distribution:
engine:
ops:
regions:
_axes: _checks
_description: _files
_image_files: _files
_repr: _checks
datasets: regions
losses: ops
segmentation: ops
targets: engine ops
visualization: ops
_fillings: _axes _checks ops
_run_files: _description _files
explainers: engine ops targets
layers: losses ops
_run_folder: _files _run_files
erasing: datasets distribution layers ops regions targets
metrics: engine explainers layers ops segmentation targets
callbacks: distribution erasing explainers layers regions visualization
comparison: engine explainers metrics ops visualization
models: layers losses metrics ops
__init__: layers losses metrics models ops
weak_segmentation: callbacks datasets distribution explainers losses models
    ops segmentation targets
cli: comparison datasets engine explainers layers metrics segmentation
    targets visualization weak_segmentation
"""
# Each library, and the parts that import it.
LIBRARIES = """
PIL: _image_files datasets regions visualization weak_segmentation
cv2: segmentation
keras: _axes _checks _description _entries _fillings _numeric _repr _saving
    callbacks cli comparison datasets distribution engine erasing explainers
    layers losses metrics models ops segmentation targets visualization
    weak_segmentation
keras_xmap_command: __main__ cli
matplotlib: visualization
numpy: _description _image_files _numeric _repr callbacks cli comparison
    datasets engine erasing explainers metrics regions segmentation targets
    visualization weak_segmentation
scipy: segmentation
skimage: cli datasets metrics segmentation visualization
sklearn: _installation comparison datasets segmentation
tensorflow: _files callbacks datasets distribution engine erasing
    weak_segmentation
"""

# Where TensorFlow is imported, and where only inside functions.
ON_TENSORFLOW = (
    "engine/tensorflow/",
    "erasing/",
    "distribution/",
    "weak_segmentation/",
)
TENSORFLOW_IN_FUNCTIONS = (
    "callbacks/_tensorboard.py",
    "datasets/",
    "_files.py",
)
# A user may lack them, or waits seconds for them: a function imports them.
INSIDE_FUNCTIONS = {"cv2", "matplotlib", "scipy", "skimage", "sklearn"}
ONLY_IN = {"scipy": {"segmentation"}}
# What works on tensors of every backend.
NO_NUMPY = {"layers", "losses", "models", "ops"}
ON_TENSORS = {*NO_NUMPY, "callbacks", "explainers", "metrics", "targets"}
# Not public, or another Keras than the one that built the model.
FORBIDDEN = ("keras.src", "tensorflow.keras", "tf_keras", "keras._tf_keras")
# Methods that run outside of any step that is traced.
ON_THE_HOST = {"__init__", "explain"}


def parsed(table):
    """Returns the rows of a table, `part: names`, as lists."""
    rows = re.sub(r"\n +", " ", table).strip().splitlines()
    pairs = [row.partition(":") for row in rows]
    return {name: names.split() for name, _, names in pairs}


def written(rows):
    """Returns the text that `parsed` reads."""
    lines = [f"{name}: {' '.join(names)}".strip() for name, names in rows]
    return "\n".join(
        textwrap.fill(line, 76, subsequent_indent="    ") for line in lines
    )


def imported_names(folder, but_not_from):
    """Returns what a folder's face takes from other modules than this one."""
    home = f"keras_xmap.{folder.replace('/', '.')}.{but_not_from}."
    found = uses(MODULES[f"{folder}/__init__.py"])
    return {
        use.name.rpartition(".")[2]
        for use in found
        if not use.name.startswith(home)
    }


def is_within(path, places):
    return any(path.startswith(place) for place in places)


def face_complaint(path, use):
    """Returns what is wrong with reaching `use` from this module, or `None`."""
    part, pieces = use.part, use.name.split(".")[2:]
    is_folder = f"{part}/__init__.py" in MODULES
    if not is_folder or not pieces or part == part_of(path):
        return None
    if use.is_import and len(pieces) > 1:
        return f"{use.name} is behind the face of {part}"
    if pieces[0] not in names_at_the_door(part):
        return f"{pieces[0]} is not in the __init__ of {part}"
    return None


def library_complaint(path, use):
    """Returns what is wrong with this library here, or `None`."""
    library = use.library
    if use.name.startswith("."):
        return f"relative import of {use.name}; write it in full"
    if any(f"{use.name}.".startswith(f"{bad}.") for bad in FORBIDDEN):
        return f"{use.name} is not public Keras"
    if not use.is_import:
        return None
    if library in INSIDE_FUNCTIONS and not use.in_function:
        return f"import {library} inside the function that needs it"
    if part_of(path) not in ONLY_IN.get(library, PARTS):
        return f"{library} belongs to {ONLY_IN[library]}"
    if library == "numpy" and part_of(path) in NO_NUMPY:
        return "NumPy has no tensors; write it in keras.ops"
    if library == "tensorflow" and not is_within(path, ON_TENSORFLOW):
        if not is_within(path, TENSORFLOW_IN_FUNCTIONS):
            return "this part runs on every backend, without TensorFlow"
        if not use.in_function:
            return "import tensorflow inside the function that needs it"
    return None


def backend_complaints(path, source):
    """Returns what only the answers of a backend may do."""
    if is_within(path, ON_TENSORFLOW):
        return []
    tree, found = ast.parse(source), []
    for node in ast.walk(tree):
        name = dotted(node)
        neutral = part_of(path) in ON_TENSORS or path.startswith("engine/")
        if neutral and name.endswith(".dtype.name"):
            found.append(f"line {node.lineno}: dtype.name is TensorFlow's")
        if not isinstance(node, FUNCTIONS[:2]) or node.name in ON_THE_HOST:
            continue
        for inner in ast.walk(node):
            target = getattr(inner, "ctx", None)
            written_to = isinstance(target, ast.Store) and dotted(inner)
            if written_to and re.fullmatch(r"self\.\w+_used", written_to):
                found.append(f"line {inner.lineno}: {written_to} while tracing")
    return found


def complaints(path, source):
    """Returns a line for each rule that a module breaks."""
    found = [
        f"line {use.line}: {text}"
        for use in uses(source)
        for text in (face_complaint(path, use), library_complaint(path, use))
        if text
    ]
    return found + backend_complaints(path, source)


def test_the_table_of_imports_is_what_is_in_use():
    suggestion = written(edges().items())
    assert parsed(IMPORTS) == edges(), f"in use:\n{suggestion}"


def test_the_table_of_libraries_is_what_is_in_use():
    suggestion = written(libraries().items())
    assert parsed(LIBRARIES) == libraries(), f"in use:\n{suggestion}"


def test_the_table_runs_from_low_to_high():
    rows = list(parsed(IMPORTS))
    for part, lower in parsed(IMPORTS).items():
        assert all(rows.index(one) < rows.index(part) for one in lower), part


def test_every_module_keeps_the_rules():
    found = {
        f"keras_xmap/{path} {complaint}"
        for path, source in MODULES.items()
        for complaint in complaints(path, source)
    }
    assert not found, "\n".join(sorted(found))


def test_a_module_is_private_unless_users_import_from_it():
    wrong = {}
    for path, source in MODULES.items():
        folder, _, name = path.removesuffix(".py").rpartition("/")
        if not folder or name == "__init__":
            continue
        listed = set(public_names(folder)) & defined_names(source)
        listed -= imported_names(folder, but_not_from=name)
        if name.startswith("_") and listed:
            wrong[path] = f"users import {listed}; take the underscore away"
        if not name.startswith("_") and not listed:
            wrong[path] = "no user imports from it; begin its name with _"
    assert wrong == {}


@pytest.mark.parametrize(
    "path, source",
    [
        ("layers/a.py", "import keras_xmap.ops._resize"),
        ("layers/a.py", "from keras_xmap.ops.resize import resize"),
        ("layers/a.py", "from keras_xmap.ops import half_pixel"),
        ("layers/a.py", "from keras_xmap.ops import *"),
        ("layers/a.py", "def f():\n    from keras_xmap.ops import _resize"),
        ("layers/a.py", "from keras_xmap import ops\nops.half_pixel(1)"),
        ("layers/a.py", "import keras_xmap\nkeras_xmap.ops.half_pixel"),
        ("explainers/a.py", "from keras_xmap.engine import tensorflow"),
        ("explainers/a.py", "from keras_xmap.engine.tensorflow import tap"),
        ("losses/a.py", "from ..ops import resize"),
        ("losses/a.py", "import numpy as np"),
        ("metrics/a.py", "import tensorflow as tf"),
        ("engine/run.py", "import tensorflow as tf"),
        ("datasets/a.py", "import tensorflow as tf"),
        ("explainers/a.py", "def f(self):\n    from tensorflow import raw_ops"),
        ("explainers/a.py", "import keras.src.backend"),
        ("explainers/a.py", "from keras import src"),
        ("explainers/a.py", "import keras\nkeras.src"),
        ("engine/tensorflow/a.py", "import tensorflow as tf\ntf.keras"),
        ("engine/tensorflow/a.py", "from tensorflow import keras"),
        ("models/a.py", "import importlib\nimportlib.import_module('skimage')"),
        ("segmentation/a.py", "try:\n    import cv2\nexcept OSError:\n    1"),
        ("visualization/a.py", "import matplotlib.pyplot as plt"),
        ("metrics/a.py", "def f():\n    from scipy import ndimage"),
        ("explainers/a.py", "x.dtype.name"),
        ("engine/run.py", "x.dtype.name"),
        ("explainers/a.py", "def map(self):\n    self.layers_used = [1]"),
    ],
)
def test_a_broken_rule_is_found(path, source):
    assert len(complaints(path, source)) == 1


@pytest.mark.parametrize(
    "path, source",
    [
        ("layers/a.py", "import keras\nfrom keras import ops\nimport math"),
        ("layers/a.py", "from keras_xmap._checks import check_positive"),
        ("layers/a.py", "from keras_xmap.layers.base import Base"),
        ("layers/a.py", "from keras_xmap.ops import resize"),
        ("layers/a.py", "from keras_xmap import ops\nops.resize(1)"),
        ("layers/a.py", "import keras_xmap\nkeras_xmap.ops.resize(1).shape"),
        ("engine/run.py", "from keras_xmap.engine.tensorflow import require"),
        ("engine/tensorflow/a.py", "import tensorflow as tf\ntf.raw_ops.Relu"),
        ("engine/tensorflow/a.py", "x.dtype.name"),
        ("datasets/a.py", "def f():\n    import tensorflow as tf\n    tf.data"),
        ("_files.py", "def f():\n    import tensorflow as tf"),
        ("segmentation/a.py", "def f():\n    from scipy import sparse"),
        ("visualization/a.py", "def f():\n    import matplotlib.pyplot as p"),
        ("explainers/a.py", "def __init__(self):\n    self.layers_used = None"),
        ("explainers/a.py", "def explain(self):\n    self.score_used = 'a'"),
    ],
)
def test_a_kept_rule_is_let_pass(path, source):
    assert complaints(path, source) == []


def test_a_table_reads_as_it_was_written():
    rows = {"low": [], "high": [f"part_{number}" for number in range(20)]}
    assert parsed(f"\n{written(rows.items())}\n") == rows


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_architecture.py --write")
    file = pathlib.Path(__file__)
    text = file.read_text("utf-8")
    for name, rows in [("IMPORTS", edges()), ("LIBRARIES", libraries())]:
        text = re.sub(
            rf'^{name} = """\n.*?"""$',
            f'{name} = """\n{written(rows.items())}\n"""',
            text,
            flags=re.MULTILINE | re.DOTALL,
        )
    file.write_text(text, "utf-8")
