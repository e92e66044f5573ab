"""What `model.fit` needs to be right under `tf.distribute` on Keras 3."""

import inspect

import keras
import tensorflow as tf


def distribution_safe(model):
    """Makes `fit` and `evaluate` of one model right under a strategy.

    Keras 3 looks at the first batch before it trains, and averages it over
    the replicas to do so. That fails if the batch does not divide among them,
    if it holds text or booleans, and always with several workers. With
    several workers it also averages the scalars of a step along an axis that
    they do not have. A model handed to this function looks at the share of
    one replica instead, and its steps return scalars that can be averaged.
    What is learned does not change where Keras trains by itself.

    Only this one model is changed, and only in memory: its weights, config
    and saved files are what they were, and a copy, or a model loaded from a
    file, is to be handed over again.

    Args:
        model: `keras.Model`, built in the scope of its strategy; compiled
            or not. Without a strategy it trains as before.

    Returns:
        `model`.

    Raises:
        TypeError: If `model` is not a `keras.Model`.
        RuntimeError: If this version of Keras does not train the way that is
            put right here.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model = keras_xmap.engine.distribution_safe(model)
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a keras.Model. Received: {type(model).__name__}."
        )
    _check_keras()
    if "_maybe_symbolic_build" in vars(model):
        return model
    # Past the tracker of layers, which would wrap what it is given.
    object.__setattr__(
        model, "_maybe_symbolic_build", _symbolic_build_of(model)
    )
    if is_multi_worker(model.distribute_strategy):
        for name in ("train_step", "test_step"):
            step = getattr(model, name)
            object.__setattr__(model, name, _with_an_axis(step))
    return model


def is_multi_worker(strategy):
    """Returns whether other processes train along with this one."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def global_mean(per_sample):
    """Returns the part of a mean over all replicas that this one adds.

    A strategy adds up what replicas compute. The mean over each, divided by
    their number, gives images on a replica with few of them a larger weight;
    this function, the sum divided by the number of samples everywhere, gives
    all the same. Use it in `compute_loss` or `train_step`, not in `add_loss`,
    whose values Keras divides by the number of replicas.

    Args:
        per_sample: Float tensor with the values of the samples of this
            replica; it may be empty.

    Returns:
        Scalar tensor.
    """
    total = tf.reduce_sum(per_sample)
    count = tf.cast(tf.size(per_sample), total.dtype)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        count = context.all_reduce(tf.distribute.ReduceOp.SUM, count)
    return tf.math.divide_no_nan(total, count)


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


def _symbolic_build_of(model):
    def build(iterator=None, data_batch=None):
        strategy = model._distribute_strategy
        if strategy is None:
            return
        if iterator is not None:
            for *_, batches in iterator:
                data_batch = keras.tree.map_structure(
                    lambda x: _largest_share(strategy, x), next(iter(batches))
                )
                break
        with strategy.scope():
            model._symbolic_build(data_batch=data_batch)

    return build


def _largest_share(strategy, values):
    shares = strategy.experimental_local_results(values)
    # That of the last replica may be empty.
    return max(shares, key=lambda x: int(tf.shape(x)[0]) if x.shape.rank else 0)


def _with_an_axis(step):
    def step_with_an_axis(data):
        # Keras averages over axis 0, which a scalar lacks.
        return keras.tree.map_structure(
            lambda x: x[None] if len(x.shape) == 0 else x,
            keras.tree.map_structure(tf.convert_to_tensor, step(data)),
        )

    return step_with_an_axis


def _check_keras():
    expected = {
        "_maybe_symbolic_build": ("iterator", "data_batch"),
        "_symbolic_build": ("data_batch",),
    }
    for name, arguments in expected.items():
        method = getattr(keras.Model, name, None)
        known = inspect.signature(method).parameters if method else ()
        if not set(arguments) <= set(known):
            raise RuntimeError(
                "This version of Keras builds models in another way than "
                "`distribution_safe` puts right. Received: keras "
                f"{keras.__version__}, whose Model has no {name}"
                f"({', '.join(arguments)}). Train without it, or with "
                "another version."
            )
