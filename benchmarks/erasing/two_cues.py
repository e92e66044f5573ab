"""Objects with a second cue: rounds beside every rival, judged alike.

Every method sees the same images and as many epochs at most. Its threshold is
chosen on one half of them, by the IoU with the objects, and its figures are of
the other half.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_xmap
from benchmarks.common.intervals import drawn_rows
from benchmarks.common.intervals import interval
from benchmarks.erasing.scores import THRESHOLDS
from benchmarks.erasing.scores import Kept
from benchmarks.erasing.scores import above
from benchmarks.erasing.scores import show
from keras_xmap import callbacks
from keras_xmap import datasets
from keras_xmap import explainers
from keras_xmap import models
from keras_xmap import ops

SIZE, NUM_CLASSES = 64, 4
RATE, BATCH = 5e-3, 32
LEARNED = 0.98  # accuracy in training, at which a training ends
PATCHES = (0, 8, 12)  # of Hide-and-Seek
NORMS = {
    "batch": lambda: layers.BatchNormalization(momentum=0.8),
    "group": lambda: layers.GroupNormalization(8),
    "none": lambda: layers.Identity(),
}
DRAWS = 1000  # of the images, for intervals


@dataclasses.dataclass
class Choices:
    """What a run of erasing may have otherwise."""

    fill: str = "mean"
    threshold: float = 0.3
    norm: str = "batch"
    reset: str = "new"


CHOICES = {
    "as above": Choices(),
    "fill zero": Choices(fill="zero"),
    "fill noise": Choices(fill="noise"),
    "fill blur": Choices(fill="blur"),
    "threshold 0.2": Choices(threshold=0.2),
    "threshold 0.5": Choices(threshold=0.5),
    "group normalization": Choices(norm="group"),
    "no normalization": Choices(norm="none"),
    "one network, trained on": Choices(reset="start"),
}
CUES = ("both", "head", "body")


class UntilLearned(keras.callbacks.Callback):
    """Ends a training, or a round, whose network knows its images."""

    def on_epoch_end(self, epoch, logs=None):
        if logs["accuracy"] >= LEARNED:
            self.model.stop_training = True


def make_features(norm="batch", hiding=None):
    """Maps of 32 x 32, each position of which sees 13 pixels."""
    inputs = x = keras.Input((SIZE, SIZE, 3))
    x = x if hiding is None else hiding(x)
    x = layers.Rescaling(4.0, offset=-2.0)(x)
    for filters, size, strides in ((16, 5, 2), (24, 3, 1), (32, 3, 1)):
        x = layers.Conv2D(
            *(filters, size, strides, "same"), kernel_initializer="he_normal"
        )(x)
        x = layers.ReLU()(NORMS[norm]()(x))
    return keras.Model(inputs, x)


def make_classifier(norm="batch", hiding=None):
    features = make_features(norm, hiding)
    x = layers.GlobalAveragePooling2D()(features.output)
    model = keras.Model(features.input, layers.Dense(NUM_CLASSES)(x))
    model.compile(keras.optimizers.Adam(RATE), _loss(), metrics=["accuracy"])
    return model


class Objects:
    """Images to train on and to mine, and whole ones that are held out."""

    def __init__(self, arguments, cues, seed):
        def draw(count, split):
            return datasets.two_cue_objects(
                count, SIZE, NUM_CLASSES, cues, split, seed
            )

        self.data = draw(arguments.objects, "train")
        self.held_out = draw(arguments.test_objects, "test")
        self.epochs = arguments.object_epochs
        self.seed = seed
        # Classes are in no order.
        self.is_chosen_on = np.arange(arguments.objects) % 2 == 0

    def fit(self, model, stop=True, labels=None, epochs=None):
        model.fit(
            self.data.images,
            self.data.labels if labels is None else labels,
            batch_size=BATCH,
            epochs=epochs or self.epochs,
            callbacks=[UntilLearned()] if stop else [],
            verbose=0,
        )

    def counts(self, masks):
        """Pixels by image: shared, found, of objects, heads and bodies."""
        data = self.data
        truths = (data.masks, data.heads, data.bodies)
        parts = [masks & data.masks, masks, data.masks]
        for truth in truths[1:]:
            parts += [masks & truth, truth]
        return np.stack([part.sum((1, 2)) for part in parts], axis=1)

    def judged(self, maps):
        """Pixels of the half that is reported, at the other's threshold.

        Args:
            maps: Arrays `(images, h, w)`, one a round, whose regions are
                joined.
        """
        found = []
        for threshold in THRESHOLDS:
            masks = np.any([above(x, threshold) for x in maps], axis=0)
            found.append(self.counts(masks))
        best = np.argmax([iou(x[self.is_chosen_on].sum(0)) for x in found])
        return {
            "threshold": float(THRESHOLDS[best]),
            "pixels": found[best][~self.is_chosen_on],
        }

    def accuracy(self, model):
        held_out = self.held_out
        return model.evaluate(held_out.images, held_out.labels, verbose=0)[1]

    def rest_ranked(self, maps, erased):
        """How well maps rank the rest of the objects outside of a hole."""
        areas = []
        for heatmap, hole, mask in zip(
            maps, erased, self.data.masks, strict=True
        ):
            inside, outside = heatmap[mask & ~hole], heatmap[~mask & ~hole]
            if len(inside):
                outside = np.sort(outside)
                below = np.searchsorted(outside, inside, "left")
                below = below + np.searchsorted(outside, inside, "right")
                areas.append(below.mean() / 2 / len(outside))
        return float(np.mean(areas))


class Rounds(keras.callbacks.Callback):
    """Rounds of erasing by the callback; keeps the maps of each of them."""

    def __init__(self, objects, num_rounds, choices):
        super().__init__()
        self.objects, self.maps, self.accuracies = objects, [], []
        data = objects.data
        keras.utils.set_random_seed(objects.seed)
        network = make_classifier(choices.norm)
        self.kept = Kept(network)
        self.erasing = callbacks.AdversarialErasing(
            tf.data.Dataset.from_tensor_slices(
                (data.images, data.labels)
            ).enumerate(),
            epochs_per_round=objects.epochs,
            max_rounds=num_rounds,
            threshold=choices.threshold,
            explainer=lambda model: self.kept,
            fill=choices.fill,
            reset=choices.reset,
            stop=lambda records: None,  # all rounds are wanted here
            callbacks=[UntilLearned()],
            seed=objects.seed,
        )
        network.fit(
            self.erasing.training_data(BATCH),
            epochs=self.erasing.num_epochs,
            validation_data=(objects.held_out.images, objects.held_out.labels),
            callbacks=[self.erasing, self],
            verbose=0,
        )

    def on_epoch_end(self, epoch, logs=None):
        if len(self.erasing.rounds) > len(self.maps):
            self.maps.append(self.kept.take(len(self.objects.data.images)))

    def report(self):
        """Returns figures of each round, and of all."""
        records, store = self.erasing.rounds, self.erasing.store
        report = {}
        for number, record in enumerate(records, 1):
            report[f"round {number}"] = {
                "held-out accuracy": record["logs"]["val_accuracy"],
                "epochs": record["num_epochs"],
                **self.objects.judged(self.maps[:number]),
            }
        first = records[0]
        hole = np.stack(
            [store.region(i, rounds=1) for i in range(len(self.maps[0]))]
        )
        kept = above(self.maps[0], self.erasing.threshold)
        assert (kept == hole).mean() > 0.999, "not the maps that were cut"
        of_all = {
            "known without regions": (first["erased_auc"] - 0.5)
            / (first["whole_auc"] - 0.5),
            "erased AUC": first["erased_auc"],
            "whole AUC": first["whole_auc"],
        }
        for name, maps in zip(("first", "second"), self.maps, strict=False):
            of_all[f"rest ranked by {name}"] = self.objects.rest_ranked(
                maps, hole
            )
        return report, of_all


def two_cues(folder, arguments, save):
    """Rounds, where both cues tell the class, and where one alone does."""
    for cues in arguments.cues:
        found = {}
        for seed in range(arguments.object_seeds):
            objects = Objects(arguments, cues, seed)
            number = arguments.rounds if cues == "both" else 2
            report, of_all = Rounds(objects, number, Choices()).report()
            _add(found, {"all": of_all, **report})
            _save(save, cues, found)


def two_cue_rivals(folder, arguments, save):
    """Other methods on the same images."""
    found = {}
    for seed in range(arguments.object_seeds):
        objects = Objects(arguments, "both", seed)
        for name, row in rivals(objects):
            _add(found, {name: row})
            _save(save, "both", found)


def two_cue_choices(folder, arguments, save):
    """Two rounds with one thing done otherwise."""
    for name in arguments.choices:
        found = {}
        for seed in range(arguments.object_seeds):
            objects = Objects(arguments, "both", seed)
            rounds = Rounds(objects, 2, CHOICES[name])
            _add(found, rounds.report()[0])
            _save(save, name, found)


def rivals(objects):
    """Yields names of other methods, and what each finds."""
    keras.utils.set_random_seed(objects.seed)
    longer = make_classifier()
    objects.fit(longer, stop=False)
    yield "CAM, all epochs", _of_classifier(objects, longer)
    hiding = keras_xmap.layers.HideAndSeek(
        PATCHES, fill=objects.data.images.mean((0, 1, 2)).tolist(), seed=0
    )
    hidden = make_classifier(hiding=hiding)
    objects.fit(hidden, stop=False)
    yield "Hide-and-Seek", _of_classifier(objects, hidden)
    # As in the paper the heads stand on a trained network.
    features = keras.Model(longer.input, longer.layers[-3].output)
    heads = models.complementary(features, NUM_CLASSES, filters=32)
    heads.compile(keras.optimizers.Adam(RATE), [_loss(), _loss()])
    objects.fit(heads, False, [objects.data.labels] * 2, objects.epochs // 3)
    maps = models.complementary_maps(heads).predict(
        objects.data.images, verbose=0
    )
    maps = maps[np.arange(len(maps)), objects.data.labels]
    maps = np.asarray(ops.resize(maps[..., None], (SIZE, SIZE)))[..., 0]
    logits = heads.predict(objects.held_out.images, verbose=0)[0]
    right = logits.argmax(1) == objects.held_out.labels
    yield (
        "complementary heads",
        {
            "held-out accuracy": float(right.mean()),
            **objects.judged([maps]),
        },
    )


def iou(sums):
    """Of sums of pixels, as `Objects.counts` has them, the last axis."""
    shared, found, true = np.moveaxis(np.asarray(sums), -1, 0)[:3]
    return shared / np.maximum(found + true - shared, 1)


def measures(sums):
    shared, found, true, *parts = np.moveaxis(np.asarray(sums), -1, 0)
    return {
        "IoU": iou(sums),
        "recall": shared / true,
        "precision": shared / np.maximum(found, 1),
        "recall of heads": parts[0] / parts[1],
        "recall of bodies": parts[2] / parts[3],
    }


def summary(rows):
    """Means over seeds, and measures of all their images with intervals."""
    means = {
        name: round(float(np.mean([row[name] for row in rows])), 3)
        for name in rows[0]
        if name != "pixels"
    }
    means["seeds"] = len(rows)
    if "pixels" not in rows[0]:
        return means
    pixels = np.concatenate([row["pixels"] for row in rows])
    resampled = measures(pixels[drawn_rows(len(pixels), DRAWS)].sum(1))
    found = {
        name: interval(value, resampled[name])
        for name, value in measures(pixels.sum(0)).items()
    }
    return {**means, "n": len(pixels), **found}


def _loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _of_classifier(objects, model):
    maps = explainers.GradCAM(model).explain(
        objects.data.images, objects.data.labels, verbose=0
    )
    accuracy = {"held-out accuracy": objects.accuracy(model)}
    return {**accuracy, **objects.judged([maps])}


def _save(save, title, found):
    for name, rows in found.items():
        row = summary(rows)
        show(f"{title}, {name}", row)
        save(title, {name: row})


def _add(found, report):
    for name, row in report.items():
        found.setdefault(name, []).append(row)
