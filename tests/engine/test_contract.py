"""The backend answers what the contract asks, in the same words."""

import inspect
import os
import pathlib
import subprocess
import sys

import keras
import pytest

from keras_xmap import engine

ROOT = pathlib.Path(__file__).parents[2]
BACKEND = keras.backend.backend()
# The suite on TensorFlow has JAX beside it.
ANOTHER = "jax" if BACKEND == "tensorflow" else BACKEND


def answers():
    from keras_xmap.engine.tensorflow import _evaluation
    from keras_xmap.engine.tensorflow import _placement

    return [
        (engine.Backend, type(engine.backend())),
        (engine.Evaluation, _evaluation.GraphEvaluation),
        (engine.Placement, _placement.OnHost),
        (engine.Placement, _placement.OnReplicas),
    ]


@pytest.mark.tensorflow
@pytest.mark.parametrize("number", range(4))
def test_every_question_is_answered_with_the_same_arguments(number):
    asked, answered = answers()[number]
    assert issubclass(answered, asked)
    assert not inspect.isabstract(answered)
    for name in asked.__abstractmethods__:
        of_contract = inspect.signature(getattr(asked, name))
        of_backend = inspect.signature(getattr(answered, name))
        assert of_backend.parameters.keys() == of_contract.parameters.keys()
        assert str(of_backend) == str(of_contract), name


def run_without_tensorflow(code):
    """Runs `code` where TensorFlow cannot be imported."""
    prelude = "import sys\nsys.modules['tensorflow'] = None\n"
    result = subprocess.run(
        [sys.executable, "-c", prelude + code],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": ANOTHER},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_engine_targets_and_explainers_import_without_tensorflow():
    code = """
import numpy as np
import keras, keras_xmap
from keras_xmap import engine
target = keras_xmap.targets.Class(1)
print(target.scores(np.array([[0.0, 5.0, 3.0]]), target.parts))
try:
    keras_xmap.targets.Class(2).scores(np.zeros((1, 2)), {"index": 2})
except ValueError as error:
    print(error)
try:
    keras_xmap.explainers.GradCAM(keras.layers.Dense(1))
except ImportError as error:
    print(error)
"""
    printed = run_without_tensorflow(code)
    assert "5." in printed
    assert "must be a class of the model" in printed
    assert f"Received: keras.backend.backend()={ANOTHER!r}" in printed
    assert 'pip install "keras-xmap[cpu]"' in printed


def test_a_condition_that_is_known_needs_no_backend():
    assert engine.require(True, "fine") is None
    with pytest.raises(ValueError, match=r"too small. Received: 3"):
        engine.require(False, "too small. Received:", 3)
