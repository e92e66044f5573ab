"""What an import costs, and what it says where something is missing.

Each test looks at a fresh interpreter.
"""

import configparser
import functools
import json
import os
import pathlib
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

import keras_xmap

ROOT = pathlib.Path(__file__).parents[1]
BACKEND = keras.backend.backend()
# The suite on TensorFlow has JAX beside it; other lanes have no TensorFlow.
ANOTHER = "jax" if BACKEND == "tensorflow" else BACKEND
EAGER = {"layers", "losses", "metrics", "models", "ops"}
# The rest of the public parts loads when it is first used.
ON_TENSORFLOW_ALONE = {
    "callbacks",
    "distribution",
    "erasing",
    "weak_segmentation",
}
EVERYWHERE = set(keras_xmap.__all__) - ON_TENSORFLOW_ALONE - {"__version__"}

# What an explainer is made for.
MODEL = """
import keras
import keras_xmap

model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
"""


def run_fresh(code, backend=BACKEND, package=None):
    """Runs `code` in a new interpreter and returns what it prints.

    `package` is one that shall be missing there.
    """
    if package:
        code = f"import sys\nsys.modules[{package!r}] = None\n{code}"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def error_of(statement, prelude="", backend=BACKEND, package=None):
    """Returns the text of the `ImportError` that `statement` raises."""
    code = f"{prelude}\ntry:\n    {statement}\nexcept ImportError as error:\n"
    return run_fresh(f"{code}    print(error)", backend, package)


def added_by(statements):
    """Returns what one statement after the other loads, in a fresh Keras.

    Those are lists of modules, ours in full and others by their library, and
    the seconds of the processor that each statement took.
    """
    code = f"""
import json, sys, time
import keras

seconds, lists, seen = [], [], set(sys.modules)
for statement in {statements!r}:
    start = time.process_time()
    exec(statement)
    seconds.append(time.process_time() - start)
    new = set(sys.modules) - seen
    seen |= new
    libraries = {{name.partition(".")[0] for name in new}}
    libraries -= {{"keras_xmap", "keras_xmap_command"}}
    ours = {{name for name in new if name.startswith("keras_xmap.")}}
    others = libraries - set(sys.stdlib_module_names)
    lists.append(sorted(ours | others))
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    # An error once a device is in use.
    tf.config.threading.set_inter_op_parallelism_threads(3)
print(json.dumps([lists, seconds]))
"""
    return json.loads(run_fresh(code).splitlines()[-1])


@functools.cache
def added_by_each_part():
    """Returns what `added_by` says of each import, ours first, one by one."""
    parts = sorted({*EVERYWHERE, "cli"} - EAGER)
    if BACKEND == "tensorflow":
        parts += sorted(ON_TENSORFLOW_ALONE)
    names = ["keras_xmap", *(f"keras_xmap.{part}" for part in parts)]
    added = added_by([f"import {name}" for name in names])
    return dict(zip(names, zip(*added, strict=True), strict=True))


def test_import_loads_what_files_need_and_nothing_else(record_property):
    loaded, seconds = added_by_each_part()["keras_xmap"]
    record_property("import keras_xmap, after import keras", f"{seconds:.2f} s")
    parts = {name.split(".")[1] for name in loaded if "." in name}
    # Metrics find boxes by what `segmentation` has for masks, and ask a model
    # by what explainers ask it.
    public = {part for part in parts if not part.startswith("_")}
    assert public == EAGER | {"engine", "segmentation", "targets"}
    assert [name for name in loaded if "." not in name] == []


def test_parts_load_no_library_before_a_function_needs_it(record_property):
    added = added_by_each_part()
    assert {"keras_xmap.cli", "keras_xmap.segmentation"} < set(added)
    costly = {}
    for name, (loaded, _) in added.items():
        costly[name] = [library for library in loaded if "." not in library]
    seconds, slowest = max((s, name) for name, (_, s) in added.items())
    record_property("the slowest import", f"{slowest}, {seconds:.2f} s")
    # Pillow is small, and reads what `datasets` are made of.
    assert {name: found for name, found in costly.items() if found} in (
        {},
        {"keras_xmap.datasets": ["PIL"]},
    )


@functools.cache
def without_tensorflow():
    """Returns what works, and what is said, in a Python without TensorFlow."""
    code = f"""
import json, sys
import keras, keras_xmap

found = {{"errors": []}}
for part in {sorted(EVERYWHERE)}:
    getattr(keras_xmap, part)
for part in {sorted(ON_TENSORFLOW_ALONE)}:
    try:
        getattr(keras_xmap, part)
    except ImportError as error:
        found["errors"].append(str(error))
# What stands there as missing is None.
found["loaded"] = [
    name for name, module in sys.modules.items()
    if module and name.startswith("tensorflow")
]
target = keras_xmap.targets.Class(1)
scores = target.scores(keras.ops.array([[0.0, 5.0, 3.0]]), target.parts)
found["scores"] = [float(score) for score in scores]
try:
    target.scores(keras.ops.zeros((1, 2)), {{"index": 2}})
except ValueError as error:
    found["class"] = str(error)
try:
    keras_xmap.explainers.GradCAM(keras.layers.Dense(1))
except ImportError as error:
    found["explainer"] = str(error)
print(json.dumps(found))
"""
    return json.loads(run_fresh(code, ANOTHER, "tensorflow").splitlines()[-1])


def test_without_tensorflow_what_needs_none_loads():
    assert without_tensorflow()["loaded"] == []


def test_without_tensorflow_targets_score_and_explainers_name_the_setting():
    found = without_tensorflow()
    assert found["scores"] == [5.0]
    assert "must be a class of the model" in found["class"]
    assert f"keras.backend.backend()={ANOTHER!r}" in found["explainer"]
    assert 'pip install "keras-xmap[cpu]"' in found["explainer"]


def test_without_keras_the_import_names_the_command():
    error = error_of("import keras_xmap", package="keras")
    assert "Received: a Python without it" in error
    assert 'pip install "keras-xmap[cpu]"' in error


@pytest.mark.parametrize(
    "package, remedy",
    [
        ("tensorflow", 'pip install "keras-xmap[cpu]"'),
        ("jax", "pip install jax"),
        ("torch", "pip install torch"),
    ],
)
def test_without_its_backend_the_import_names_the_command(package, remedy):
    error = error_of("import keras_xmap", backend=package, package=package)
    assert f"keras_xmap needs the package {package}." in error
    assert remedy in error
    assert "KERAS_BACKEND" in error


def test_without_tensorflow_parts_that_need_it_name_the_command():
    errors = without_tensorflow()["errors"]
    assert len(errors) == len(ON_TENSORFLOW_ALONE)
    for error in errors:
        assert "needs the package tensorflow. Received: a Python with" in error
        assert 'pip install "keras-xmap[cpu]"' in error


def test_on_another_backend_making_an_explainer_names_the_setting():
    error = error_of("keras_xmap.explainers.GradCAM(model)", MODEL, ANOTHER)
    assert "KERAS_BACKEND=tensorflow" in error
    assert f"Received: keras.backend.backend()={ANOTHER!r}" in error
    assert 'pip install "keras-xmap[cpu]"' in error


def command(*words):
    """Runs `python -m keras_xmap` as a user does, without our settings."""
    ours = "TF_CPP_MIN_LOG_LEVEL"
    return subprocess.run(
        [sys.executable, "-m", "keras_xmap", *words],
        cwd=ROOT,
        env={name: x for name, x in os.environ.items() if name != ours},
        capture_output=True,
        text=True,
    )


def test_as_a_module_the_command_is_silent_and_at_once_there():
    start = time.perf_counter()
    done = command("methods")
    assert done.stderr == ""
    assert "gradcam" in done.stdout
    # Keras alone takes longer; a busy machine has its time.
    assert time.perf_counter() - start < 2


@pytest.mark.slow
@pytest.mark.tensorflow
def test_as_a_module_the_command_reads_models_with_layers_of_ours(tmp_path):
    inputs = keras.Input((16, 16, 3))
    x = keras_xmap.layers.HideAndSeek((0, 4), fill=0.0)(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1.0)(x))
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax")(x))
    model.save(tmp_path / "model.keras")
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3), "uint8")
    Image.fromarray(image).save(tmp_path / "image.png")
    files = tmp_path / "model.keras", tmp_path / "image.png"
    done = command("explain", *map(str, files), "--directory", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (tmp_path / "image.layercam.png").is_file()


@pytest.mark.parametrize("name", keras_xmap.__all__)
def test_every_public_name_is_listed_and_resolves(name):
    assert name in dir(keras_xmap)
    if BACKEND == "tensorflow" or name not in ON_TENSORFLOW_ALONE:
        assert getattr(keras_xmap, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'layer'"):
        _ = keras_xmap.layer


def test_the_version_is_that_of_the_distribution():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    assert keras_xmap.__version__ == config["metadata"]["version"]
