import os
import re
import tempfile
from typing import Any

import keras

from keras_xmap import _files
from keras_xmap._repr import as_call
from keras_xmap._typing import Path
from keras_xmap.distribution import Workers

_PREFIX, _SUFFIX = "epoch-", ".weights.h5"
# The epoch to go on with, and the checksum of the file.
_NAME = re.compile(r"epoch-(\d{8})-([0-9a-f]{8})\.weights\.h5")


class ChiefBackup(keras.callbacks.Callback):
    """Lets training with several workers go on after one was killed.

    If one worker dies, the others cannot continue: all are started again, and
    call the same `fit`. It then goes on with the epoch that was broken off,
    with weights and optimizer as they were at its start. As in Keras, random
    states of layers such as `Dropout` are not kept.

    One worker, the chief, writes, and all read; Keras' own
    `BackupAndRestore` lets all of them write to one file. A backup appears
    whole or not at all, under a name that tells its epoch and a checksum,
    and replaces the one before. Training with one process may use it as well.

    Args:
        directory: Folder that all workers see, local or of a scheme of
            `tf.io.gfile`. It is emptied of backups when training ends.

    Raises:
        ValueError: In `fit`, if the model has no weights yet, or if the
            backup is damaged.
        TypeError: If `directory` is no path.

    Example:

    >>> backup = keras_xmap.callbacks.ChiefBackup("backup")
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x, y = np.zeros((4, 2)), np.zeros(4)
    >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[backup])
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = _files.check_path("directory", directory)

    def __repr__(self) -> str:
        return as_call(self, directory=self.directory)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if not self.model.built:
            raise ValueError(
                "The model must be built before `fit`, so that its weights "
                f"can be restored. Received: model {self.model.name!r} without "
                "weights. Call it on a batch first."
            )
        if not hasattr(self.model, "_initial_epoch"):
            raise RuntimeError(
                "This version of Keras has no way to begin at a later epoch. "
                f"Received: keras {keras.__version__}."
            )
        strategy = self.model.distribute_strategy
        self._workers = Workers(strategy)
        names = self._names()
        if names:
            with strategy.scope():
                self.model.optimizer.build(self.model.trainable_variables)
                self.model._initial_epoch = self._load(names[-1])
        # Nobody changes the folder before all have looked into it.
        self._workers.wait()

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if not self._workers.is_chief:
            return
        older = self._names()
        _files.make_directory(self.directory)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, _PREFIX + _SUFFIX)
            self.model.save_weights(path)
            content = _files.read_file(path)
        check = _files.checksum(content)
        name = f"{_PREFIX}{epoch + 1:08d}-{check:08x}{_SUFFIX}"
        _files.write_atomically(os.path.join(self.directory, name), content)
        self._delete(set(older) - {name})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        # Keras keeps it, and the next fit would begin there.
        self.model._initial_epoch = None
        if self._workers.is_chief:
            self._delete(self._names())

    def _names(self):
        return _files.list_files(self.directory, _PREFIX, _SUFFIX)

    def _load(self, name):
        place = os.path.join(self.directory, name)
        content, known = _files.read_file(place), _NAME.fullmatch(name)
        if not known or _files.checksum(content) != int(known[2], 16):
            raise ValueError(
                "A backup must be as it was written, with its checksum in its "
                f"name. Received: {place}. Put back the file, or delete it, "
                "and training begins anew."
            )
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, name)
            _files.write_atomically(path, content)
            self.model.load_weights(path)
        return int(known[1])

    def _delete(self, names):
        for name in names:
            _files.delete_file(os.path.join(self.directory, name))
