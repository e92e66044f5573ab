"""Adversarial erasing without the training: what is mined, and erased next."""

import io
import json
import os

import numpy as np

from keras_xmap import _files
from keras_xmap.datasets import channel_statistics
from keras_xmap.erasing import _training_passes
from keras_xmap.erasing._mined_images import MinedImages
from keras_xmap.erasing._passes import Passes
from keras_xmap.erasing._random_states import random_states
from keras_xmap.erasing._random_states import set_random_states
from keras_xmap.erasing.erased import erased
from keras_xmap.layers import EraseRegions


class ErasingRounds:
    """The rounds of adversarial erasing, around whatever trains.

    Round `t` trains on images without the regions of the rounds before; at
    its end `mine` adds its own. What was done is kept in `directory`, so that
    a run that is killed goes on with the round it was in.

    `callbacks.AdversarialErasing` drives it inside `model.fit`, and has the
    description of the arguments.

    Attributes:
        store: `RegionStore`, what was mined.
        held_out_store: The same of the images to validate on, or `None`.
        round: Integer from 1: the round that trains.
        began: Integer, the epoch of `fit` in which it began.
        trained: Dictionary, once this round has trained: its `"logs"`, and
            `"num_epochs"`, how many epochs it took.
        records: List of dictionaries, one for each round that has ended.
        finished: Text that says why there are no more rounds, or `None`.
    """

    def __init__(self, dataset, targets, threshold, fill, directory, seed):
        self.targets = targets
        self.threshold = threshold
        self.fill = fill
        self.directory = None if directory is None else os.fspath(directory)
        self.seed = seed
        self.workers = None
        self.passes = Passes(seed)
        self._images = MinedImages(dataset)
        self._held_out = None
        self._num_columns = 1
        self._erase = None
        self._batch_size = 32
        self._forget()

    @property
    def store(self):
        return self._images.store

    @property
    def held_out_store(self):
        return self._held_out and self._held_out.store

    def open(self, workers):
        """Starts, or goes on with what is in the directory.

        Args:
            workers: `distribution.Workers`.
        """
        self.workers = workers
        self.passes.leave()
        self._forget()
        if self.directory is not None:
            self._read_state()
        elif workers.count > 1:
            raise ValueError(
                "Several workers need a folder that all of them see. "
                "Received: directory=None."
            )
        for images, name in self._sets():
            folder = self.directory and os.path.join(self.directory, name)
            images.open(folder, workers, self.round)

    def training_data(self, batch_size, shuffle_buffer, drop_remainder):
        """Returns the dataset that `fit` trains on, in all rounds."""
        self._batch_size = batch_size
        passes = _training_passes.training_passes(
            self._images.dataset,
            self.passes.begin,
            self.passes.note,
            batch_size,
            shuffle_buffer,
            drop_remainder,
        )
        return self._erased(self._images, passes)

    def validation_data(self, dataset, batch_size):
        """Returns held-out images without what is mined from them."""
        if self._held_out is not None:
            raise ValueError(
                "There can be one set of images to validate on. Received: a "
                "second one. Join them with `Dataset.concatenate`, each image "
                "with an id of its own."
            )
        self._held_out = MinedImages(dataset)
        return self._erased(
            self._held_out, _training_passes.whole_batches(dataset, batch_size)
        )

    def begin_epoch(self, epoch):
        """Opens a pass over the images, `epoch` counted in the round."""
        self.passes.open_epoch(self.round, epoch)
        self._draw_anew(epoch)

    def mine(self, explainer):
        """Adds the regions of this round; returns what they are.

        Args:
            explainer: An explainer of the trained model.

        Returns:
            Dictionary: `"new_share"`, the share of all pixels in regions of
            this round and of none before; `"area_share"`, in any region;
            `"num_regions"`.
        """
        for images, _ in self._sets():
            self._draw_anew("mining")
            batches = _training_passes.mining_pass(
                images.dataset,
                self._batch_size,
                self.workers.count,
                self.workers.index,
            )
            totals = np.zeros(4)
            for batch in self._erased(images, batches).prefetch(2):
                totals += self._mine(images, explainer, *batch)
            images.store.flush()
            sums = self.workers.sum(totals.tolist())
            images.store.refresh()
            if images is self._images:
                pixels, before, new, count = sums
        return {
            "num_regions": int(count),
            "new_share": new / max(pixels, 1),
            "area_share": (before + new) / max(pixels, 1),
        }

    def end_training(self, num_epochs, logs):
        """Writes that this round has trained, and with what result."""
        self.trained = {"num_epochs": num_epochs, "logs": logs}
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
        if self.began != epoch or self.trained is not None:
            self.began, self.trained = epoch, None
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
        if self.workers.is_chief and not _files.file_exists(path):
            _files.make_directory(self.directory)
            file = io.BytesIO()
            np.savez(file, *values)
            _files.write_atomically(path, file.getvalue())
        self.workers.wait()
        with np.load(io.BytesIO(_files.read_file(path))) as arrays:
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
        _files.make_directory(self.directory)
        _files.write_atomically(self._state_path(), _to_json(state))

    def _forget(self):
        self.round, self.began = 1, 0
        self.trained, self.records, self.finished = None, [], None

    def _state_path(self):
        return os.path.join(self.directory, "state.json")

    def _read_state(self):
        if not _files.file_exists(self._state_path()):
            return
        state = json.loads(_files.read_file(self._state_path()))
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
            "held_out": self._held_out is not None,
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
            mean, stddev = channel_statistics(
                self._images.dataset.batch(32), self._images.input_name
            )
        return EraseRegions(
            self.fill, mean=mean, stddev=stddev, seed=self.seed, dtype="float32"
        )

    def _sets(self):
        """Returns pairs: `MinedImages`, and the name of their folder."""
        sets = [(self._images, "regions"), (self._held_out, "held_out")]
        return [pair for pair in sets if pair[0] is not None]

    def _erased(self, images, batches):
        return erased(
            batches,
            lambda ids, size: images.before(ids, size, self.round),
            self.erase,
            images.input_name,
        )

    def _draw_anew(self, part):
        """Sets the state of a random filling for an epoch, or for mining."""
        key = f"{self.seed} {self.round} {part} filling"
        set_random_states(random_states(self.erase), key)

    def _mine(self, images, explainer, inputs, labels, ids):
        classes, is_class = self._classes(labels.numpy())
        maps = next(
            explainer.explain_batches(inputs, classes, batch_size=len(ids))
        )
        ids = ids.numpy()
        masks = above(maps, self.threshold)
        rows, columns = np.nonzero(is_class)
        chosen = masks[rows, columns]
        before = images.before(ids, masks.shape[-2:], self.round)
        images.store.add(ids[rows], classes[rows, columns], self.round, chosen)
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
