"""Adversarial erasing on photos, by heads on a frozen network.

Only a head is trained in each round, so that the features of the photos, as
they are then, are computed but once. What is done is what
`callbacks.AdversarialErasing` does; `through_callback` is the callback itself.
"""

import keras
import numpy as np
import tensorflow as tf
from _erasing_scores import THRESHOLDS
from _erasing_scores import above
from _erasing_scores import rounded
from _erasing_scores import scaled
from _erasing_scores import show
from _labelled import SIZE
from _labelled import Labelled
from _labelled import Overlaps
from _labelled import average_precision
from _labelled import divided
from _multi_label_heads import FEATURES

from keras_xmap import callbacks
from keras_xmap import layers
from keras_xmap import models

NETWORK = "squeezenet_v1_1"
FOLDS = 5
BATCH = 16
EPOCHS, DECAY = 100, 0.1  # of a linear head
ROUNDS = 3
MANY_ROUNDS = 6  # at the last threshold: does it turn worse, as in the paper?
MINING = (0.2, 0.5)  # thresholds of erasing
# Of Hide-and-Seek: sides of patches.
PATCHES = (0, 16, 32, 44, 56)
DRAWS = 5  # of each photo, where what is hidden is drawn


class Photos:
    """Photos with labels, as the frozen network takes them.

    Attributes:
        labelled: `_labelled.Labelled`.
        images: What the network takes, float32.
        train: Numbers of the photos that are trained on, and mined.
        held_out: Numbers of those that a round is judged by.
    """

    def __init__(self, folder, labelled):
        self.labelled = labelled
        self.images = folder.prepared(NETWORK, labelled.images)
        fold = labelled.folds(FOLDS)
        self.train = np.flatnonzero(fold != 0)
        self.held_out = np.flatnonzero(fold == 0)
        net = folder.network(NETWORK, logits=True, size=SIZE)
        output = net.get_layer(FEATURES[NETWORK]).output
        self.trunk = keras.Model(net.input, output)
        self.trunk.trainable = False

    @property
    def num_classes(self):
        return self.labelled.labels.shape[1]

    def features(self, images):
        return self.trunk.predict(images, batch_size=BATCH, verbose=0)

    def precision(self, logits):
        """Mean average precision on the held-out photos."""
        labels = self.labelled.labels[self.held_out]
        return round(average_precision(logits, labels), 3)

    def judge(self, masks, num_thresholds):
        """Returns scores of each threshold, three arrays.

        Args:
            masks: Function of a photo's number, its number of classes and
                the number of a threshold: masks of the classes.
        """
        overlaps = Overlaps(num_thresholds, self.num_classes)
        for row in self.train:
            target = self.labelled.target[row]
            classes = target[target >= 0]
            truth, known = self.labelled.masks(row), self.labelled.known[row]
            for number in range(num_thresholds):
                found = masks(row, len(classes), number)
                overlaps.add(number, found, truth, known, classes)
        return overlaps.scores()

    def at_best_threshold(self, maps):
        """Scores of maps that share out the pixels, at their threshold."""

        def masks(row, count, number):
            of_photo = maps[row, :count].astype("float32")
            return divided(of_photo, THRESHOLDS[number])

        scores = self.judge(masks, len(THRESHOLDS))
        best = scores[0].argmax()
        at_half = scores[0][np.searchsorted(THRESHOLDS, 0.5)]
        return rounded(
            {
                "threshold": THRESHOLDS[best],
                "mIoU": scores[0][best],
                "recall": scores[1][best],
                "precision": scores[2][best],
                "mIoU at .5": at_half,
            }
        )

    def of_regions(self, regions):
        """Scores of regions `(photos, classes at most, 224, 224)`."""
        scores = self.judge(lambda row, count, _: regions[row, :count], 1)
        names = ("mIoU", "recall", "precision")
        return rounded({n: x[0] for n, x in zip(names, scores, strict=True)})


def linear_head(photos, features, seed, epochs=EPOCHS):
    """Trains a linear classifier on the means of features over positions.

    Args:
        photos: `Photos`.
        features: `(variants, photos, h, w, channels)`: an epoch takes one
            variant of them after the other.
        seed: Integer.

    Returns:
        Weights `(channels, classes)` and biases `(classes,)`.
    """
    keras.utils.set_random_seed(seed)
    means = features[:, photos.train].mean((2, 3))
    labels = photos.labelled.labels[photos.train]
    head = keras.Sequential(
        [keras.Input(means.shape[2:]), keras.layers.Dense(photos.num_classes)]
    )
    head.compile(
        keras.optimizers.AdamW(1e-2, weight_decay=DECAY),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    for epoch in range(epochs):
        head.fit(means[epoch % len(means)], labels, batch_size=64, verbose=0)
    return head.get_weights()


def maps_of(photos, features, weights):
    """CAM of the classes of each photo: `(photos, classes, 224, 224)`."""
    target = photos.labelled.target
    maps = np.zeros((*target.shape, SIZE, SIZE), "float16")
    for row, classes in enumerate(target):
        classes = classes[classes >= 0]
        of_photo = np.maximum(features[row] @ weights[:, classes], 0)
        of_photo = tf.image.resize(of_photo, (SIZE, SIZE)).numpy()
        maps[row, : len(classes)] = of_photo.transpose(2, 0, 1)
    return maps


class Round:
    """What a round of erasing has found.

    Attributes:
        maps: What `maps_of` returns.
        precision: Mean average precision on held-out photos, erased as
            those that were trained on are, and on whole ones.
    """

    def __init__(self, maps, precision, precision_whole):
        self.maps = maps
        self.precision = precision
        self.precision_whole = precision_whole


def erasing(photos, threshold, fill, rounds, draw=None):
    """Runs rounds of erasing, without a rule to stop; yields `Round`s.

    Args:
        photos: `Photos`.
        threshold: Float, share of the maximum.
        fill: See `layers.EraseRegions`.
        rounds: Integer.
        draw: Function of masks of the photos to train on and a generator,
            that returns masks to train with instead. Defaults to `None`.
    """
    generator = np.random.default_rng(0)
    erased = np.zeros(photos.labelled.pixels.shape, "bool")
    whole = features = photos.features(photos.images)
    erase = eraser(fill, photos.images[photos.train])
    for number in range(rounds):
        if number:
            features = photos.features(in_batches(erase, photos.images, erased))
        drawn = features[None]
        if number and draw is not None:
            masks = np.stack([erased] * DRAWS)
            for of_draw in masks:
                of_draw[photos.train] = draw(erased[photos.train], generator)
            drawn = np.stack(
                [
                    photos.features(in_batches(erase, photos.images, of_draw))
                    for of_draw in masks
                ]
            )
        weights, bias = linear_head(photos, drawn, seed=number)
        precisions = [
            photos.precision(x[photos.held_out].mean((1, 2)) @ weights + bias)
            for x in (features, whole)
        ]
        maps = maps_of(photos, features, weights)
        for row, of_photo in enumerate(maps):
            erased[row] |= above(of_photo, threshold).any(0)
        yield Round(maps, *precisions)


def eraser(fill, images):
    mean = images.mean(axis=(0, 1, 2)).tolist()
    stddev = images.std(axis=(0, 1, 2)).tolist()
    return layers.EraseRegions(fill, mean, stddev, seed=0, dtype="float32")


def in_batches(erase, images, masks):
    result = np.empty_like(images)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        result[rows] = erase([images[rows], masks[rows]])
    return result


def add_regions(regions, masks):
    """Gives pixels to the class that had them first, and the smaller region.

    Args:
        regions: `(classes, h, w)` of earlier rounds; changed.
        masks: The same of this round.
    """
    for number in np.argsort(masks.sum((1, 2)), kind="stable"):
        regions[number] |= masks[number] & ~regions.any(0)


def photos(folder, arguments, save):
    for dataset in arguments.datasets:
        labelled = Labelled(folder, dataset, arguments.photos)
        prepared = Photos(folder, labelled)
        report = {}
        print(
            f" {dataset}: {len(prepared.train)} photos, "
            f"{prepared.num_classes} classes",
            flush=True,
        )

        def note(name, scores, dataset=dataset, report=report):
            report[name] = scores
            show(name, scores)
            save(dataset, report)

        for threshold in MINING:
            count = MANY_ROUNDS if threshold == MINING[-1] else ROUNDS
            _note_rounds(prepared, threshold, count, note)
        note("Hide-and-Seek", hide_and_seek(prepared))
        note("complementary heads", complementary(prepared))


def regions_by_round(photos, threshold, rounds):
    """Yields each of some `Round`s and the scores of the regions so far."""
    regions = np.zeros((*photos.labelled.target.shape, SIZE, SIZE), "bool")
    for round in rounds:
        for row in photos.train:
            maps = round.maps[row].astype("float32")
            add_regions(regions[row], above(maps, threshold))
        yield round, photos.of_regions(regions)


def report_of_rounds(photos, title, fill="mean", draw=None):
    """What rounds at the last threshold come to; see `erasing`."""
    rounds = erasing(photos, MINING[-1], fill, ROUNDS, draw)
    report = {}
    for number, (round, scores) in enumerate(
        regions_by_round(photos, MINING[-1], rounds), 1
    ):
        report[f"round {number}"] = {
            "held-out precision, erased": round.precision,
            "whole": round.precision_whole,
            **scores,
        }
        show(title, report[f"round {number}"])
    return report


def _note_rounds(photos, threshold, count, note):
    fused = np.zeros((*photos.labelled.target.shape, SIZE, SIZE), "float16")
    rounds = erasing(photos, threshold, "mean", count)
    for number, (round, scores) in enumerate(
        regions_by_round(photos, threshold, rounds), 1
    ):
        for row in photos.train:
            maps = round.maps[row].astype("float32")
            fused[row] = np.maximum(fused[row], scaled(maps))
        of_rounds = f"of {number} rounds at {threshold}"
        note(
            f"erasing, regions {of_rounds}",
            {
                "held-out precision": round.precision,
                "on whole photos": round.precision_whole,
                **scores,
            },
        )
        if number > 1:
            scores = photos.at_best_threshold(fused)
            note(f"erasing, maps {of_rounds}", scores)
        elif threshold == MINING[0]:
            scores = photos.at_best_threshold(fused)
            note("CAM", {"held-out precision": round.precision, **scores})


def hide_and_seek(photos):
    layer = layers.HideAndSeek(
        PATCHES, fill=photos.images.mean((0, 1, 2)).tolist(), seed=0
    )
    whole = photos.features(photos.images)
    drawn = []
    for _ in range(DRAWS):
        hidden = np.empty_like(photos.images)
        for start in range(0, len(hidden), BATCH):
            rows = slice(start, start + BATCH)
            hidden[rows] = layer(photos.images[rows], training=True)
        drawn.append(photos.features(hidden))
    weights, bias = linear_head(photos, np.stack(drawn), seed=0)
    logits = whole[photos.held_out].mean((1, 2)) @ weights + bias
    return {
        "held-out precision": photos.precision(logits),
        **photos.at_best_threshold(maps_of(photos, whole, weights)),
    }


def complementary(photos):
    keras.utils.set_random_seed(0)
    features = photos.features(photos.images)
    inputs = keras.Input(features.shape[1:])
    head = layers.ComplementaryHead(photos.num_classes, filters=64)
    model = keras.Model(inputs, head(inputs)[:2])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), [loss, loss])
    labels = photos.labelled.labels
    model.fit(
        features[photos.train],
        [labels[photos.train]] * 2,
        batch_size=BATCH,
        epochs=20,
        verbose=0,
    )
    logits = model.predict(features[photos.held_out], verbose=0)[0]
    fused = models.complementary_maps(model).predict(features, verbose=0)
    # The maps are those of the classes themselves.
    maps = maps_of(photos, fused, np.eye(photos.num_classes))
    return {
        "held-out precision": photos.precision(logits),
        **photos.at_best_threshold(maps),
    }


def through_callback(folder, arguments, save):
    """The first of the datasets by the callback, at the last threshold."""
    dataset, threshold, epochs = arguments.datasets[0], MINING[-1], 8
    labelled = Labelled(folder, dataset, arguments.photos)
    prepared = Photos(folder, labelled)
    keras.utils.set_random_seed(0)
    x = keras.layers.GlobalAveragePooling2D()(prepared.trunk.output)
    x = keras.layers.Dense(prepared.num_classes)(x)
    model = keras.Model(prepared.trunk.input, x)
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.AUC(
                curve="PR",
                multi_label=True,
                num_labels=prepared.num_classes,
                from_logits=True,
                name="precision",
            )
        ],
    )

    def images(rows):
        parts = prepared.images[rows], labelled.labels[rows]
        return tf.data.Dataset.from_tensor_slices(parts).enumerate()

    erasing = callbacks.AdversarialErasing(
        images(prepared.train),
        epochs_per_round=epochs,
        max_rounds=ROUNDS,
        threshold=threshold,
        stop=callbacks.StopRule("val_precision", tolerance=0.3),
    )
    model.fit(
        erasing.training_data(BATCH),
        epochs=erasing.num_epochs,
        validation_data=erasing.validation_data(images(prepared.held_out)),
        callbacks=[erasing],
        verbose=0,
    )
    print(f" {dataset}: {erasing.finished}", flush=True)
    report = {"finished": erasing.finished}
    regions = np.zeros((*labelled.target.shape, SIZE, SIZE), "bool")
    for record in erasing.rounds:
        number = record["round"]
        scores = {"held-out precision": record["logs"]["val_precision"]}
        if number in erasing.store.rounds:
            for image_id, row in enumerate(prepared.train):
                masks = np.zeros_like(regions[row])
                for class_id, of, mask in erasing.store.regions(image_id):
                    if of == number:
                        masks[labelled.target[row] == class_id] = mask
                add_regions(regions[row], masks)
            scores.update(prepared.of_regions(regions))
        name = f"regions of {number} rounds at {threshold}"
        report[name] = rounded(scores)
        show(name, report[name])
    save(dataset, report)
