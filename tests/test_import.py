"""What an import costs, and what it says where something is missing.

Each test looks at a fresh interpreter.
"""

import configparser
import os
import pathlib
import subprocess
import sys

import pytest

import keras_xmap

ROOT = pathlib.Path(__file__).parents[1]
# Stands for a machine on which TensorFlow was never installed.
WITHOUT_TENSORFLOW = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run_fresh(code, backend):
    """Runs `code` in a new interpreter and returns what it prints."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def error_of_explainers(prelude, backend):
    code = f"""{prelude}
import keras_xmap
try:
    keras_xmap.explainers
except ImportError as error:
    print(error)
"""
    return run_fresh(code, backend)


def test_import_loads_no_framework():
    code = """
import sys
import keras_xmap
loaded = {"keras", "tensorflow", "jax", "numpy"} & set(sys.modules)
print(sorted(loaded | {m for m in sys.modules if "keras_xmap." in m}))
"""
    assert run_fresh(code, "tensorflow") == "[]"


def test_the_neutral_parts_load_no_tensorflow():
    code = """
import sys
import keras_xmap
keras_xmap.layers, keras_xmap.losses, keras_xmap.ops
unwanted = ("tensorflow", "keras_xmap.engine", "keras_xmap.explainers")
print([name for name in unwanted if name in sys.modules])
"""
    assert run_fresh(code, "jax") == "[]"


def test_without_tensorflow_the_explainers_name_the_command():
    remedy = 'pip install "keras-xmap[cpu]"'
    assert remedy in error_of_explainers(WITHOUT_TENSORFLOW, "tensorflow")
    assert remedy in error_of_explainers(WITHOUT_TENSORFLOW, "jax")


def test_on_another_backend_the_explainers_name_the_setting():
    error = error_of_explainers("", "jax")
    assert "KERAS_BACKEND=tensorflow" in error
    assert "Received: keras.backend.backend()='jax'" in error


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", keras_xmap.__all__)
def test_every_public_name_resolves_and_is_listed(name):
    assert getattr(keras_xmap, name) is not None
    assert name in dir(keras_xmap)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'layer'"):
        _ = keras_xmap.layer


def test_the_version_is_that_of_the_distribution():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    assert keras_xmap.__version__ == config["metadata"]["version"]
