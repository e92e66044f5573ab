"""`models.quadtree_decoder` beside a dense decoder of the same width."""

import time

import keras
import numpy as np
import tensorflow as tf

from benchmarks.common import timing
from benchmarks.common.labelled import Labelled
from keras_xmap import datasets
from keras_xmap import losses
from keras_xmap import models
from keras_xmap import ops

NETWORK, UNKNOWN = "mobilenet_v2", 255
LABELS = {
    "filters": 24,
    "batch": 8,
    "thresholds": (0.5, 0.2),
    "scenes": {
        "train": 300,
        "test": 100,
        "size": 96,
        "digits": 3,
        "stages": (8, 16, 24, 32, 32),
        "rate": 1e-3,
        "epochs": 40,
    },
    # One photo of so many is held out.
    "msrc": {"held_out": 3, "rate": 2e-3, "epochs": 48},
}


def scenes(folder, arguments, save):
    """Digits in clutter: a small backbone is trained with each decoder."""
    del folder
    setting = arguments.labels
    own = setting["scenes"]
    parts = []
    for split in ("train", "test"):
        found = datasets.handwritten_scenes(
            own[split], own["size"], own["digits"], split=split, seed=0
        )
        labels = found.masks * (found.labels + 1)[:, None, None]
        parts.append((found.images, labels.astype("int32")))

    def stages():
        keras.utils.set_random_seed(0)
        x = inputs = keras.Input((own["size"], own["size"], 1))
        outputs = []
        for filters in own["stages"]:
            for strides in (2 if outputs else 1, 1):
                x = keras.layers.Conv2D(
                    *(filters, 3, strides, "same"),
                    kernel_initializer="he_normal",
                )(x)
                x = keras.layers.ReLU()(x)
            outputs.append(x)
        return keras.Model(inputs, outputs)

    _compare(stages, *parts, own["digits"], own, arguments, save)


def msrc(folder, arguments, save):
    """Photos, as a network that was trained on ImageNet sees them."""
    own = arguments.labels["msrc"]
    photos, network = Labelled(folder, "msrc"), folder.network(NETWORK)
    outputs = _narrowest(network)
    side = network.input_shape[1]
    images = np.asarray(ops.resize(photos.images, (side, side)))
    features = keras.Model(network.input, outputs).predict(
        folder.prepared(NETWORK, images), arguments.labels["batch"], verbose=0
    )
    labels = np.where(photos.known, photos.pixels, UNKNOWN)
    # What lies in the middle of a position of the features.
    rows, columns = (
        ((np.arange(n) + 0.5) * m / n).astype(int)
        for n, m in zip(features[0].shape[1:3], labels.shape[1:], strict=True)
    )
    labels = labels[:, rows[:, None], columns].astype("int32")
    is_test = np.arange(len(labels)) % own["held_out"] == 0
    train, test = (
        ([x[chosen] for x in features], labels[chosen])
        for chosen in (~is_test, is_test)
    )

    def stages():
        keras.utils.set_random_seed(0)
        inputs = [keras.Input(x.shape[1:]) for x in features]
        return keras.Model(inputs, [keras.layers.Identity()(x) for x in inputs])

    count = len(photos.classes)
    _compare(stages, train, test, count, own, arguments, save)


def _narrowest(network):
    """Returns of each size of a network's maps the last of the narrowest."""
    found = {}
    for layer in network.layers[1:]:
        x = layer.output
        if len(x.shape) == 4 and x.shape[1] > 1:
            best = found.get(x.shape[1], x)
            found[x.shape[1]] = x if x.shape[-1] <= best.shape[-1] else best
    return [found[size] for size in sorted(found, reverse=True)]


def _compare(stages, train, test, num_classes, own, arguments, save):
    """Trains both decoders; saves what they reach and what they take."""
    setting = {**arguments.labels, **own}
    found, calls, trained = {}, {}, {}
    for kind in (Dense, Quadtree):
        model = kind.make(stages(), num_classes, setting["filters"])
        seconds = _train(model, train, num_classes, setting)
        before = keras.Model(model.input, _before(model))
        features = before.predict(test[0], setting["batch"], verbose=0)
        trained[kind] = model, features, seconds
    contenders = {"dense": (Dense, 0), "all cells": (Quadtree, 0)}
    for threshold in setting["thresholds"]:
        contenders[f"{threshold:g}"] = (Quadtree, threshold)
    for name, (kind, threshold) in contenders.items():
        model, features, seconds = trained[kind]
        one = kind(model, threshold)
        labels, counts = one.labels(features, setting["batch"])
        calls[name] = one.on([x[: setting["batch"]] for x in features])
        found[name] = {
            "mean iou": _mean_iou(test[1], labels, num_classes + 1),
            "gmacs": one.macs(counts) / 1e9,
            "megabytes": one.bytes(counts) / 1e6,
            "cells": sum(counts) / sum(one.positions),
            "training": seconds,
        }
    times = timing.ratios(calls, "dense", arguments.repeats)
    for name, row in found.items():
        row = {key: round(float(x), 4) for key, x in row.items()}
        found[name] = {**row, **times[name]}
        print(f"  {name}: {found[name]}", flush=True)
    save("decoders", found)


def _before(model):
    """Returns what goes into the decoder of a model."""
    return model.get_layer("levels")._inbound_nodes[-1].input_tensors


def _train(model, data, num_classes, setting):
    """Trains a model, and returns the seconds."""
    images, labels = data
    labels = ops.quadtree_labels(labels, num_classes, len(_before(model)))
    names = list(model.output)
    if names == ["masks"]:
        labels = {"masks": data[1]}
    loss = losses.SeedingLoss(data_format="channels_last")
    model.compile(
        keras.optimizers.Adam(setting["rate"]), dict.fromkeys(names, loss)
    )
    labels = {name: np.asarray(labels[name]) for name in names}
    start = time.perf_counter()
    model.fit(images, labels, setting["batch"], setting["epochs"], verbose=0)
    return time.perf_counter() - start


class Dense:
    """The usual decoder: level by level, a convolution of every position."""

    def __init__(self, model, threshold):
        self.decoder, self.threshold = model.get_layer("levels"), threshold
        shapes = [tuple(x.shape[1:]) for x in _before(model)]
        self.positions = [shape[0] * shape[1] for shape in shapes]
        self.channels = [shape[2] for shape in shapes]
        self.outputs = [x.shape[-1] for x in model.output.values()]
        self.filters = next(
            x.shape[-1] for x in self.decoder.weights if x.ndim == 4
        )

    @staticmethod
    def make(stages, num_classes, filters):
        inputs = [keras.Input(x.shape[1:]) for x in stages.outputs]
        x = None
        for features in reversed(inputs):
            if x is not None:
                rows, columns = features.shape[1:3]
                x = keras.layers.UpSampling2D(2)(x)[:, :rows, :columns]
                features = keras.layers.Concatenate()([x, features])
            x = keras.layers.Conv2D(filters, 3, padding="same")(features)
            x = keras.layers.ReLU()(x)
        x = keras.layers.Conv2D(1 + num_classes, 1, activation="softmax")(x)
        decoder = keras.Model(inputs, x, name="levels")
        return keras.Model(stages.input, {"masks": decoder(stages.outputs)})

    def on(self, features):
        """Returns a function that decodes these features."""
        features = [tf.constant(x) for x in features]
        call = tf.function(self._call, autograph=False, jit_compile=False)
        return lambda: {k: v.numpy() for k, v in call(features).items()}

    def labels(self, features, batch):
        """Returns the label maps, and the cells of each level a photo."""
        found = []
        call = tf.function(self._call, autograph=False, reduce_retracing=True)
        for first in range(0, len(features[0]), batch):
            of = [tf.constant(x[first : first + batch]) for x in features]
            found.append({k: v.numpy() for k, v in call(of).items()})
        found = {
            name: np.concatenate([x[name] for x in found]) for name in found[0]
        }
        return found["masks"].argmax(-1), self._counts(found)

    def macs(self, counts):
        """Returns the multiplications and additions of a photo."""
        total = counts[0] * self.filters * self.outputs[0]
        for level, count in enumerate(counts):
            channels = self.channels[level]
            if level < len(counts) - 1:
                channels += self.filters
            total += count * 9 * channels * self.filters
        return total

    def bytes(self, counts):
        """Returns the bytes of all that is computed of a photo."""
        floats = counts[0] * self.outputs[0]
        for level, count in enumerate(counts):
            joined = level < len(counts) - 1
            joined *= self.filters + self.channels[level]
            floats += count * (joined + self.filters)
        return 4 * floats

    def _call(self, features):
        return {"masks": self.decoder(features, training=False)}

    def _counts(self, found):
        return self.positions


class Quadtree(Dense):
    """`models.quadtree_decoder`, which computes what lies in mixed cells."""

    @staticmethod
    def make(stages, num_classes, filters):
        # Its decoder alone, on the same features as the other.
        image = x = keras.Input((None, None, 1))
        outputs = []
        for features in stages.outputs:
            x = keras.layers.Conv2D(features.shape[-1], 1, 2, "same")(x)
            outputs.append(x)
        backbone = keras.Model(image, outputs)
        made = models.quadtree_decoder(backbone, num_classes, filters, seed=0)
        decoder = made.get_layer("levels")
        return keras.Model(stages.input, decoder(stages.outputs))

    def macs(self, counts):
        total = 0
        for level, count in enumerate(counts):
            own = 9 * self.channels[level] + self.outputs[level]
            if level < len(counts) - 1:
                own += self.filters
            total += count * own * self.filters
        return total

    def bytes(self, counts):
        # What lies around each cell is gathered, unless all are asked;
        # answers are laid on all positions.
        floats = 0
        for level, count in enumerate(counts):
            gathered = self.filters * (level < len(counts) - 1)
            if self.threshold and gathered:
                gathered += 9 * self.channels[level]
            floats += count * (gathered + self.filters + self.outputs[level])
            floats += 2 * self.positions[level] * self.outputs[level]
        return 4 * floats

    def _call(self, features):
        before = self.decoder.threshold
        self.decoder.threshold = self.threshold
        try:
            return self.decoder(features, training=False)
        finally:
            self.decoder.threshold = before

    def _counts(self, found):
        counts = [self.positions[-1]]
        for level in range(len(self.positions) - 1, 0, -1):
            mixed = found[f"level_{level}"][..., -1] > self.threshold
            inside = min(
                4 * mixed.sum(axis=(1, 2)).mean(), self.positions[level - 1]
            )
            counts.insert(0, inside)
        return counts


def _mean_iou(labels, found, count):
    """Returns the mean over classes of all known pixels."""
    known = labels != UNKNOWN
    table = np.bincount(
        count * labels[known] + found[known], minlength=count * count
    ).reshape((count, count))
    hits = np.diag(table)
    union = table.sum(0) + table.sum(1) - hits
    return (hits[union > 0] / union[union > 0]).mean()
