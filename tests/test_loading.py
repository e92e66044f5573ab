"""`import keras_xmap` is all that a process needs to load what another saved.

A file of Keras holds layers, losses and metrics by their registered names.
Each of ours is saved here, and each kind of model that a builder makes, and
loaded in a process that imports what a user imports. What the tables of
`tests/conformance` hold computes there what it computes here.
"""

import inspect
import json
import os
import pathlib
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from conformance import test_layers
from conformance import test_models

import keras_xmap
from keras_xmap import losses
from keras_xmap import metrics
from keras_xmap import models
from keras_xmap.models._fresh_optimizer import LaterSchedule

ROOT = pathlib.Path(__file__).parents[1]
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
ON_JAX = keras.backend.backend() == "jax"
NEEDS_TENSORFLOW = {
    "callbacks",
    "distribution",
    "erasing",
    "weak_segmentation",
}


def compiled(**kwargs):
    model = keras.Sequential([keras.Input((4, 4)), keras.layers.Identity()])
    model.compile(**kwargs)
    return model


# What metrics hold that are in no file.
HELD = {"model", "explainer"}
# How to make a model whose file holds what is registered by this name.
CASES = {
    **{
        metric.__name__: lambda metric=metric: compiled(metrics=[metric()])
        for metric in map(vars(metrics).get, metrics.__all__)
        if inspect.isclass(metric)
        and issubclass(metric, keras.metrics.Metric)
        and not {"model", "explainer"}
        & inspect.signature(metric).parameters.keys()
    },
    **{
        name: lambda name=name: compiled(loss=getattr(losses, name))
        for name in losses.__all__
        if not inspect.isclass(getattr(losses, name))
    },
    "QuadtreeLevels": lambda: models.quadtree_decoder(
        test_models.stages(16), 3
    ),
    "RandomScale": lambda: models.multi_label_classifier(
        test_models.trunk(16), 3
    ),
    "PixelAttention": lambda: test_models.make_model("PixelAttention"),
    "LaterSchedule": lambda: compiled(
        optimizer=keras.optimizers.SGD(
            LaterSchedule(keras.optimizers.schedules.CosineDecay(1.0, 9), 4)
        ),
        loss="mse",
    ),
}
# Of a step that runs once or twice, most of the time goes into its trace.
if ON_TENSORFLOW:
    import tensorflow as tf

    run_functions_eagerly = tf.config.run_functions_eagerly
else:

    def run_functions_eagerly(is_eager):
        pass


LOAD = """
import json, pathlib, sys
import keras, numpy as np
import keras_xmap

if keras.backend.backend() == "tensorflow":
    import tensorflow
    tensorflow.config.run_functions_eagerly(True)
errors = {}
for folder in map(pathlib.Path, sys.argv[1:]):
    try:
        model = keras.models.load_model(folder / "model.keras")
    except Exception as error:
        errors[folder.name] = str(error)
        continue
    if not (folder / "given.npz").exists():
        continue
    given = dict(np.load(folder / "given.npz"))
    x, y = (
        [given[name] for name in sorted(given) if name[0] == letter]
        for letter in "xy"
    )
    x = keras.tree.pack_sequence_as(model.input, x)
    outputs = keras.tree.flatten(model.predict(x, verbose=0))
    found = {f"y{i}": values for i, values in enumerate(outputs)}
    if y:
        y = keras.tree.pack_sequence_as(model.output, y)
        found["loss"] = model.evaluate(x, y, verbose=0)
    np.savez(folder / "read.npz", **found)
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
    names = {*CASES, *test_layers.CASES}
    assert {f"keras_xmap>{name}" for name in names} == registered()


def save(folder, model, x=None, y=None):
    """Saves a model with its inputs; returns what it makes of them."""
    folder.mkdir()
    model.save(folder / "model.keras")
    if x is None:
        return {}
    given = {f"x{i}": array for i, array in enumerate(keras.tree.flatten(x))}
    outputs = keras.tree.flatten(model.predict(x, verbose=0))
    expected = {f"y{i}": values for i, values in enumerate(outputs)}
    if y is not None:
        flat = enumerate(keras.tree.flatten(y))
        given |= {f"y{i}": array for i, array in flat}
        expected["loss"] = model.evaluate(x, y, verbose=0)
    np.savez(folder / "given.npz", **given)
    return expected


def save_all(folder):
    """Saves every case, and every row after one step of training.

    What the slow rows compute when they are read, their own tests ask. JAX
    takes as long to compile a step as all the rest: it saves what is untrained.
    """
    expected = {name: save(folder / name, CASES[name]()) for name in CASES}
    for name, case in test_layers.CASES.items():
        model, x = test_layers.make_model(case), test_layers.data(case)
        if name in test_layers.SLOW:
            expected[name] = save(folder / name, model)
            continue
        if not ON_JAX:
            test_layers.fit(model, case, x)
        y = test_layers.labels(case, x)
        expected[name] = save(folder / name, model, x, y)
    for name, case in test_models.CASES.items():
        model, x = test_models.make_model(name), case.data(16)
        if not ON_JAX:
            test_models.fit(model, x)
        expected[f"models.{name}"] = save(folder / f"models.{name}", model, x)
    return expected


@pytest.fixture
def without_traces():
    run_functions_eagerly(True)
    yield
    run_functions_eagerly(False)


@pytest.mark.sizes
@pytest.mark.traces
@pytest.mark.usefixtures("without_traces")
@pytest.mark.filterwarnings("ignore:Even though:UserWarning")
def test_a_process_that_imported_the_package_computes_the_same(tmp_path):
    expected = save_all(tmp_path)
    for name in (*CASES, *test_layers.CASES):
        with zipfile.ZipFile(tmp_path / name / "model.keras") as file:
            config = file.read("config.json").decode()
        assert f'"keras_xmap>{name}"' in config
    result = subprocess.run(
        [sys.executable, "-c", LOAD, *(tmp_path / name for name in expected)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    known, errors = json.loads(result.stdout.splitlines()[-1])
    assert errors == {}
    assert registered() <= set(known)
    for name, values in expected.items():
        if not values:
            continue
        read = np.load(tmp_path / name / "read.npz")
        assert set(read.files) == set(values)
        for key, value in values.items():
            np.testing.assert_allclose(read[key], value, rtol=1e-5, atol=1e-6)
