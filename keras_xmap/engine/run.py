"""How much is computed at a time, and where.

The one place that compiles, batches, reads `tf.data`, spreads work over
replicas, shows progress and copies results to the host.
"""

import collections
import threading
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_xmap._validation import check_positive_integer
from keras_xmap.engine.checks import as_value_error
from keras_xmap.engine.checks import require

_MAX_STEPS = 16  # compiled steps that one runner keeps


class Runner:
    """Compiles a computation on batches, and runs it on any amount of data.

    One step is traced per signature: structure, sizes and dtypes of the
    inputs, and kind of target. The number of images in a batch is no part of
    it. Steps live as long as the runner does.

    Args:
        model: The model that is explained.
        compute: Takes `(inputs, target, parts)`, structures of tensors around
            the `Target`, and returns a structure of tensors whose first axis
            is the batch. Called while tracing.
    """

    def __init__(self, model, compute):
        self.model = model
        self.num_traces = 0
        self._compute = compute
        self._steps = collections.OrderedDict()
        self._lock = threading.RLock()
        self._warned = False

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, target):
        """Computes one batch of tensors where the caller stands.

        Inside a `tf.function` the computation becomes part of it.
        """
        inputs = _as_tensors(inputs)
        parts = _as_tensors(target.parts)
        _check_batch(inputs, target, parts)
        self._build_model(inputs)
        if tf.inside_function():
            return self._traced(target, inputs, parts)
        return self._run(_OnHost(), inputs, target, parts)

    def batches(self, data, target, batch_size, verbose):
        """Yields NumPy results, batch by batch, in the order of `data`.

        Args:
            data: Array, tensor or structure of them; or a batched
                `tf.data.Dataset` as for `model.predict`.
            target: `Target`.
            batch_size: Integer: images per forward pass of arrays. A dataset
                comes in batches of its own.
            verbose: `"auto"`, 0 or 1: whether a progress bar is shown.
        """
        source = _Source(data, batch_size)
        if source.size is not None:
            target.check_length(source.size)
        where = _placement(self.model)
        bar = _progress_bar(source.num_batches, verbose)
        offset, waiting = 0, None
        for inputs in source:
            inputs = _as_tensors(inputs)
            size = _batch_size(inputs)
            parts = _as_tensors(target.slice(offset, offset + size))
            offset += size
            _check_batch(inputs, target, parts)
            if not self.model.built:
                with where.scope():
                    self._build_model(inputs)
            result = self._run(where, inputs, target, parts)
            if waiting is not None:
                # One batch behind: the device works while the host copies.
                yield where.to_numpy(*waiting)
            waiting = result, size
            if bar:
                bar.add(1)
        if waiting is None:
            raise ValueError(
                "There is nothing to explain. Expected: at least one image. "
                "Received: data without any batch."
            )
        yield where.to_numpy(*waiting)
        target.check_length(offset)

    def collect(self, data, target, batch_size, verbose):
        """Returns the results of `batches`, joined along the first axis."""
        collected = list(self.batches(data, target, batch_size, verbose))
        if len(collected) == 1:
            return collected[0]
        return keras.tree.map_structure(
            lambda *parts: None if parts[0] is None else np.concatenate(parts),
            *collected,
        )

    def _run(self, where, inputs, target, parts):
        args = (inputs, parts)
        flat = where.place(keras.tree.flatten(args))
        key = (where.key(flat), _signature(args), target.key)
        step = self._step(key, where, args, flat, target)
        try:
            return step(*flat)
        except tf.errors.InvalidArgumentError as error:
            raise as_value_error(error) or error from None

    def _step(self, key, where, args, flat, target):
        with self._lock:
            step = self._steps.get(key)
            if step is None:

                def flat_compute(*flat):
                    inputs, parts = keras.tree.pack_sequence_as(args, flat)
                    return self._traced(target, inputs, parts)

                step = where.compile(flat_compute, flat)
                self._steps[key] = step
                if len(self._steps) > _MAX_STEPS:
                    self._steps.popitem(last=False)
                    self._warn_of_retracing()
            else:
                self._steps.move_to_end(key)
            return step

    def _traced(self, target, inputs, parts):
        self.num_traces += 1
        with tf.control_dependencies(_value_checks(inputs)):
            inputs = keras.tree.map_structure(tf.identity, inputs)
        return self._compute(inputs, target, parts)

    def _build_model(self, inputs):
        """Creates the variables of a model that was never called."""
        if self.model.built:
            return
        shapes = [tuple(x.shape[1:]) for x in keras.tree.flatten(inputs)]
        if any(None in shape for shape in shapes):
            raise ValueError(
                f"The model {self.model.name!r} has no weights yet, and these "
                f"inputs have unknown sizes. Received: shapes {shapes}. Call "
                "the model once on a batch before explaining it."
            )
        with tf.init_scope():
            self.model(
                keras.tree.map_structure(
                    lambda x: tf.zeros((1, *x.shape[1:]), x.dtype), inputs
                ),
                training=False,
            )

    def _warn_of_retracing(self):
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"More than {_MAX_STEPS} different steps were compiled for "
                "one explainer, which is slow. Make a callable target once, "
                "outside of the loop, and bring images to few sizes.",
                stacklevel=6,
            )


class _OnHost:
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
        step = tf.function(function, input_signature=signature, autograph=False)
        return step.get_concrete_function()

    def to_numpy(self, result, size):
        return keras.tree.map_structure(
            lambda x: None if x is None else x.numpy(), result
        )


class _OnReplicas:
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
        def run(*flat):
            return self._strategy.run(function, args=flat)

        return tf.function(run, autograph=False)

    def to_numpy(self, result, size):
        def joined(value):
            if value is None:
                return None
            local = self._strategy.experimental_local_results(value)
            return np.concatenate([x.numpy() for x in local])[:size]

        # A structure of per-replica values: keras.tree sees those as leaves.
        return keras.tree.map_structure(joined, result)


class _Source:
    """Batches of inputs, out of arrays or of a dataset, once and in order."""

    def __init__(self, data, batch_size):
        self._data = data
        if isinstance(data, tf.data.Dataset):
            count = int(data.cardinality())
            if count == tf.data.INFINITE_CARDINALITY:
                raise ValueError(
                    "`data` must end. Received: a tf.data.Dataset of infinite "
                    "cardinality. Remove `repeat()` or add `take(count)`."
                )
            self.num_batches = count if count >= 0 else None
            self.size = None
            return
        if hasattr(data, "__next__") or callable(data):
            raise TypeError(
                "`data` must be an array, a tensor, a structure of them, or a "
                f"tf.data.Dataset. Received: {type(data).__name__}."
            )
        self._data = keras.tree.map_structure(_as_array, data)
        self.size = _batch_size(self._data)
        self._batch_size = check_positive_integer("batch_size", batch_size)
        self.num_batches = -(-self.size // batch_size)

    def __iter__(self):
        if isinstance(self._data, tf.data.Dataset):
            for element in self._data:
                if isinstance(element, tuple):
                    element, _, _ = keras.utils.unpack_x_y_sample_weight(
                        element
                    )
                yield element
            return
        for start in range(0, self.size, self._batch_size):
            stop = start + self._batch_size
            yield keras.tree.map_structure(
                lambda x, start=start, stop=stop: x[start:stop], self._data
            )


def _placement(model):
    strategy = getattr(model, "distribute_strategy", None)
    strategy = strategy or tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return _OnHost()
    return _OnReplicas(strategy)


def _as_array(x):
    if isinstance(x, (np.ndarray, tf.Tensor)):
        return x
    return np.asarray(x)


def _as_tensors(inputs):
    return keras.tree.map_structure(tf.convert_to_tensor, inputs)


def _batch_size(inputs):
    sizes = {
        x.shape[0] if len(x.shape) else None for x in keras.tree.flatten(inputs)
    }
    if len(sizes) != 1 or None in sizes:
        shapes = keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
        raise ValueError(
            "All inputs must have the batch as first axis, of one size. "
            f"Received: shapes {shapes}."
        )
    return sizes.pop()


def _check_batch(inputs, target, parts):
    """Checks what is known of a batch before the model sees it."""
    flat = keras.tree.flatten(inputs)
    shapes = keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
    if not flat or any(x.shape.rank == 0 for x in flat):
        raise ValueError(
            "Inputs must be arrays with the batch as first axis. Received: "
            f"shapes {shapes}."
        )
    if any(0 in tuple(x.shape) for x in flat):
        raise ValueError(
            "There is nothing to explain. Expected: at least one image. "
            f"Received: shapes {shapes}."
        )
    if not any(x.dtype.is_floating for x in flat) or any(
        x.dtype.is_integer and x.shape.rank >= 4 and x.shape[-1] != 1
        for x in flat
    ):
        dtypes = keras.tree.map_structure(lambda x: x.dtype.name, inputs)
        raise TypeError(
            "Images must be floating-point, with the scaling the model was "
            f"trained on. Received: dtype {dtypes}, shapes {shapes}. Convert "
            'them by `images.astype("float32")`, and scale them as in '
            "training."
        )
    for part in keras.tree.flatten(parts):
        if part.shape.rank and part.shape[0] != flat[0].shape[0]:
            if None in (part.shape[0], flat[0].shape[0]):
                continue
            raise ValueError(
                "`target` must have one entry per image. Received: a target "
                f"of shape {tuple(part.shape)} for {flat[0].shape[0]} images."
            )


def _value_checks(inputs):
    return [
        require(
            tf.reduce_all(tf.math.is_finite(x)),
            "Images must be finite. Received: an input with NaN or infinite "
            "values. Find them by `numpy.isfinite`.",
        )
        for x in keras.tree.flatten(inputs)
        if x.dtype.is_floating
    ]


def _signature(args):
    leaves = [
        (tuple(x.shape[1:]) if x.shape.rank else None, x.dtype)
        for x in keras.tree.flatten(args)
    ]
    return str(keras.tree.map_structure(lambda x: None, args)), str(leaves)


def _progress_bar(num_batches, verbose):
    if verbose not in ("auto", 0, 1, 2, False, True):
        raise ValueError(
            f"`verbose` must be 'auto', 0 or 1. Received: verbose={verbose!r}."
        )
    if not verbose or (verbose == "auto" and num_batches == 1):
        return None
    return keras.utils.Progbar(num_batches)
