"""The images of a dataset, and what was mined from them."""

import os

import numpy as np
import tensorflow as tf

from keras_xmap._run_files import lost
from keras_xmap.erasing._label_prior import LabelPrior
from keras_xmap.erasing._passes import image_input
from keras_xmap.erasing._seen_images import SeenImages
from keras_xmap.erasing._together import raise_together
from keras_xmap.regions import RegionStore


class MinedImages:
    """A dataset, and the regions mined from its images so far.

    Args:
        dataset: As `callbacks.AdversarialErasing` takes it.
        name: Text, the folder of its regions in that of the run.
        check_labels: Function of the labels of a batch, that raises if they
            cannot be mined by.
        has_masks: Boolean, whether there are regions of a second threshold.
            Defaults to `False`.

    Attributes:
        dataset: The same.
        input_name: Which of the inputs the images are, `None` for the only
            one.
        store: `RegionStore`, once it is opened.
        mask_store: The same of a second threshold; without one, `store`.
        seen: `SeenImages`, what the images look like.
        prior: `LabelPrior`, how frequent their classes are.
    """

    def __init__(self, dataset, name, check_labels, has_masks=False):
        self.dataset = dataset
        self.input_name = image_input(dataset)
        self.store = self.mask_store = self.seen = None
        self._name = name
        self._stores = dict.fromkeys(
            [name, f"{name}-masks"] if has_masks else [name]
        )
        self._check_labels = check_labels
        self.prior = LabelPrior()
        self._error = None

    def open(self, state, workers):
        """Opens the store, without regions of a round that was broken off.

        All workers wait here for each other.

        Args:
            state: `RunState`, that knows the round, which is trained and
                mined again, and what must be in the folder.
            workers: `distribution.Workers`.
        """
        self._error = None
        self.seen = state.seen_images(self._name, SeenImages("dataset"))
        raise_together(
            workers, lambda: workers.is_chief and self._open(state, workers)
        )
        if not workers.is_chief:
            self._open(state, workers)

    def files(self):
        """Returns the checksums of the files of the stores, by their path."""
        return {
            f"{folder}/{shard['name']}": shard["checksum"]
            for folder, store in self._stores.items()
            for shard in store.shards()
        }

    def flush(self):
        for store in self._stores.values():
            store.flush()

    def refresh(self):
        for store in self._stores.values():
            store.refresh()

    def show(self, places, ids, inputs, others):
        """Looks at a batch, in a thread that makes them."""
        if self.seen is None:  # asked before `fit` has begun
            return
        self.seen.show(places, ids, inputs, others)
        if self.seen.is_watching:
            self.prior.show(places, others[0])
            try:
                self._check_labels(others[0])
            except Exception as error:
                self._error = error

    def check(self):
        """Raises if something was wrong with a batch."""
        if self._error is not None:
            raise self._error
        self.seen.check()

    def keep(self, state):
        """Keeps what the images look like; all workers wait here."""
        if len(self.seen):
            self.seen.is_watching = False
            state.keep_images(self._name, self.seen)

    def before(self, ids, size, round_id):
        """Returns masks of what the rounds before a round have found."""
        if self.store is None:  # asked before `fit` has begun
            return np.zeros((len(ids), *size), "bool")
        return self.store.mask(ids, size, rounds=range(1, round_id))

    @property
    def labels_spec(self):
        """The `tf.TensorSpec` of the labels of an image, or several."""
        return self.dataset.element_spec[1][1]

    def description(self):
        """Returns what is known of the images without looking at them."""
        ids, element = tf.nest.map_structure(
            lambda spec: f"{spec.dtype.name} {spec.shape}",
            self.dataset.element_spec,
        )
        names = ("ids", "inputs", "labels", "weights")
        parts = dict(zip(names, (ids, *element), strict=False))
        return {**parts, "number": int(self.dataset.cardinality())}

    def _open(self, state, workers):
        for folder in self._stores:
            self._stores[folder] = _opened(folder, state, workers)
        self.store, *others = self._stores.values()
        self.mask_store = others[0] if others else self.store
        if workers.is_chief:
            for folder, store in self._stores.items():
                _discard_rest(folder, store, state)


def _opened(folder, state, workers):
    """Returns the store in a folder of that of the run."""
    directory = state.directory
    if directory is not None:
        directory = os.path.join(directory, folder)
    try:
        return RegionStore(directory, worker=workers.index)
    except ValueError as error:
        damaged = getattr(error, "damaged", None)
        raise (ValueError(lost(damaged)) if damaged else error) from error


def _discard_rest(folder, store, state):
    """Takes the regions of a round that was broken off out of a store."""
    found = {
        f"{folder}/{shard['name']}": shard["checksum"]
        for shard in store.shards()
        # A round that was broken off has begun.
        if shard["round"] != state.round_id or state.began is None
    }
    state.check_files(folder, found)
    store.discard(state.round_id)
