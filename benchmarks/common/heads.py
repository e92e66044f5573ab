"""Scores of the classes of photos, from networks trained on ImageNet."""

import json
import os

import keras
import numpy as np
import tensorflow as tf

from benchmarks.common.labelled import CLASSES
from benchmarks.common.labelled import SIZE
from benchmarks.common.layer_names import FEATURES
from keras_xmap import models

FOLDS = 2  # what is chosen on one is judged on the other
SCALES = (0.75, 1.0, 1.25)  # of training
DECAY = 0.1  # of a linear head


class LargestOfGroups(keras.layers.Layer):
    """The largest of the scores that stand for a class.

    Args:
        groups: List of lists of the numbers of scores.
    """

    def __init__(self, groups, **kwargs):
        super().__init__(**kwargs)
        most = max(map(len, groups))
        # Of equal length, the last one repeated.
        self.groups = np.array(
            [[*g, *[g[-1]] * (most - len(g))] for g in groups]
        )

    def call(self, scores):
        return keras.ops.max(keras.ops.take(scores, self.groups, axis=-1), -1)


def groups_of(folder, dataset):
    """Returns a dict from classes to the ImageNet classes they are made of."""
    path = os.path.join(folder.path, "mappings", f"{CLASSES[dataset]}.json")
    with open(path) as file:
        return {name: row["imagenet"] for name, row in json.load(file).items()}


def join_classes(folder, photos, network, arguments):
    """Takes the classes' scores from those of ImageNet, as they are.

    Returns:
        As `train_heads`: a model, of which no weights are exchanged.
    """
    del arguments
    groups = groups_of(folder, photos.dataset)
    net = folder.network(network, logits=True, size=SIZE)
    scorer = models.fully_convolutional(net, pooling="position")
    scores = LargestOfGroups(
        [groups[name] for name in photos.classes], name="class_scores"
    )(scorer.output)
    scorer = keras.Model(scorer.input, scores)
    images = folder.prepared(network, photos.images)
    outputs = scorer.predict(images, batch_size=16, verbose=0).mean((1, 2))
    rows = np.arange(len(photos.images))
    return scorer, [(scorer.get_weights(), rows)], outputs


def train_heads(folder, photos, network, arguments):
    """Trains a head of all classes a fold, on a frozen network.

    Args:
        arguments: Those of the command: `head_epochs`.

    Returns:
        A model from images of any size to score maps; a list of pairs: its
        weights, and the rows that they have not seen; what they say of those
        rows, `(photos, classes)`.
    """
    trunk = frozen_trunk(folder, network)
    features = _features(folder, photos, network, trunk)
    fold = photos.folds(FOLDS)
    outputs = np.zeros_like(photos.labels)
    classifier = models.multi_label_classifier(
        trunk, photos.labels.shape[1], scale_range=None
    )
    found = []
    for number in range(FOLDS):
        keras.utils.set_random_seed(number)
        head = classifier.get_layer("class_scores")
        head.set_weights(
            [keras.random.normal(w.shape, stddev=0.03) for w in head.weights]
        )
        rows = np.flatnonzero(fold != number)
        epochs = arguments.head_epochs
        _fit_head(classifier, features, photos.labels, rows, epochs)
        held_out = np.flatnonzero(fold == number)
        images = folder.prepared(network, photos.images[held_out])
        outputs[held_out] = classifier.predict(images, batch_size=16, verbose=0)
        scorer = models.fully_convolutional(classifier, pooling="position")
        found.append((scorer.get_weights(), held_out))
    return scorer, found, outputs


def linear_head(means, labels, seed, epochs):
    """Trains a linear classifier on the means of features over positions.

    Args:
        means: `(variants, photos, channels)`: an epoch takes one variant of
            them after the other.
        labels: `(photos, classes)`.
        seed: Integer.
        epochs: Integer.

    Returns:
        Weights `(channels, classes)` and biases `(classes,)`.
    """
    keras.utils.set_random_seed(seed)
    head = keras.Sequential(
        [keras.Input(means.shape[2:]), keras.layers.Dense(labels.shape[1])]
    )
    head.compile(
        keras.optimizers.AdamW(1e-2, weight_decay=DECAY),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    for epoch in range(epochs):
        head.fit(means[epoch % len(means)], labels, batch_size=64, verbose=0)
    return head.get_weights()


def frozen_trunk(folder, network, size=SIZE, name=None):
    """Returns the network up to its last map of features."""
    net = folder.network(network, logits=True, size=size)
    output = net.get_layer(FEATURES[network]).output
    trunk = keras.Model(net.input, output, name=name)
    trunk.trainable = False
    return trunk


def _features(folder, photos, network, trunk):
    """What the trunk says of the photos at each of the scales."""
    features = []
    for scale in SCALES:
        side = int(SIZE * scale)
        images = tf.image.resize(photos.images.astype("float32"), (side, side))
        images = folder.prepared(network, images.numpy())
        sized = models.fully_convolutional(
            keras.Sequential([trunk, keras.layers.GlobalMaxPooling2D()]),
            pooling="position",
        )
        features.append(sized.predict(images, batch_size=16, verbose=0))
    return features


def _fit_head(classifier, features, labels, rows, epochs):
    """Trains the layers behind the trunk, on its features of some scales."""
    inputs = keras.Input((None, None, features[0].shape[-1]))
    x = inputs
    for name in ("class_scores", "best_position", "probabilities"):
        x = classifier.get_layer(name)(x)
    head = keras.Model(inputs, x)
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(rows))
    head.compile(
        keras.optimizers.AdamW(schedule, weight_decay=1e-2),
        "binary_crossentropy",
    )
    generator = np.random.default_rng(0)
    for _ in range(epochs):
        order = generator.permutation(rows)
        for start in range(0, len(order), 16):
            part = np.sort(order[start : start + 16])
            of_scale = features[generator.integers(len(features))]
            head.train_on_batch(of_scale[part], labels[part])
