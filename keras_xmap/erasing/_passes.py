"""Whether every epoch is a pass over the data, begun in that epoch."""

import threading
import zlib


class Passes:
    """Which pass over the data `fit` is in, and that it is the only one.

    A batch is made from the regions known at that moment. Only if every epoch
    is a pass of its own, begun after the round has, no batch is older.
    """

    def __init__(self, seed):
        self._seed = seed
        self._epoch = None
        self._epoch_of = {}
        self._late = 0
        self._lock = threading.Lock()

    def begin(self):
        with self._lock:
            number = len(self._epoch_of)
            self._epoch_of[number] = self._epoch
            key = f"{self._seed} {self._epoch}".encode()
        return number, zlib.crc32(key)

    def note(self, number):
        with self._lock:
            epoch = self._epoch_of[number]
            self._late += epoch is not None and epoch != self._epoch
        return number

    def open_epoch(self, round, epoch):
        with self._lock:
            self._epoch = round, epoch
            self._late = 0

    def check_first_batch(self):
        """Raises if the first batch of an epoch is of an earlier pass."""
        if not self._num_begun():
            self._raise(0)

    def close_epoch(self):
        """Raises if what was trained on was not one pass, begun in time."""
        begun = self._num_begun()
        if begun != 1 or self._late:
            self._raise(begun)

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

    def leave(self):
        """Forgets all passes, as one that is not taken to its end."""
        with self._lock:
            self._epoch = None
            self._epoch_of = dict.fromkeys(self._epoch_of)
