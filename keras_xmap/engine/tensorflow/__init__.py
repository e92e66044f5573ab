"""Explanations of models that run on TensorFlow."""

from keras_xmap.engine.run import Runner
from keras_xmap.engine.tensorflow.checks import require
from keras_xmap.engine.tensorflow.evaluation import Evaluation
from keras_xmap.engine.tensorflow.evaluation import evaluate
from keras_xmap.engine.tensorflow.sampling import mean_of_samples
from keras_xmap.engine.tensorflow.sampling import normal_noise
from keras_xmap.engine.tensorflow.sampling import stack_of_samples
from keras_xmap.engine.tensorflow.sampling import uniform_noise

__all__ = [
    "Evaluation",
    "Runner",
    "evaluate",
    "mean_of_samples",
    "normal_noise",
    "require",
    "stack_of_samples",
    "uniform_noise",
]
