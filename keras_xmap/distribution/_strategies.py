"""Questions about a strategy."""

import tensorflow as tf


def is_multi_worker(strategy):
    """Returns whether other processes train along with this one."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
