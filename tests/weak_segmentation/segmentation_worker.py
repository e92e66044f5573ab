"""A run of weak segmentation as a program, that may be killed where it is.

    python segmentation_worker.py FOLDER RUN [--kill PATTERN] [--erase]
        [--workers]

The scenes of FOLDER are segmented in RUN. Once a file of PATTERN is in RUN,
the process kills itself. With `--workers`, it is one of those that `TF_CONFIG`
tells of. The last line tells the most memory it took, in MiB.
"""

import argparse
import os
import pathlib
import resource
import signal
import sys
import threading

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import keras
import tensorflow as tf
from weak_segmentation import blots

from keras_xmap.datasets import VOCFolder
from keras_xmap.weak_segmentation import WeakSegmentation


def kill_when_there(folder, pattern):
    def watch():
        while not any(folder.glob(pattern)):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--kill")
    parser.add_argument("--erase", action="store_true")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", action="store_true")
    arguments = parser.parse_args()
    strategy = tf.distribute.get_strategy()
    if arguments.workers:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    if arguments.kill:
        kill_when_there(arguments.run, arguments.kill)
    run = WeakSegmentation(
        blots.make_backbone(),
        arguments.run,
        32,
        max_rounds=2 if arguments.erase else 1,
        classifier_epochs=arguments.epochs,
        epochs=arguments.epochs,
        batch_size=8,
        optimizer=keras.optimizers.Adam,
        crf=None,
        value_range=(0, 1),
    )
    images = VOCFolder(arguments.folder, class_names=blots.CLASSES)
    with strategy.scope():
        run.fit(images, verbose=0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


if __name__ == "__main__":
    main()
