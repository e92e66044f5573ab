"""Train and explain on several devices and several machines.

    strategy = tf.distribute.MirroredStrategy()
    with strategy.scope():
        model = make_model()
    keras_xmap.distribution.distribution_safe(model)
    model.fit(data, callbacks=[AdversarialErasing(...), ChiefBackup("backup")])

On this page the adversarial erasing of the example before runs on one machine
with several devices, or on several machines. What is learned, and what is
found, is the same: that is what you check.

One machine, all of its GPUs, or N virtual devices of its CPU:

    python 08_distributed_training.py
    python 08_distributed_training.py --replicas 2

Several machines: on each the same program, with the list of all and its own
place in it, and a folder that all of them see. On one machine, to try it:

    python 08_distributed_training.py --workers 2

starts two processes as two machines would be; each finds this in TF_CONFIG:

    {"cluster": {"worker": ["host1:12345", "host2:12345"]},
     "task": {"type": "worker", "index": 0}}

If one of them dies, start all again with the same `--directory`: they go on.

Data: drawn squares, nothing is downloaded. Time: under a minute.
Expect: the share of the squares' pixels that is found, 1.0, whatever the
number of replicas and workers.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_xmap import callbacks
from keras_xmap import distribution

SIZE, NUM_IMAGES = 24, 128


def make_data():
    """Images with a strong and a weak square, classes, and their masks."""
    rng = np.random.default_rng(0)
    labels = np.arange(NUM_IMAGES) % 2
    images = rng.normal(0, 0.1, size=(NUM_IMAGES, SIZE, SIZE, 2))
    masks = np.zeros((NUM_IMAGES, SIZE, SIZE), "bool")
    for i, label in enumerate(labels):
        for quarter, strength in zip(
            rng.permutation(4)[:2], (3.0, 1.0), strict=True
        ):
            top, left = (12 * x + 3 for x in divmod(quarter, 2))
            images[i, top : top + 6, left : left + 6, label] += strength
            masks[i, top : top + 6, left : left + 6] = True
    return images.astype("float32"), labels.astype("int32"), masks


def make_model():
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 2)),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            # Replicas share their statistics, or each would have its own.
            layers.BatchNormalization(momentum=0.8, synchronized=True),
            layers.ReLU(),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def make_strategy(replicas):
    if "TF_CONFIG" in os.environ:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if replicas is None:
        return tf.distribute.MirroredStrategy()
    # Devices for trying it out; collectives keep a thread busy on each.
    tf.config.threading.set_inter_op_parallelism_threads(2 * replicas)
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * replicas,
    )
    return tf.distribute.MirroredStrategy(
        [f"CPU:{i}" for i in range(replicas)],
        cross_device_ops=tf.distribute.HierarchicalCopyAllReduce(),
    )


def train(directory, replicas, epochs):
    strategy = make_strategy(replicas)
    keras.utils.set_random_seed(0)
    images, labels, masks = make_data()
    with strategy.scope():
        model = make_model()
    distribution.distribution_safe(model)
    erasing = callbacks.AdversarialErasing(
        tf.data.Dataset.from_tensor_slices((images, labels)).enumerate(),
        epochs_per_round=epochs,
        max_rounds=2,
        stop=callbacks.StopRule("accuracy"),
        directory=os.path.join(directory, "erasing"),
    )
    backup = callbacks.ChiefBackup(os.path.join(directory, "backup"))
    # The batch is that of all replicas and workers together.
    model.fit(
        erasing.training_data(batch_size=16),
        epochs=erasing.num_epochs,
        callbacks=[erasing, backup],
        verbose=0,
    )
    regions = np.stack([erasing.store.region(i) for i in range(NUM_IMAGES)])
    found = float((regions & masks).sum() / masks.sum())
    workers = distribution.Workers(strategy)
    print(
        f"worker {workers.index} of {workers.count}, "
        f"{strategy.num_replicas_in_sync} replicas: {erasing.finished} "
        f"{found:.3f} of the squares found"
    )
    return found


def launch(count, argv):
    """Starts the processes that `count` machines would."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    hosts = [f"localhost:{x.getsockname()[1]}" for x in sockets]
    for one in sockets:
        one.close()
    processes = []
    for index in range(count):
        config = {
            "cluster": {"worker": hosts},
            "task": {"type": "worker", "index": index},
        }
        environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
        command = [sys.executable, os.path.abspath(__file__), *argv]
        processes.append(subprocess.Popen(command, env=environment))
    return max(process.wait() for process in processes)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, help="virtual CPU devices")
    parser.add_argument("--workers", type=int, help="processes to start here")
    parser.add_argument("--directory", help="folder that all workers see")
    parser.add_argument("--epochs", type=int, default=6, help="of a round")
    parser.add_argument("--smoke", action="store_true", help="a quick look")
    arguments = parser.parse_args(argv)
    epochs = 3 if arguments.smoke else arguments.epochs
    with tempfile.TemporaryDirectory() as temporary:
        directory = arguments.directory or temporary
        if arguments.workers and "TF_CONFIG" not in os.environ:
            options = ["--directory", directory, "--epochs", str(epochs)]
            return launch(arguments.workers, options)
        return train(directory, arguments.replicas, epochs)


if __name__ == "__main__":
    main()
