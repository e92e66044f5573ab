"""The images of a run, as the round that trains sees them."""

import os

import numpy as np

from keras_xmap.datasets import channel_statistics
from keras_xmap.erasing._passes import Passes
from keras_xmap.erasing._passes import image_input
from keras_xmap.erasing._passes import mining_pass
from keras_xmap.erasing._passes import training_passes
from keras_xmap.erasing._passes import whole_batches
from keras_xmap.erasing._restart import random_states
from keras_xmap.erasing._restart import set_random_states
from keras_xmap.erasing.erased import erased
from keras_xmap.layers import EraseRegions
from keras_xmap.regions import RegionStore


class MinedImages:
    """A dataset, and the regions mined from its images so far.

    Args:
        dataset: As `callbacks.AdversarialErasing` takes it.
        name: Text, the folder of its regions in that of the run.

    Attributes:
        dataset: The same.
        input_name: Which of the inputs the images are, `None` for the only
            one.
        store: `RegionStore`, once it is opened.
    """

    def __init__(self, dataset, name):
        self.dataset = dataset
        self.input_name = image_input(dataset)
        self.store = None
        self._name = name

    def open(self, directory, workers, round_id):
        """Opens the store, without the regions of a round and later ones.

        All workers wait here for each other.

        Args:
            directory: Path of the folder of the run, or `None`.
            workers: `distribution.Workers`.
            round_id: Integer: a round that was not finished is trained and
                mined again.
        """
        if directory is not None:
            directory = os.path.join(directory, self._name)
        if workers.is_chief:
            self.store = RegionStore(directory, worker=workers.index)
            for mined in self.store.rounds:
                if mined >= round_id:
                    self.store.discard(mined)
        workers.wait()
        if not workers.is_chief:
            self.store = RegionStore(directory, worker=workers.index)

    def before(self, ids, size, round_id):
        """Returns masks of what the rounds before a round have found."""
        if self.store is None:  # asked before `fit` has begun
            return np.zeros((len(ids), *size), "bool")
        return self.store.mask(ids, size, rounds=range(1, round_id))


class RoundData:
    """The datasets of a run, whose images lack what earlier rounds found.

    They are made before `fit`, and serve all rounds.

    Args:
        dataset: As `callbacks.AdversarialErasing` takes it.
        fill: The same.
        seed: Integer, of the order of images and of a random filling.
        state: `RunState`, that knows the round.

    Attributes:
        trained: `MinedImages`, those that are trained on.
        held_out: `MinedImages` to validate on, or `None`.
        passes: `Passes` over those that are trained on.
    """

    def __init__(self, dataset, fill, seed, state):
        if not isinstance(fill, EraseRegions) and fill not in ("mean", "noise"):
            EraseRegions(fill)  # that it can be made
        self.trained = MinedImages(dataset, "regions")
        self.held_out = None
        self.passes = Passes(seed)
        self._fill = fill
        self._seed = seed
        self._state = state
        self._erase = None
        self._batch_size = 32

    @property
    def sets(self):
        """List of all `MinedImages` of the run."""
        held_out = [] if self.held_out is None else [self.held_out]
        return [self.trained, *held_out]

    def open(self, workers):
        """Opens the stores, as of the beginning of the round that trains."""
        self.passes.leave()
        for images in self.sets:
            images.open(self._state.directory, workers, self._state.round_id)

    def settings(self):
        """Returns what of the data must stay the same for a run to go on."""
        config = self._layer().get_config()
        kept = ("fill", "mean", "stddev", "blur_radius")
        return {
            "held_out": self.held_out is not None,
            **{name: config.get(name) for name in kept},
        }

    def training_data(self, batch_size, shuffle_buffer, drop_remainder):
        """Returns the dataset that `fit` trains on, in all rounds."""
        self._batch_size = batch_size
        batches = training_passes(
            self.trained.dataset,
            self.passes.begin,
            self.passes.note,
            batch_size,
            shuffle_buffer,
            drop_remainder,
        )
        return self._erased(self.trained, batches)

    def validation_data(self, dataset, batch_size):
        """Returns held-out images without what is mined from them."""
        if self.held_out is not None:
            raise ValueError(
                "There can be one set of images to validate on. Received: a "
                "second one. Join them with `Dataset.concatenate`, each image "
                "with an id of its own."
            )
        self.held_out = MinedImages(dataset, "held_out")
        return self._erased(self.held_out, whole_batches(dataset, batch_size))

    def mining_data(self, images, workers):
        """Returns one worker's part of a set, `(inputs, labels, ids)`."""
        self._draw_anew("mining")
        batches = mining_pass(
            images.dataset, self._batch_size, workers.count, workers.index
        )
        return self._erased(images, batches)

    def begin_epoch(self, epoch):
        """Opens a pass over the images, `epoch` counted in the round."""
        self.passes.open_epoch(self._state.round_id, epoch)
        self._draw_anew(epoch)

    def _erased(self, images, batches):
        return erased(
            batches,
            lambda ids, size: images.before(ids, size, self._state.round_id),
            self._layer(),
            images.input_name,
        ).prefetch(2)

    def _layer(self):
        """Returns the layer that erases; made when it is first asked for."""
        if self._erase is None:
            self._erase = self._make_layer()
        return self._erase

    def _make_layer(self):
        if isinstance(self._fill, EraseRegions):
            return self._fill
        mean = stddev = None
        if self._fill in ("mean", "noise"):
            mean, stddev = channel_statistics(
                self.trained.dataset.batch(32), self.trained.input_name
            )
        return EraseRegions(
            self._fill,
            mean=mean,
            stddev=stddev,
            seed=self._seed,
            dtype="float32",
        )

    def _draw_anew(self, part):
        """Sets the state of a random filling for an epoch, or for mining."""
        key = f"{self._seed} {self._state.round_id} {part} filling"
        set_random_states(random_states(self._layer()), key)
