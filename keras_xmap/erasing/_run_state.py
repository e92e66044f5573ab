"""Where a run of erasing stands, in memory and in its folder."""

import io
import json
import os

import numpy as np

from keras_xmap import _files

# Attributes, and what they are called in the file.
_KEYS = {
    "round_id": "round",
    "began": "began",
    "trained": "trained",
    "records": "records",
    "finished": "finished",
}


class RunState:
    """What is written to the folder of a run, and read when it goes on.

    It alone counts the rounds; everything else asks it. All workers hold the
    same state, and the chief writes it.

    Args:
        directory: Path of a folder, or `None` to keep the state in memory.

    Attributes:
        round_id: Integer from 1: the round that trains.
        began: Integer, the epoch of `fit` in which it began.
        trained: Dictionary, once this round has trained: its `"logs"`, and
            `"num_epochs"`, how many epochs it took.
        records: List of dictionaries, one for each round that has ended.
        finished: Text that says why there are no more rounds, or `None`.
    """

    def __init__(self, directory):
        self.directory = directory
        self._settings = self._workers = None
        self._begin_anew()

    def open(self, settings, workers):
        """Starts, or goes on with what is in the directory.

        Args:
            settings: Dictionary of what must be as it was.
            workers: `distribution.Workers`.
        """
        self._settings, self._workers = settings, workers
        self._begin_anew()
        if self.directory is not None:
            self._read()
        elif workers.count > 1:
            raise ValueError(
                "Several workers need a folder that all of them see. "
                "Received: directory=None."
            )

    def begin_round(self, epoch):
        """Notes the epoch of `fit` in which this round begins."""
        if self.began != epoch or self.trained is not None:
            self.began, self.trained = epoch, None
            self._write()

    def end_training(self, num_epochs, logs):
        """Notes that this round has trained, and with what result."""
        self.trained = {"num_epochs": num_epochs, "logs": logs}
        self._write()

    def end_round(self, record, next_began):
        """Notes that this round has mined, and goes on to the next."""
        # The regions of all workers are in the folder before this is.
        self._workers.wait()
        self.records.append(record)
        self.round_id += 1
        self.began, self.trained = next_began, None
        self._write()

    def finish(self, reason, failed=None):
        """Notes that there are no more rounds, and why.

        Args:
            reason: Text.
            failed: Record of a round that did not mine. Defaults to `None`.
        """
        if failed is not None:
            self.records.append(failed)
        self.finished = reason
        self._write()

    def start_values(self, values):
        """Returns the arrays that the first process began with.

        Args:
            values: List of arrays, those of this process.
        """
        if self.directory is None:
            return values
        path = os.path.join(self.directory, "start.npz")
        if self._workers.is_chief and not _files.file_exists(path):
            _files.make_directory(self.directory)
            file = io.BytesIO()
            np.savez(file, *values)
            _files.write_atomically(path, file.getvalue())
        self._workers.wait()
        with np.load(io.BytesIO(_files.read_file(path))) as arrays:
            return [arrays[f"arr_{i}"] for i in range(len(arrays.files))]

    def _begin_anew(self):
        self.round_id, self.began = 1, 0
        self.trained, self.records, self.finished = None, [], None

    def _path(self):
        return os.path.join(self.directory, "state.json")

    def _read(self):
        if not _files.file_exists(self._path()):
            return
        state = json.loads(_files.read_file(self._path()))
        if state["settings"] != json.loads(_to_json(self._settings)):
            raise ValueError(
                "`directory` must be empty, or of a run with the same "
                f"arguments. Received: directory={self.directory!r} with "
                f"{state['settings']}, now {self._settings}."
            )
        for name, key in _KEYS.items():
            setattr(self, name, state[key])

    def _write(self):
        if self.directory is None or not self._workers.is_chief:
            return
        state = {key: getattr(self, name) for name, key in _KEYS.items()}
        _files.make_directory(self.directory)
        content = _to_json({"settings": self._settings, **state})
        _files.write_atomically(self._path(), content)


def _to_json(state):
    return json.dumps(state, indent=1, default=float).encode()
