"""Adversarial erasing without the training: what is mined, and erased next."""

import io
import json
import os

import numpy as np

from keras_xmap import engine
from keras_xmap.layers import EraseRegions
from keras_xmap.segmentation._passes import Passes
from keras_xmap.segmentation.region_store import RegionStore


class ErasingRounds:
    """The rounds of adversarial erasing, around whatever trains.

    Round `t` trains on images without the regions of the rounds before; at
    its end `mine` adds its own. What was done is kept in `directory`, so that
    a run that is killed goes on with the round it was in.

    `callbacks.AdversarialErasing` drives it inside `model.fit`, and has the
    description of the arguments.

    Attributes:
        store: `RegionStore`, what was mined.
        round: Integer from 1: the round that trains.
        began: Integer, the epoch of `fit` in which it began.
        trained: Dictionary, the logs of this round, once it has trained.
        records: List of dictionaries, one for each round that has ended.
        finished: Text that says why there are no more rounds, or `None`.
    """

    def __init__(self, dataset, targets, threshold, fill, directory, seed):
        self.dataset = dataset
        self.targets = targets
        self.threshold = threshold
        self.fill = fill
        self.directory = None if directory is None else os.fspath(directory)
        self.seed = seed
        self.store = None
        self.workers = None
        self.passes = Passes(seed)
        self._input_name = engine.image_input(dataset)
        self._num_columns = 1
        self._erase = None
        self._batch_size = 32
        self._forget()

    def open(self, workers):
        """Starts, or goes on with what is in the directory.

        Args:
            workers: `engine.Workers`.
        """
        self.workers = workers
        self.passes.leave()
        self._forget()
        directory = self.directory
        if directory is not None:
            directory = os.path.join(directory, "regions")
            self._read_state()
        elif workers.count > 1:
            raise ValueError(
                "Several workers need a folder that all of them see. "
                "Received: directory=None."
            )
        if workers.is_chief:
            self.store = RegionStore(directory, worker=workers.index)
            # A round that was not finished is trained and mined again.
            for round in self.store.rounds:
                if round >= self.round:
                    self.store.discard(round)
        workers.wait()
        if not workers.is_chief:
            self.store = RegionStore(directory, worker=workers.index)

    def training_data(self, batch_size, shuffle_buffer, drop_remainder):
        """Returns the dataset that `fit` trains on, in all rounds."""
        self._batch_size = batch_size
        passes = engine.training_passes(
            self.dataset,
            self.passes.begin,
            self.passes.note,
            batch_size,
            shuffle_buffer,
            drop_remainder,
        )
        return self._erased(passes)

    def mine(self, explainer):
        """Adds the regions of this round; returns what they are.

        Args:
            explainer: An explainer of the trained model.

        Returns:
            Dictionary: `"new_share"`, the share of all pixels in regions of
            this round and of none before; `"area_share"`, in any region;
            `"num_regions"`.
        """
        batches = engine.mining_pass(
            self.dataset,
            self._batch_size,
            self.workers.count,
            self.workers.index,
        )
        totals = np.zeros(4)
        for inputs, labels, ids in self._erased(batches).prefetch(2):
            totals += self._mine(explainer, inputs, labels.numpy(), ids.numpy())
        self.store.flush()
        pixels, before, new, count = self.workers.sum(totals.tolist())
        self.store.refresh()
        return {
            "num_regions": int(count),
            "new_share": new / max(pixels, 1),
            "area_share": (before + new) / max(pixels, 1),
        }

    def end_training(self, logs):
        """Writes that this round has trained, and with what result."""
        self.trained = logs
        self.write_state()

    def end_round(self, record, next_began):
        """Writes that this round has mined, and goes on to the next."""
        # The regions of all workers are in the folder before this is.
        self.workers.wait()
        self.records.append(record)
        self.round += 1
        self.began = next_began
        self.trained = None
        self.write_state()

    def begin_at(self, epoch):
        """Notes the epoch of `fit` in which this round begins."""
        if self.began != epoch:
            self.began = epoch
            self.write_state()

    def finish(self, reason, failed=None):
        """Writes that there are no more rounds, and why.

        Args:
            reason: Text.
            failed: Record of a round that did not mine. Defaults to `None`.
        """
        if failed is not None:
            self.records.append(failed)
        self.finished = reason
        self.write_state()

    def start_values(self, values):
        """Returns the arrays that the first process began with.

        Args:
            values: List of arrays, those of this process.
        """
        if self.directory is None:
            return values
        path = os.path.join(self.directory, "start.npz")
        if self.workers.is_chief and not engine.file_exists(path):
            engine.make_directory(self.directory)
            file = io.BytesIO()
            np.savez(file, *values)
            engine.write_atomically(path, file.getvalue())
        self.workers.wait()
        with np.load(io.BytesIO(engine.read_file(path))) as arrays:
            return [arrays[f"arr_{i}"] for i in range(len(arrays.files))]

    def write_state(self):
        if self.directory is None or not self.workers.is_chief:
            return
        state = {
            "settings": self._settings(),
            "round": self.round,
            "began": self.began,
            "trained": self.trained,
            "records": self.records,
            "finished": self.finished,
        }
        engine.make_directory(self.directory)
        engine.write_atomically(self._state_path(), _to_json(state))

    def _forget(self):
        self.round, self.began = 1, 0
        self.trained, self.records, self.finished = None, [], None

    def _state_path(self):
        return os.path.join(self.directory, "state.json")

    def _read_state(self):
        if not engine.file_exists(self._state_path()):
            return
        state = json.loads(engine.read_file(self._state_path()))
        if state["settings"] != json.loads(_to_json(self._settings())):
            raise ValueError(
                "`directory` must be empty, or of a run with the same "
                f"arguments. Received: directory={self.directory!r} with "
                f"{state['settings']}, now {self._settings()}."
            )
        for name in ("round", "began", "trained", "records", "finished"):
            setattr(self, name, state[name])

    def _settings(self):
        config = self.erase.get_config()
        kept = ("fill", "mean", "stddev", "blur_radius")
        return {
            "threshold": self.threshold,
            "seed": self.seed,
            **{name: config.get(name) for name in kept},
        }

    @property
    def erase(self):
        """The layer that erases; made when it is first asked for."""
        if self._erase is None:
            self._erase = self._make_erase()
        return self._erase

    def _make_erase(self):
        if isinstance(self.fill, EraseRegions):
            return self.fill
        mean = stddev = None
        if self.fill in ("mean", "noise"):
            mean, stddev = engine.channel_statistics(
                self.dataset.batch(32), self._input_name
            )
        return EraseRegions(
            self.fill, mean=mean, stddev=stddev, seed=self.seed, dtype="float32"
        )

    def _erased(self, batches):
        return engine.erased(
            batches, self._look_up, self.erase, self._input_name
        )

    def _look_up(self, ids, size):
        if self.store is None:  # asked before `fit` has begun
            return np.zeros((len(ids), *size), "bool")
        return self.store.mask(ids, size, rounds=range(1, self.round))

    def _mine(self, explainer, inputs, labels, ids):
        classes, is_class = self._classes(labels)
        maps = next(
            explainer.explain_batches(inputs, classes, batch_size=len(ids))
        )
        masks = above(maps, self.threshold)
        rows, columns = np.nonzero(is_class)
        chosen = masks[rows, columns]
        before = self.store.mask(
            ids, masks.shape[-2:], rounds=range(1, self.round)
        )
        self.store.add(ids[rows], classes[rows, columns], self.round, chosen)
        new = (masks & is_class[:, :, None, None]).any(axis=1) & ~before
        return before.size, before.sum(), new.sum(), len(chosen)

    def _classes(self, labels):
        """Returns the classes of images `(batch, columns)`, and which count.

        There are as many columns as any image had classes so far, so that
        the explainer is compiled but once for each number.
        """
        if self.targets is not None:
            labels = np.asarray(self.targets(labels))
        if labels.ndim == 1 and labels.dtype.kind in "iu":
            return labels[:, None], np.ones((len(labels), 1), "bool")
        if labels.ndim != 2 or labels.shape[1] < 2:
            raise ValueError(
                "Labels must be class numbers `(batch,)` or one value for "
                "each class `(batch, classes)`, above 0.5 for those in the "
                f"image. Received: shape {labels.shape}, dtype {labels.dtype}. "
                "Give a function of the labels as `targets`."
            )
        present = labels > 0.5
        counts = present.sum(axis=1)
        self._num_columns = max(self._num_columns, int(counts.max(initial=1)))
        order = np.argsort(~present, axis=1, kind="stable")
        classes = order[:, : self._num_columns]
        is_class = np.arange(self._num_columns) < counts[:, None]
        # What does not count repeats a class that does: no map of an absent.
        return np.where(is_class, classes, classes[:, :1]), is_class


def above(maps, threshold):
    """Returns where maps `(..., height, width)` exceed a share of their peak.

    A map without a positive value exceeds it nowhere.
    """
    peak = maps.max(axis=(-2, -1), keepdims=True)
    return (maps > threshold * peak) & (peak > 0)


def _to_json(state):
    return json.dumps(state, indent=1, default=float).encode()
