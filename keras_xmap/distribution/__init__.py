"""Training and explaining under `tf.distribute`."""

from keras_xmap.distribution.distribution_safe import distribution_safe
from keras_xmap.distribution.global_mean import global_mean
from keras_xmap.distribution.workers import Workers

__all__ = ["Workers", "distribution_safe", "global_mean"]
