"""How a network of a run is trained, so that it can go on after a kill."""

import os
import tempfile

import keras
import numpy as np

from keras_xmap import _files
from keras_xmap.callbacks import ChiefBackup
from keras_xmap.distribution import distribution_safe


class Order(keras.callbacks.Callback):
    """The order of the images in each epoch, told by the epoch alone.

    A run that goes on with an epoch sees them as it would have.
    """

    def __init__(self, count, seed):
        super().__init__()
        self._count, self._seed, self._epoch = count, seed, 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def __call__(self):
        rng = np.random.default_rng((self._seed, self._epoch))
        return rng.permutation(self._count)


class KeepResult(keras.callbacks.Callback):
    """Ends a stage when training ends, before its backup is deleted.

    Args:
        folder: `RunFolder`.
        stage: Text, the name of the stage.
        files: Dictionary from names of files to functions that write a model
            to a path: what is kept.
    """

    def __init__(self, folder, stage, files):
        super().__init__()
        self._folder, self._stage, self._files = folder, stage, files
        self._logs = {}

    def on_epoch_end(self, epoch, logs=None):
        self._logs = {k: float(v) for k, v in (logs or {}).items()}

    def on_train_end(self, logs=None):
        # The loss of the last epoch is from before its last step.
        weights = self.model.get_weights()
        if not all(np.isfinite(w).all() for w in weights):
            raise ValueError(diverged(self._stage, self._logs))
        for name, save in self._files.items():
            write_model(save, self._folder.path(name))
        self._folder.finish(self._stage, list(self._files), self._logs)


def diverged(stage, logs):
    """Returns the message about a network that cannot be used."""
    return (
        f"The training of the {stage} must end with finite weights that find "
        f"something. Received: none, and {logs}. Give an `optimizer` of a "
        "lower learning rate, or the `value_range` of the backbone, and an "
        "empty `directory`."
    )


def write_model(save, path):
    """Writes what `save` does to a file, all of it or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, os.path.basename(path))
        save(place)
        _files.write_atomically(path, _files.read_file(place))


def load_weights(network, path):
    """Loads weights, wherever they lie."""
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, os.path.basename(path))
        _files.write_atomically(place, _files.read_file(path))
        network.load_weights(place)


def train(model, stage, dataset, run, files):
    """Fits a model, and leaves what is to be kept of it in the folder.

    Args:
        model: Compiled model.
        stage: Text, the name of the stage.
        dataset: Function of an `Order` that returns single images with what
            is known of them.
        run: `Run`.
        files: As of `KeepResult`.
    """
    settings = run.settings
    order = Order(len(run.images), settings.seed)
    # Replicas weigh the images of a batch that is not full unevenly.
    is_split = model.distribute_strategy.num_replicas_in_sync > 1
    batches = dataset(order).batch(run.batch_size, drop_remainder=is_split)
    is_classifier = stage == "classifier"
    epochs = settings.classifier_epochs if is_classifier else settings.epochs
    distribution_safe(model).fit(
        batches.prefetch(2),
        epochs=epochs,
        shuffle=False,
        verbose=run.verbose,
        callbacks=[
            order,
            KeepResult(run.folder, stage, files),
            ChiefBackup(run.folder.path(f"backup-{stage}")),
        ],
    )
