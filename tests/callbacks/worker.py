"""Adversarial erasing as a program: alone, or as one of several workers.

    python worker.py DIRECTORY [--slow] [--backup] [--other-copy]

The last line tells the regions. With TF_CONFIG it is one of several workers.
"""

import argparse
import os
import pathlib
import sys
import time
import types
import zlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import keras
import tensorflow as tf
from callbacks import blobs

from keras_xmap import distribution
from keras_xmap import explainers
from keras_xmap.callbacks import AdversarialErasing
from keras_xmap.callbacks import ChiefBackup


def say(*words):
    print(*words, flush=True)


def make_strategy():
    if "TF_CONFIG" not in os.environ:
        return tf.distribute.get_strategy()
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=(
            tf.distribute.experimental.CommunicationImplementation.RING
        )
    )
    return tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=options
    )


class Slow(keras.callbacks.Callback):
    """Says where training is, and leaves time to be killed there."""

    def on_epoch_begin(self, epoch, logs=None):
        say("epoch", epoch)

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.1)


class Explainer(explainers.GradCAM):
    """Says, if it is slow, where mining is."""

    # No part of what the explainer is, and of the run.
    pace = types.SimpleNamespace(seconds=0, num_batches=0)

    def explain_batches(self, *args, **kwargs):
        self.pace.num_batches += 1
        if self.pace.seconds:
            say("mining", self.pace.num_batches)
        time.sleep(self.pace.seconds)
        return super().explain_batches(*args, **kwargs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--backup", action="store_true")
    parser.add_argument("--other-copy", action="store_true")
    arguments = parser.parse_args()
    if arguments.slow:
        Explainer.pace.seconds = 0.3
    strategy = make_strategy()
    images, labels, _ = blobs.make_images(32, noise=0.2)
    workers = distribution.Workers(strategy)
    if arguments.other_copy and not workers.is_chief:
        labels[5] = 1 - labels[5]
    with strategy.scope():
        model = blobs.trained(keras.optimizers.Adam(0.02), seed=1, dropout=0.0)
    distribution.distribution_safe(model)
    erasing = AdversarialErasing(
        blobs.make_dataset(images, labels),
        epochs_per_round=2,
        stop=lambda records: None,
        directory=os.path.join(arguments.directory, "run"),
        explainer=Explainer,
    )
    callbacks = [erasing]
    if arguments.backup:
        callbacks.append(
            ChiefBackup(os.path.join(arguments.directory, "backup"))
        )
    if arguments.slow:
        callbacks.append(Slow())
    data = erasing.training_data(8)
    history = model.fit(
        data, epochs=erasing.num_epochs, callbacks=callbacks, verbose=0
    )
    losses = [round(loss, 5) for loss in history.history["loss"]]
    say("losses", losses, [r["num_regions"] for r in erasing.rounds])
    content = b"".join(
        blobs.regions_of(erasing.store, 32, rounds=r).tobytes()
        for r in (1, 2, 3)
    )
    counts = [
        int(blobs.regions_of(erasing.store, 32, rounds=r).sum())
        for r in (1, 2, 3)
    ]
    say("regions", counts, zlib.crc32(content))


if __name__ == "__main__":
    main()
