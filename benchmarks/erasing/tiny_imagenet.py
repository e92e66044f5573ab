"""Adversarial erasing of small photos, by a network from scratch."""

import keras
import numpy as np
import tensorflow as tf

import keras_xmap
from benchmarks.common import tiny_imagenet as reader
from benchmarks.erasing.scenes import falling
from benchmarks.erasing.scores import Kept
from benchmarks.erasing.scores import at_best_threshold
from benchmarks.erasing.scores import boxed_scores
from benchmarks.erasing.scores import scaled
from benchmarks.erasing.scores import show
from benchmarks.erasing.tiny_networks import SIZE
from benchmarks.erasing.tiny_networks import classifier
from benchmarks.erasing.tiny_networks import compiled
from benchmarks.erasing.tiny_networks import features
from keras_xmap import callbacks
from keras_xmap import models
from keras_xmap import ops

BATCH = 50
THRESHOLD = 0.5


class Tiny:
    """Images `(n, 64, 64, 3)` in 0..1 of some classes, labels and boxes."""

    def __init__(self, folder, split, num_classes):
        chosen = None

        def choose(labels):
            # Neighbours in the list are alike: cats, birds, vehicles.
            nonlocal chosen
            chosen = np.linspace(0, labels.max(), num_classes).round()
            return np.flatnonzero(np.isin(labels, chosen))

        images, labels, boxes = reader.read(folder, split, choose)
        self.labels = np.searchsorted(chosen, labels).astype("int32")
        self.images = (images / 255).astype("float32")
        self.masks = np.zeros((len(images), SIZE, SIZE), "bool")
        for mask, (left, top, right, bottom) in zip(
            self.masks, boxes, strict=True
        ):
            mask[top:bottom, left:right] = True

    def __len__(self):
        return len(self.labels)

    def dataset(self):
        parts = self.images, self.labels
        return tf.data.Dataset.from_tensor_slices(parts).enumerate()


def tiny_imagenet(folder, arguments, save):
    comparison = Comparison(folder, arguments, save)
    masks = np.ones_like(comparison.train.masks)
    comparison.note("everywhere", boxed_scores(masks, *comparison.truth))
    comparison.erasing(arguments.rounds)
    comparison.hide_and_seek()
    comparison.complementary()


class Comparison:
    """Methods that see the same images for as many epochs."""

    def __init__(self, folder, arguments, save):
        self.num_classes = arguments.tiny_classes
        self.epochs = arguments.tiny_epochs
        self.train, self.test = (
            Tiny(folder, x, self.num_classes) for x in ("train", "dev")
        )
        self.truth = self.train.masks, self.train.labels
        self.save = save
        count = len(self.train)
        print(f"{count} images of {self.num_classes} classes", flush=True)

    def note(self, name, scores):
        show(name, scores)
        title = f"{self.num_classes} classes, {self.epochs} epochs a round"
        self.save(title, {name: scores})

    def fit(self, model, labels):
        model.fit(
            self.train.images,
            labels,
            batch_size=BATCH,
            epochs=self.epochs,
            callbacks=[falling(self.epochs)],
            verbose=0,
        )

    def note_maps(self, name, maps, accuracy):
        accuracy = {"held-out accuracy": round(float(accuracy), 3)}
        scores = at_best_threshold(maps, *self.truth)
        self.note(name, {**accuracy, **scores})

    def hide_and_seek(self):
        keras.utils.set_random_seed(0)
        mean = self.train.images.mean((0, 1, 2)).tolist()
        hiding = keras_xmap.layers.HideAndSeek(
            (0, 8, 12, 16), fill=mean, seed=0
        )
        model = classifier(self.num_classes, hiding)
        self.fit(model, self.train.labels)
        maps = keras_xmap.explainers.GradCAM(model).explain(
            self.train.images, self.train.labels, verbose=0
        )
        test = self.test
        accuracy = model.evaluate(test.images, test.labels, verbose=0)[1]
        self.note_maps("Hide-and-Seek", maps, accuracy)

    def complementary(self):
        model = models.complementary(features(), self.num_classes, filters=64)
        self.fit(compiled(model, 2), [self.train.labels] * 2)
        maps = models.complementary_maps(model)
        maps = maps.predict(self.train.images, verbose=0)
        maps = maps[np.arange(len(self.train)), self.train.labels]
        maps = np.asarray(ops.resize(maps[..., None], (SIZE, SIZE)))[..., 0]
        logits = model.predict(self.test.images, verbose=0)[0]
        accuracy = (logits.argmax(1) == self.test.labels).mean()
        self.note_maps("complementary heads", maps, accuracy)

    def erasing(self, rounds):
        """Rounds of `callbacks.AdversarialErasing`; the first one is CAM."""
        keras.utils.set_random_seed(0)
        model = classifier(self.num_classes)
        kept = Kept(model)
        erasing = callbacks.AdversarialErasing(
            self.train.dataset(),
            epochs_per_round=self.epochs,
            max_rounds=rounds,
            threshold=THRESHOLD,
            explainer=lambda model: kept,
            # Judged below: all rounds are wanted here.
            stop=lambda records: None,
            callbacks=[falling(self.epochs)],
        )
        noting = Noting(self, erasing, kept)
        model.fit(
            erasing.training_data(BATCH),
            epochs=erasing.num_epochs,
            validation_data=erasing.validation_data(self.test.dataset(), 100),
            callbacks=[erasing, noting],
            verbose=0,
        )


class Noting(keras.callbacks.Callback):
    """Notes what each round has found, when it has been mined."""

    def __init__(self, comparison, erasing, kept):
        super().__init__()
        self.comparison, self.erasing, self.kept = comparison, erasing, kept
        self.fused, self.regions = 0, np.zeros_like(comparison.train.masks)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.comparison.epochs:
            return
        note, truth = self.comparison.note, self.comparison.truth
        record = self.erasing.rounds[-1]
        number, store = record["round"], self.erasing.store
        maps = scaled(self.kept.take(len(self.regions)))
        self.fused = np.maximum(self.fused, maps)
        for image_id in range(len(self.regions)):
            self.regions[image_id] |= store.region(image_id, rounds=number)
        accuracy = {
            "held-out accuracy": round(record["logs"]["val_accuracy"], 3)
        }
        if number == 1:
            note("CAM", {**accuracy, **at_best_threshold(maps, *truth)})
        scores = boxed_scores(self.regions, *truth)
        note(f"erasing, regions of {number} rounds", {**accuracy, **scores})
        if number > 1:
            scores = at_best_threshold(self.fused, *truth)
            note(f"erasing, maps of {number} rounds", scores)
