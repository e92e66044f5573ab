"""Passes over a dataset: their order, and that each epoch is one of them."""

import threading
import zlib

import numpy as np
import tensorflow as tf

from keras_xmap._checks import check_instance


class Passes:
    """Which pass over the data `fit` is in, and that it is the only one.

    A batch is made from the regions known at that moment. Only if every epoch
    is a pass of its own, begun after the round has, no batch is older.

    Args:
        seed: Integer, of the order of images in a pass.
    """

    def __init__(self, seed):
        self._seed = seed
        self._epoch = None
        self._epoch_of = {}
        self._late = 0
        self._has_begun = False
        self._lock = threading.Lock()

    def begin(self):
        """Returns the number of a new pass, and the seed of its order."""
        with self._lock:
            number = len(self._epoch_of)
            self._epoch_of[number] = self._epoch
            key = f"{self._seed} {self._epoch}".encode()
        return number, zlib.crc32(key)

    def note(self, number):
        """Returns the number of a pass, once a batch of it is made."""
        with self._lock:
            epoch = self._epoch_of[number]
            self._late += epoch is not None and epoch != self._epoch
        return number

    def open_epoch(self, round_id, epoch):
        """Takes what begins from now on for an epoch of a round."""
        with self._lock:
            self._epoch = round_id, epoch
            self._late = 0
            self._has_begun = False

    def check_batch(self):
        """Raises if the first batch of an epoch is of an earlier pass."""
        if not self._has_begun:
            if not self._num_begun():
                self._raise(0)
            self._has_begun = True

    def close_epoch(self):
        """Raises if what was trained on was not one pass, begun in time."""
        begun = self._num_begun()
        if begun != 1 or self._late:
            self._raise(begun)

    def leave(self):
        """Forgets all passes, as one that is not taken to its end."""
        with self._lock:
            self._epoch = None
            self._epoch_of = dict.fromkeys(self._epoch_of)

    def _num_begun(self):
        with self._lock:
            return list(self._epoch_of.values()).count(self._epoch)

    def _raise(self, begun):
        raise ValueError(
            "Every epoch must be one pass over `training_data`, or images "
            "would be trained on with regions that should be erased. "
            f"Received: {begun} passes begun in this epoch, {self._late} "
            "batches of an earlier one. Give `fit` the dataset as it is: no "
            "`cache()` behind it, no `repeat()`, no `steps_per_epoch`."
        )


def training_passes(dataset, begin, note, batch_size, shuffle_buffer, drop):
    """Returns batches of a dataset, shuffled by a seed asked for each pass.

    `Dataset.shuffle` counts the passes itself, and starts over in a process
    that is started again. Here the caller says which pass it is.

    Args:
        dataset: Finite `tf.data.Dataset` of pairs `(ids, element)`, single
            images in a fixed order.
        begin: Function without arguments, called when a pass begins, that
            returns the number of the pass and a seed.
        note: Function of the number of a pass, called for each batch.
        batch_size: Integer, images in a batch, over all replicas.
        shuffle_buffer: Integer: 1 keeps the order.
        drop: Boolean, whether the last batch is left out if it is not full.

    Returns:
        `tf.data.Dataset` of pairs `(ids, element)` in batches.
    """

    def one_pass(number_and_seed):
        number, seed = number_and_seed[0], number_and_seed[1]
        # The order hangs on `seed` alone, whatever the seed of the program;
        # besides, TensorFlow cannot combine a tensor with a program's 0.
        tf.compat.v1.get_default_graph().seed = 1
        shuffled = dataset.shuffle(
            shuffle_buffer, seed, reshuffle_each_iteration=False
        )
        return shuffled.map(lambda ids, element: (number, ids, element))

    def noted(numbers, ids, element):
        count = tf.numpy_function(
            lambda number: np.int64(note(int(number))), [numbers[0]], tf.int64
        )
        with tf.control_dependencies([count]):
            return tf.nest.map_structure(tf.identity, ids), element

    cardinality = dataset.cardinality()
    passes = tf.data.Dataset.from_tensors(0).map(lambda _: _asked(begin))
    dataset = passes.flat_map(one_pass)
    if cardinality >= 0:
        dataset = dataset.apply(
            tf.data.experimental.assert_cardinality(cardinality)
        )
    dataset = dataset.batch(batch_size, drop_remainder=drop).map(noted)
    return _divided_by_batch(dataset)


def whole_batches(dataset, batch_size):
    """Returns batches of a dataset in its own order, to validate on.

    Args:
        dataset: As for `training_passes`.
        batch_size: Integer, images in a batch, over all replicas.

    Returns:
        `tf.data.Dataset` of pairs `(ids, element)` in batches.
    """
    return _divided_by_batch(dataset.batch(batch_size))


def mining_pass(dataset, batch_size, count, index):
    """Returns one worker's part of a dataset, in batches that keep their ids.

    Args:
        dataset: As for `training_passes`.
        batch_size: Integer.
        count: Integer, number of workers.
        index: Integer from 0, the worker.

    Returns:
        `tf.data.Dataset` of pairs `(ids, element)` in batches.
    """
    return dataset.shard(count, index).batch(batch_size)


def with_ids(dataset):
    """Returns `(ids, (inputs, labels, ids))`, to be handed to `erased`."""
    return dataset.map(
        lambda ids, element: (ids, (element[0], element[1], ids))
    )


def numbered(dataset):
    """Returns `((place, id), element)`: where in the dataset it stands."""
    return dataset.enumerate().map(
        lambda place, pair: ((place, pair[0]), pair[1])
    )


def shown(dataset, show):
    """Returns batches without their places, each shown to a function first.

    Args:
        dataset: `tf.data.Dataset` of batches of what `numbered` returns.
        show: Function of places, ids, and lists of arrays: the inputs; labels
            and weights.

    Returns:
        `tf.data.Dataset` of pairs `(ids, element)` in batches.
    """

    def show_first(places_and_ids, element):
        places, ids = places_and_ids
        inputs, others = _dense(element[0]), _dense(element[1:])

        def call(places, ids, *arrays):
            split = len(inputs)
            show(places, ids, arrays[:split], arrays[split:])
            return np.int64(0)

        done = tf.numpy_function(
            call, [places, ids, *inputs, *others], tf.int64
        )
        with tf.control_dependencies([done]):
            return tf.identity(ids), element

    return dataset.map(show_first)


def image_input(dataset):
    """Returns which input of a dataset the images are: `None` if the only one.

    Raises:
        ValueError: If it does not end, or does not hold `(ids, (inputs,
            labels, ...))` of single images, one to an element.
        TypeError: If it is no `tf.data.Dataset`.
    """
    check_instance(
        "dataset",
        dataset,
        tf.data.Dataset,
        "a tf.data.Dataset",
        "`tf.data.Dataset.from_tensor_slices((images, labels)).enumerate()` "
        "makes one.",
    )
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`dataset` must end. Received: a tf.data.Dataset of infinite "
            "cardinality. Remove `repeat()`: epochs repeat it."
        )
    if dataset.cardinality() == 0:
        raise ValueError(
            "`dataset` must hold an image. Received: a tf.data.Dataset of "
            "cardinality 0."
        )
    spec = dataset.element_spec
    if (
        not isinstance(spec, tuple)
        or len(spec) != 2
        or not isinstance(spec[1], tuple)
        or len(spec[1]) < 2
    ):
        raise ValueError(
            "`dataset` must hold pairs `(ids, (inputs, labels))`. Received: "
            f"elements {spec}. `dataset.enumerate()` numbers the elements."
        )
    inputs = spec[1][0]
    if isinstance(inputs, tf.TensorSpec):
        found = [None] if _is_image(inputs) else []
    else:
        pairs = (
            inputs.items() if isinstance(inputs, dict) else enumerate(inputs)
        )
        found = [name for name, part in pairs if _is_image(part)]
    if len(found) != 1 or spec[0].shape.rank != 0:
        raise ValueError(
            "`dataset` must hold single images `(height, width, channels)`, "
            "one to an element, each with its id. Received: elements "
            f"{spec}. Do not batch it; `training_data` does."
        )
    if not (spec[0].dtype.is_integer or spec[0].dtype == tf.string):
        raise ValueError(
            "Ids must be integers or text. Received: ids of dtype "
            f"{spec[0].dtype.name}. `dataset.enumerate()` makes such."
        )
    return found[0]


def _dense(structure):
    return [x for x in tf.nest.flatten(structure) if isinstance(x, tf.Tensor)]


def _divided_by_batch(dataset):
    # Files know nothing of labels: every worker takes its part of each batch.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return dataset.with_options(options)


def _is_image(spec):
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank == 3


def _asked(begin):
    answer = tf.numpy_function(
        lambda: np.asarray(begin(), "int64"), [], tf.int64
    )
    return tf.ensure_shape(answer, (2,))
