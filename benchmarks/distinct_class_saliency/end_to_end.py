"""A network of several classes, all of whose weights learn the photos."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.common.heads import frozen_trunk
from benchmarks.common.heads import train_heads
from benchmarks.common.labelled import SIZE
from keras_xmap import models

BATCH, RATE = 16, 3e-5
SMALLEST = 0.6  # side of a window, as a share of that of the photo
SCALES = (0.75, 1.0)  # to which a window is shrunk


def train_networks(folder, photos, network, arguments):
    """Trains a network of all classes a fold, that begins with a frozen one.

    Returns:
        As `train_heads`.
    """
    scorer, heads, _ = train_heads(folder, photos, network, arguments)
    images = folder.prepared(network, photos.images)
    outputs, found = np.zeros_like(photos.labels), []
    for number, (weights, held_out) in enumerate(heads):
        scorer.set_weights(weights)
        classifier = make_classifier(folder, photos, network, number)
        classifier.get_layer("class_scores").set_weights(
            scorer.get_layer("class_scores").get_weights()
        )
        rows = np.setdiff1d(np.arange(len(images)), held_out)
        fit(classifier, images, photos.labels, rows, arguments.epochs, number)
        outputs[held_out] = classifier.predict(
            images[held_out], batch_size=BATCH, verbose=0
        )
        scorer = models.fully_convolutional(classifier, pooling="position")
        found.append((scorer.get_weights(), held_out))
    return scorer, found, outputs


def make_classifier(folder, photos, network, seed):
    trunk = frozen_trunk(folder, network)
    trunk.trainable = True
    return models.multi_label_classifier(
        trunk, photos.labels.shape[1], scale_range=SCALES, seed=seed
    )


def fit(classifier, images, labels, rows, epochs, seed):
    """Trains on windows of the photos, half of them mirrored."""
    keras.utils.set_random_seed(seed)
    steps = epochs * -(-len(rows) // BATCH)
    warmup = steps // 10
    schedule = keras.optimizers.schedules.CosineDecay(
        RATE / 50, steps - warmup, warmup_target=RATE, warmup_steps=warmup
    )
    classifier.compile(
        keras.optimizers.AdamW(schedule, weight_decay=1e-2),
        "binary_crossentropy",
    )
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        order = generator.permutation(rows)
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            classifier.train_on_batch(
                windows(images[part], generator), labels[part]
            )


def windows(images, generator):
    """Returns a window of each image, enlarged to its size."""
    number = len(images)
    side = generator.uniform(SMALLEST, 1, number)
    top, left = generator.uniform(size=(2, number)) * (1 - side)
    right = left + side
    mirrored = generator.random(number) < 0.5
    left, right = (
        np.where(mirrored, right, left),
        np.where(mirrored, left, right),
    )
    return tf.image.crop_and_resize(
        images,
        np.stack([top, left, top + side, right], 1),
        np.arange(number),
        (SIZE, SIZE),
    )
