"""Where a run of erasing stands, in memory and in its folder."""

import io
import json
import os

import numpy as np

from keras_xmap import _files
from keras_xmap._run_files import check_same_run
from keras_xmap._run_files import content_of
from keras_xmap._run_files import decoded
from keras_xmap._run_files import encoded
from keras_xmap._run_files import lost
from keras_xmap._run_files import what_is_wrong
from keras_xmap.erasing._together import raise_together

_STATE, _START = "state.json", "start.npz"
# Attributes, and what they are called in the file.
_KEYS = {
    "round_id": "round",
    "began": "began",
    "weights": "weights",
    "trained": "trained",
    "records": "records",
    "finished": "finished",
    "files": "files",
    "counts": "counts",
}
_NAMES = {"run", *_KEYS.values()}


class RunState:
    """What is written to the folder of a run, and read when it goes on.

    It alone counts the rounds; everything else asks it. All workers hold the
    same state, and the chief writes it. It also knows what else must be in
    the folder, by checksum.

    Args:
        directory: Path of a folder, or `None` to keep the state in memory.

    Attributes:
        round_id: Integer from 1: the round that trains.
        began: Integer, the epoch of `fit` in which it began; `None` before
            the first round has.
        weights: Dictionary of lists: checksums that the weights had at the
            end of epochs of this round, by the epoch that follows.
        trained: Dictionary, once this round has trained: its `"logs"`,
            `"num_epochs"`, how many epochs it took, and the checksum of
            `"weights"`.
        records: List of dictionaries, one for each round that has ended.
        finished: Text that says why there are no more rounds, or `None`.
        files: Dictionary, the checksum of each file of rounds that have
            mined, of the start and of images, by its path in the folder.
        counts: Dictionary, how many images there are in a set, by its name.
    """

    def __init__(self, directory):
        self.directory = directory
        self._run = self._workers = None
        self._begin_anew()

    def open(self, run, workers):
        """Starts, or goes on with what is in the directory.

        Args:
            run: Dictionary of what decides the regions, and must be as it
                was.
            workers: `distribution.Workers`.
        """
        self._run, self._workers = json.loads(json.dumps(run)), workers
        self._begin_anew()
        if self.directory is None and workers.count > 1:
            raise ValueError(
                "Several workers need a folder that all of them see. "
                "Received: directory=None."
            )
        if self.directory is not None and _files.file_exists(self._path()):
            self._read()

    def begin_round(self, epoch):
        """Notes the epoch of `fit` in which this round begins."""
        is_first = self.began is None
        if self.began != epoch or self.trained is not None or self.weights:
            self.began, self.trained, self.weights = epoch, None, {}
            self._write()
        if is_first and self.directory is not None and self._workers.count > 1:
            self._workers.wait()
            raise_together(self._workers, self._check_run)

    def end_epoch(self, next_epoch, weights):
        """Notes the checksum of the weights that an epoch ended with."""
        known = self.weights.setdefault(str(next_epoch), [])
        if weights not in known:
            known.append(weights)
            self._write()

    def end_training(self, num_epochs, logs, weights):
        """Notes that this round has trained, and with what result."""
        self.trained = {
            "num_epochs": num_epochs,
            "logs": logs,
            "weights": weights,
        }
        self._write()

    def end_round(self, record, next_began, files):
        """Notes that this round has mined, and goes on to the next."""
        # The regions of all workers are in the folder before this is.
        self._workers.wait()
        self.records.append(record)
        self.files.update(files)
        self.round_id += 1
        self.began, self.trained, self.weights = next_began, None, {}
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
        if self.began is None:
            file = io.BytesIO()
            np.savez(file, *values)
            self.put(_START, file.getvalue())
            self._workers.wait()
            content = self._content(_START)
            if content is None:
                raise ValueError(
                    "Several workers need a folder that all of them see. "
                    f"Received: {self._path(_START)} of the chief, which is "
                    "not there for this one."
                )
            self.files[_START] = _files.checksum(content)
        with np.load(io.BytesIO(self.get(_START))) as arrays:
            return [arrays[f"arr_{i}"] for i in range(len(arrays.files))]

    def put(self, name, content):
        """Writes a file, and knows it from now on; the chief alone does."""
        self.files[name] = _files.checksum(content)
        if self._workers.is_chief:
            _files.make_directory(self.directory)
            _files.write_atomically(self._path(name), content)

    def get(self, name):
        """Returns the content of a file that `put` has written."""
        content = self._content(name)
        if content is None or _files.checksum(content) != self.files[name]:
            how = "missing" if content is None else "not as it was written"
            raise ValueError(lost([f"{self._path(name)} ({how})"]))
        return content

    def check_files(self, folder, found):
        """Raises unless a folder of regions holds what it should.

        Args:
            folder: Text, the name of the folder in that of the run.
            found: Dictionary, the checksum of each file of rounds that have
                mined, by its path in the folder of the run.
        """
        expected = {
            path: value
            for path, value in self.files.items()
            if path.startswith(f"{folder}/")
        }
        wrong = [
            f"{self._path(path)} ({how})"
            for path in sorted({*expected, *found})
            for how in [what_is_wrong(expected.get(path), found.get(path))]
            if how
        ]
        if wrong:
            raise ValueError(lost(wrong))

    def seen_images(self, name, seen):
        """Returns `seen`, that knows what the images of a set look like.

        Args:
            name: Text, the name of the set.
            seen: `SeenImages`.
        """
        path = self._images(name)
        if path is not None:
            content = self.get(path)
            origin = f"the run in directory={self.directory!r}"
            seen.compare(content, self.counts[name], origin)
        return seen

    def keep_images(self, name, seen):
        """Writes what the images of a set look like.

        With several workers, those of all are held against the chief's.

        Args:
            name: Text, the name of the set.
            seen: `SeenImages`.
        """
        if self.directory is None:
            return
        content, old = seen.to_bytes(), self._images(name)
        path = f"images-{name}-{_files.checksum(content):08x}.npy"
        if path != old or self.counts[name] != seen.count:
            self.files.pop(old, None)
            self.counts[name] = seen.count
            self.put(path, content)
            self._write()
            if self._workers.is_chief and old not in (None, path):
                _files.delete_file(self._path(old))
        if self._workers.count > 1:
            self._workers.wait()
            raise_together(
                self._workers, lambda: self._compare_images(name, seen)
            )

    def _compare_images(self, name, seen):
        if not self._workers.is_chief:
            state = self._decoded()
            self.files, self.counts = state["files"], state["counts"]
            content = self.get(self._images(name))
            seen.compare(content, self.counts[name], "the chief")
            seen.check()

    def _images(self, name):
        """Returns the path of what the images of a set look like."""
        prefix = f"images-{name}-"
        return next((x for x in self.files if x.startswith(prefix)), None)

    def _begin_anew(self):
        self.round_id, self.began, self.weights = 1, None, {}
        self.trained, self.records, self.finished = None, [], None
        self.files, self.counts = {}, {}

    def _path(self, name=_STATE):
        return os.path.join(self.directory, name)

    def _content(self, name):
        return content_of(self._path(name))

    def _read(self):
        state = self._check_run()
        for name, key in _KEYS.items():
            setattr(self, name, state[key])

    def _check_run(self):
        """Returns the state in the folder, which must be of the same run."""
        state = self._decoded()
        check_same_run(self.directory, state["run"], self._run)
        return state

    def _decoded(self):
        return decoded(self._content(_STATE), self._path(), _NAMES)

    def _write(self):
        if self.directory is None or not self._workers.is_chief:
            return
        state = {key: getattr(self, name) for name, key in _KEYS.items()}
        _files.make_directory(self.directory)
        content = encoded({"run": self._run, **state})
        _files.write_atomically(self._path(), content)
