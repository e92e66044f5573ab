"""What a round costs beyond its training and one pass over the images.

Times are those of the processor, of all threads: on a machine that is shared
the hours of the clock tell little.
"""

import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.common import timing
from keras_xmap import callbacks

SIZE, BATCH = 96, 32


def make_model():
    inputs = x = keras.Input((SIZE, SIZE, 3))
    for filters in (16, 32, 64, 64):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x) if filters < 64 else x
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4)(x))
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return model


class Clock(keras.callbacks.Callback):
    """Times the second round, from its start to the end of training.

    Attributes:
        seconds: Of all of it.
        after: Of what followed on its last epoch, which is mining.
    """

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epochs:
            self.start = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        self.trained = time.process_time()

    def on_train_end(self, logs=None):
        self.seconds = time.process_time() - self.start
        self.after = time.process_time() - self.trained


def overhead(folder, arguments, save):
    """A second round, whose images lack what the first one found.

    Beside it stands the same training of images as they are, and `predict` of
    all of them; they take turns, and each turn gives one ratio.
    """
    del folder
    count, epochs = arguments.overhead_images, arguments.overhead_epochs
    generator = np.random.default_rng(0)
    images = generator.uniform(size=(count, SIZE, SIZE, 3)).astype("float32")
    labels = np.arange(count) % 4
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    model = make_model()
    ratios, shares, seconds = [], [], []
    for turn in range(arguments.repeats + 1):
        clock = timed_round(model, dataset, epochs)
        trained, predicted = timed_floor(model, dataset, images, epochs)
        if turn:  # the first one compiles
            ratios.append(clock.seconds / (trained + predicted))
            shares.append(clock.after / predicted)
            seconds.append(trained + predicted)
    middle, quartiles = timing.median_and_quartiles(ratios)
    report = {
        "images": count,
        "epochs": epochs,
        "training and predict, seconds": round(statistics.median(seconds), 2),
        "round / (training + predict)": round(middle, 3),
        "quartiles": [round(x, 3) for x in quartiles],
        "mining / predict": round(statistics.median(shares), 2),
    }
    print(report, flush=True)
    save(f"{SIZE} px, batch {BATCH}, four convolutions", report)


def timed_round(model, dataset, epochs):
    clock = Clock(epochs)
    erasing = callbacks.AdversarialErasing(
        dataset.enumerate(),
        epochs_per_round=epochs,
        max_rounds=2,
        stop=lambda records: None,
    )
    model.fit(
        erasing.training_data(BATCH),
        epochs=erasing.num_epochs,
        callbacks=[clock, erasing],
        verbose=0,
    )
    return clock


def timed_floor(model, dataset, images, epochs):
    """Returns the seconds of training, and of `predict`."""
    plain = dataset.shuffle(1024).batch(BATCH).prefetch(2)
    start = time.process_time()
    model.fit(plain, epochs=epochs, verbose=0)
    trained = time.process_time()
    model.predict(images, batch_size=BATCH, verbose=0)
    return trained - start, time.process_time() - trained
