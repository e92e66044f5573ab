"""`import keras_xmap` is all that a process needs to load what another saved.

A file of Keras holds layers, losses and metrics by their registered names.
Each of ours is saved here, and each kind of model that a builder makes, and
loaded in a process that imports what a user imports.
"""

import inspect
import json
import os
import pathlib
import subprocess
import sys
import zipfile

import keras
from conformance import test_layers
from conformance import test_models

import keras_xmap
from keras_xmap import losses
from keras_xmap import metrics
from keras_xmap import models

ROOT = pathlib.Path(__file__).parents[1]
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
NEEDS_TENSORFLOW = {"callbacks", "distribution", "erasing"}


def compiled(**kwargs):
    model = keras.Sequential([keras.Input((4, 4)), keras.layers.Identity()])
    model.compile(**kwargs)
    return model


# How to make a model whose file holds what is registered by this name.
CASES = {
    **{
        name: lambda case=case: test_layers.make_model(case)
        for name, case in test_layers.CASES.items()
    },
    **{
        metric.__name__: lambda metric=metric: compiled(metrics=[metric()])
        for metric in map(vars(metrics).get, metrics.__all__)
        if inspect.isclass(metric) and issubclass(metric, keras.metrics.Metric)
    },
    "area_ratio": lambda: compiled(loss=losses.area_ratio),
    "RandomScale": lambda: models.multi_label_classifier(
        test_models.trunk(16), 3
    ),
}
BUILT = {
    f"models.{name}": lambda name=name: test_models.make_model(name)
    for name in test_models.CASES
}
LOAD = """
import json, sys
import keras
import keras_xmap

errors = {}
for path in sys.argv[1:]:
    try:
        keras.models.load_model(path)
    except Exception as error:
        errors[path] = str(error)
print(json.dumps([list(keras.saving.get_custom_objects()), errors]))
"""


def registered():
    """Returns the names of ours that Keras knows, once all parts loaded."""
    for part in keras_xmap.__all__:
        if ON_TENSORFLOW or part not in NEEDS_TENSORFLOW:
            getattr(keras_xmap, part)
    names = keras.saving.get_custom_objects()
    return {name for name in names if name.startswith("keras_xmap>")}


def test_all_that_is_registered_has_a_case():
    assert {f"keras_xmap>{name}" for name in CASES} == registered()


def test_a_process_that_imported_the_package_loads_it_all(tmp_path):
    for name, make in {**CASES, **BUILT}.items():
        make().save(tmp_path / f"{name}.keras")
    for name in CASES:
        with zipfile.ZipFile(tmp_path / f"{name}.keras") as file:
            config = file.read("config.json").decode()
        assert f'"keras_xmap>{name}"' in config
    result = subprocess.run(
        [sys.executable, "-c", LOAD, *map(str, tmp_path.glob("*.keras"))],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    known, errors = json.loads(result.stdout.splitlines()[-1])
    assert errors == {}
    assert registered() <= set(known)
