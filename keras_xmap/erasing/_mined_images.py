"""The images of a dataset, and the regions mined from them so far."""

import numpy as np

from keras_xmap.erasing import _training_passes
from keras_xmap.regions import RegionStore


class MinedImages:
    """A dataset and its store, which holds regions beside the images.

    Args:
        dataset: As `callbacks.AdversarialErasing` takes it.

    Attributes:
        dataset: The same.
        input_name: Which of the inputs the images are, `None` for the only
            one.
        store: `RegionStore`, once it is opened.
    """

    def __init__(self, dataset):
        self.dataset = dataset
        self.input_name = _training_passes.image_input(dataset)
        self.store = None

    def open(self, directory, workers, round):
        """Opens the store, without the regions of `round` and later ones.

        All workers wait here for each other.

        Args:
            directory: Path of a folder, or `None`.
            workers: `distribution.Workers`.
            round: Integer: a round that was not finished is trained and
                mined again.
        """
        if workers.is_chief:
            self.store = RegionStore(directory, worker=workers.index)
            for mined in self.store.rounds:
                if mined >= round:
                    self.store.discard(mined)
        workers.wait()
        if not workers.is_chief:
            self.store = RegionStore(directory, worker=workers.index)

    def before(self, ids, size, round):
        """Returns masks of what the rounds before `round` have found."""
        if self.store is None:  # asked before `fit` has begun
            return np.zeros((len(ids), *size), "bool")
        return self.store.mask(ids, size, rounds=range(1, round))
