"""The one door to TensorFlow: any Keras model in, evidence out.

Nothing outside this folder imports TensorFlow. What the explainers need of a
model (scores, activations, gradients) comes from `evaluate`; how much is
computed at a time, and on which devices, is the business of `Runner`.
"""

from keras_xmap.engine import requirements  # noqa: F401
from keras_xmap.engine.checks import require
from keras_xmap.engine.distribution import Workers
from keras_xmap.engine.distribution import distribution_safe
from keras_xmap.engine.distribution import global_mean
from keras_xmap.engine.erasing_data import channel_statistics
from keras_xmap.engine.erasing_data import erased
from keras_xmap.engine.files import checksum
from keras_xmap.engine.files import delete_file
from keras_xmap.engine.files import file_exists
from keras_xmap.engine.files import list_files
from keras_xmap.engine.files import make_directory
from keras_xmap.engine.files import open_file
from keras_xmap.engine.files import read_file
from keras_xmap.engine.files import write_atomically
from keras_xmap.engine.run import Runner
from keras_xmap.engine.run_length import decode_run_lengths
from keras_xmap.engine.run_length import encode_run_lengths
from keras_xmap.engine.sampling import mean_of_samples
from keras_xmap.engine.sampling import normal_noise
from keras_xmap.engine.sampling import stack_of_samples
from keras_xmap.engine.sampling import uniform_noise
from keras_xmap.engine.tape import Evaluation
from keras_xmap.engine.tape import evaluate
from keras_xmap.engine.training_passes import image_input
from keras_xmap.engine.training_passes import mining_pass
from keras_xmap.engine.training_passes import training_passes
from keras_xmap.engine.training_passes import whole_batches

__all__ = [
    "Evaluation",
    "Runner",
    "Workers",
    "channel_statistics",
    "checksum",
    "decode_run_lengths",
    "delete_file",
    "distribution_safe",
    "encode_run_lengths",
    "erased",
    "evaluate",
    "file_exists",
    "global_mean",
    "image_input",
    "list_files",
    "make_directory",
    "mean_of_samples",
    "mining_pass",
    "normal_noise",
    "open_file",
    "read_file",
    "require",
    "stack_of_samples",
    "training_passes",
    "uniform_noise",
    "whole_batches",
    "write_atomically",
]
