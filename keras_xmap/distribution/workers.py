import tensorflow as tf

from keras_xmap.distribution._strategies import is_multi_worker


class Workers:
    """The processes that train one model together, and which one this is.

    Args:
        strategy: `tf.distribute.Strategy`.

    Attributes:
        count: Integer, how many there are.
        index: Integer from 0, this one among them.
        is_chief: Boolean, whether this one writes what all share.
    """

    def __init__(self, strategy):
        self._strategy = strategy
        self.count, self.index, self.is_chief = 1, 0, True
        if not is_multi_worker(strategy):
            return
        resolver = strategy.cluster_resolver
        cluster = resolver.cluster_spec().as_dict()
        names = [
            (kind, index)
            for kind in ("chief", "worker")
            for index in range(len(cluster.get(kind, ())))
        ]
        self.count = len(names)
        self.index = names.index((resolver.task_type, resolver.task_id))
        self.is_chief = self.index == 0

    def sum(self, values):
        """Returns the sums of a list of floats over all workers.

        All workers wait here for each other.
        """
        if self.count == 1:
            return [float(value) for value in values]
        strategy = self._strategy
        num_local = strategy.num_replicas_in_sync // self.count

        def voice(values):
            # A worker has one voice, however many replicas it has.
            context = tf.distribute.get_replica_context()
            replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
            mine = replica % num_local == 0
            return tf.where(mine, values, tf.zeros_like(values))

        @tf.function(autograph=False)
        def total(values):
            voices = strategy.run(voice, args=(values,))
            return strategy.reduce("SUM", voices, axis=None)

        return total(tf.constant(values, tf.float64)).numpy().tolist()

    def wait(self):
        """Returns when all workers have come here."""
        self.sum([0.0])
