"""Where a step runs: on the host, or on the replicas of a strategy."""

import keras
import numpy as np
import tensorflow as tf

from keras_xmap.engine.contract import Placement
from keras_xmap.engine.tensorflow._checks import STOPS
from keras_xmap.engine.tensorflow._checks import raised_by_step


def placement(model):
    """Returns where the steps of `model` run: `OnHost` or `OnReplicas`."""
    strategy = getattr(model, "distribute_strategy", None)
    strategy = strategy or tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return OnHost()
    return OnReplicas(strategy)


class Step:
    """A compiled function, and what was noted while it was traced.

    Attributes:
        notes: Dict of Python values.
    """

    def __init__(self, function):
        self.notes = {}
        self._function = function
        self._compiled = None

    def compile(self, wrapped, signature=None):
        """Makes the `tf.function` of `wrapped`, which calls `traced`."""
        self._compiled = tf.function(
            wrapped, input_signature=signature, autograph=False
        )
        if signature is not None:
            self._compiled = self._compiled.get_concrete_function()
        return self

    def traced(self, *flat):
        result, self.notes = self._function(*flat)
        return result

    def __call__(self, *flat):
        try:
            return self._compiled(*flat)
        except STOPS as error:
            raise raised_by_step(error) from error


class OnHost(Placement):
    """Runs a step where the caller is: on the host, or on one replica."""

    def scope(self):
        return tf.distribute.get_strategy().scope()

    def place(self, flat):
        return flat

    def key(self, flat):
        # Inside an eager `strategy.run`, a step belongs to its replica.
        if tf.distribute.in_cross_replica_context():
            return ("host", 0)
        context = tf.distribute.get_replica_context()
        return ("host", int(context.replica_id_in_sync_group))

    def compile(self, function, flat):
        signature = [
            tf.TensorSpec((None, *x.shape[1:]) if x.shape.rank else (), x.dtype)
            for x in flat
        ]
        step = Step(function)
        return step.compile(step.traced, signature)

    def to_numpy(self, result, size):
        return keras.tree.map_structure(
            lambda x: None if x is None else x.numpy(), result
        )


class OnReplicas(Placement):
    """Splits every batch over the replicas of a strategy, in order.

    Each replica gets an equal share; the last image fills up what is missing
    and its copies are dropped again. Every worker of a multi-worker strategy
    explains the data it is given, on its own replicas.
    """

    def __init__(self, strategy):
        self._strategy = strategy
        ids = strategy.experimental_distribute_values_from_function(
            lambda context: context.replica_id_in_sync_group
        )
        self._ids = list(strategy.experimental_local_results(ids))
        self._share = 0  # images per replica: the most there were so far

    def scope(self):
        return self._strategy.scope()

    def place(self, flat):
        size = max(x.shape[0] for x in flat if x.shape.rank)
        count = len(self._ids)
        self._share = max(self._share, -(-size // count))
        rows = np.minimum(np.arange(self._share * count), size - 1)
        rows = np.split(rows, count)
        return [self._split(x, rows) for x in flat]

    def _split(self, tensor, rows):
        def value(context):
            if not tensor.shape.rank:
                return tensor
            local = self._ids.index(context.replica_id_in_sync_group)
            return tf.gather(tensor, rows[local])

        return self._strategy.experimental_distribute_values_from_function(
            value
        )

    def key(self, flat):
        return ("replicas", id(self._strategy), self._share)

    def compile(self, function, flat):
        step = Step(function)

        def run(*flat):
            return self._strategy.run(step.traced, args=flat)

        return step.compile(run)

    def to_numpy(self, result, size):
        def joined(value):
            if value is None:
                return None
            local = self._strategy.experimental_local_results(value)
            return np.concatenate([x.numpy() for x in local])[:size]

        # A structure of per-replica values: keras.tree sees those as leaves.
        return keras.tree.map_structure(joined, result)
