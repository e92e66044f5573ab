from collections.abc import Sequence

import tensorflow as tf

from keras_xmap._checks import check_instance
from keras_xmap._numeric import as_array
from keras_xmap._typing import Number


class Workers:
    """The processes that train one model together, and which one this is.

    For what a program does beside `fit`: one of the processes writes, each
    takes its part of the files, and all go on once every one is done.
    Without several workers it is the only one, and the chief.

    Args:
        strategy: `tf.distribute.Strategy`, that of the model.

    Attributes:
        count: Integer, how many there are.
        index: Integer from 0, this one among them.
        is_chief: Boolean, whether this one writes what all share.

    Raises:
        TypeError: If `strategy` is not a `tf.distribute.Strategy`.

    Example:

    >>> import tensorflow as tf
    >>> workers = keras_xmap.distribution.Workers(tf.distribute.get_strategy())
    >>> files = ["a.png", "b.png", "c.png"]
    >>> num_mine = len(files[workers.index :: workers.count])
    >>> workers.sum([num_mine])
    [3.0]
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self._strategy = check_instance(
            "strategy",
            strategy,
            tf.distribute.Strategy,
            "a tf.distribute.Strategy",
            "Without one, give `tf.distribute.get_strategy()`.",
        )
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

    def __repr__(self) -> str:
        return f"Workers(strategy={type(self._strategy).__name__}())"

    def sum(self, values: Sequence[Number]) -> list[float]:
        """Returns the sums of numbers over all workers.

        All workers wait here for each other, and must come here in the same
        order with lists of one length.

        Args:
            values: List of numbers, those of this worker.

        Returns:
            List of floats, the same on all workers.

        Raises:
            TypeError: If `values` does not hold numbers.
            ValueError: If it is no list.
        """
        numbers = as_array("values", values)
        if numbers.ndim != 1:
            raise ValueError(
                "`values` must be a list of numbers. Received: values of shape "
                f"{numbers.shape}. Flatten them, `np.ravel(values)`."
            )
        numbers = numbers.astype("float64")
        if self.count == 1:
            return numbers.tolist()
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

        return total(tf.constant(numbers)).numpy().tolist()

    def wait(self) -> None:
        """Returns when all workers have come here."""
        self.sum([0.0])


def is_multi_worker(strategy):
    """Returns whether other processes train along with this one."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
