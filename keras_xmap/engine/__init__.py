"""The one door to TensorFlow: any Keras model in, evidence out.

Nothing outside this folder imports TensorFlow. What the explainers need of a
model (scores, activations, gradients) comes from `evaluate`; how much is
computed at a time, and on which devices, is the business of `Runner`.
"""

from keras_xmap.engine import requirements  # noqa: F401
from keras_xmap.engine.checks import require
from keras_xmap.engine.files import file_exists
from keras_xmap.engine.files import make_directory
from keras_xmap.engine.files import write_atomically
from keras_xmap.engine.run import Runner
from keras_xmap.engine.sampling import mean_of_samples
from keras_xmap.engine.sampling import normal_noise
from keras_xmap.engine.sampling import stack_of_samples
from keras_xmap.engine.sampling import uniform_noise
from keras_xmap.engine.tape import Evaluation
from keras_xmap.engine.tape import evaluate

__all__ = [
    "Evaluation",
    "Runner",
    "evaluate",
    "file_exists",
    "make_directory",
    "mean_of_samples",
    "normal_noise",
    "require",
    "stack_of_samples",
    "uniform_noise",
    "write_atomically",
]
