"""What `tf.distribute` needs beside Keras, to train on several devices.

The page on distributed training says when.
"""

from keras_xmap.distribution.distribution_safe import distribution_safe
from keras_xmap.distribution.global_mean import global_mean
from keras_xmap.distribution.workers import Workers

__all__ = ["Workers", "distribution_safe", "global_mean"]
