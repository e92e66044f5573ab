"""Adversarial erasing of small photos, by a network from scratch."""

import io
import os

import keras
import numpy as np
import tensorflow as tf
from _erasing_scores import Kept
from _erasing_scores import at_best_threshold
from _erasing_scores import boxed_scores
from _erasing_scores import scaled
from _erasing_scores import show
from keras import layers
from PIL import Image

import keras_xmap
from keras_xmap import callbacks
from keras_xmap import models
from keras_xmap import ops

SIZE, BATCH = 64, 50
ROUNDS = 3
THRESHOLD = 0.5


class Tiny:
    """Images `(n, 64, 64, 3)` in 0..1 of some classes, labels and boxes."""

    def __init__(self, folder, split, num_classes):
        path = os.path.join(folder.path, "tiny_imagenet", f"{split}.npz")
        with np.load(path) as file:
            jpeg, offset = file["jpeg"].tobytes(), file["offset"]
            # Neighbours in the list are alike: cats, birds, vehicles.
            chosen = np.linspace(0, file["label"].max(), num_classes).round()
            rows = np.flatnonzero(np.isin(file["label"], chosen))
            labels = np.searchsorted(chosen, file["label"][rows])
            self.labels = labels.astype("int32")
            boxes = file["box"][rows]
        images = [
            Image.open(io.BytesIO(jpeg[offset[row] : offset[row + 1]]))
            for row in rows
        ]
        images = np.stack([np.array(x.convert("RGB")) for x in images])
        self.images = (images / 255).astype("float32")
        self.masks = np.zeros((len(rows), SIZE, SIZE), "bool")
        for mask, (left, top, right, bottom) in zip(
            self.masks, boxes, strict=True
        ):
            mask[top : bottom + 1, left : right + 1] = True

    def __len__(self):
        return len(self.labels)

    def dataset(self):
        parts = self.images, self.labels
        return tf.data.Dataset.from_tensor_slices(parts).enumerate()


def features(hide_and_seek=None):
    inputs = x = keras.Input((SIZE, SIZE, 3))
    x = layers.RandomFlip("horizontal", seed=0)(x)
    x = x if hide_and_seek is None else hide_and_seek(x)
    x = layers.Conv2D(32, 5, strides=2, padding="same", use_bias=False)(x)
    x = layers.MaxPooling2D()(_active(x))
    for filters in (48, 64, 64):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = _active(x)
    return keras.Model(inputs, x)


def _active(x):
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def classifier(num_classes, hide_and_seek=None):
    of_image = features(hide_and_seek)
    x = layers.GlobalAveragePooling2D()(of_image.output)
    model = keras.Model(of_image.input, layers.Dense(num_classes)(x))
    return compiled(model, 1)


def compiled(model, num_outputs):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.Adam(3e-3),
        [loss] * num_outputs,
        metrics=["accuracy"] if num_outputs == 1 else [["accuracy"]] * 2,
    )
    return model


def schedule(epochs):
    """The learning rate of a training, or of a round, that falls to zero."""
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: 3e-3 * (1 - epoch / epochs)
    )


def tiny_imagenet(folder, arguments, save):
    num_classes, epochs = arguments.tiny_classes, arguments.tiny_epochs
    train, test = (Tiny(folder, x, num_classes) for x in ("train", "dev"))
    truth = train.masks, train.labels
    print(f"{len(train)} images of {num_classes} classes", flush=True)
    report = {"everywhere": boxed_scores(np.ones_like(train.masks), *truth)}
    show("everywhere", report["everywhere"])

    def note(name, scores):
        report[name] = scores
        show(name, scores)
        save(f"{num_classes} classes, {epochs} epochs a round", report)

    _erasing(train, test, num_classes, epochs, note)
    keras.utils.set_random_seed(0)
    fit = {
        "batch_size": BATCH,
        "epochs": epochs,
        "callbacks": [schedule(epochs)],
        "verbose": 0,
    }
    hiding = classifier(
        num_classes,
        keras_xmap.layers.HideAndSeek(
            (0, 8, 12, 16), fill=train.images.mean((0, 1, 2)).tolist(), seed=0
        ),
    )
    hiding.fit(train.images, train.labels, **fit)
    maps = keras_xmap.explainers.GradCAM(hiding).explain(
        train.images, train.labels, verbose=0
    )
    accuracy = hiding.evaluate(test.images, test.labels, verbose=0)[1]
    note(
        "Hide-and-Seek",
        {
            "held-out accuracy": round(accuracy, 3),
            **at_best_threshold(maps, *truth),
        },
    )
    two = models.complementary(features(), num_classes, filters=64)
    compiled(two, 2).fit(train.images, [train.labels] * 2, **fit)
    maps = models.complementary_maps(two).predict(train.images, verbose=0)
    maps = maps[np.arange(len(train)), :, :, train.labels]
    maps = np.asarray(ops.resize(maps[..., None], (SIZE, SIZE)))[..., 0]
    logits = two.predict(test.images, verbose=0)[0]
    accuracy = float((logits.argmax(1) == test.labels).mean())
    note(
        "complementary heads",
        {
            "held-out accuracy": round(accuracy, 3),
            **at_best_threshold(maps, *truth),
        },
    )


def _erasing(train, test, num_classes, epochs, note):
    """Rounds of `callbacks.AdversarialErasing`; the first one is CAM."""
    keras.utils.set_random_seed(0)
    model = classifier(num_classes)
    kept = Kept(model)
    erasing = callbacks.AdversarialErasing(
        train.dataset(),
        epochs_per_round=epochs,
        max_rounds=ROUNDS,
        threshold=THRESHOLD,
        explainer=lambda model: kept,
        # Judged below: all rounds are wanted here.
        stop=lambda records: None,
        callbacks=[schedule(epochs)],
    )
    truth = train.masks, train.labels
    fused, regions = 0, np.zeros_like(train.masks)

    def after(epoch, logs):
        nonlocal fused, regions
        if (epoch + 1) % epochs:
            return
        record = erasing.rounds[-1]
        number = record["round"]
        maps = scaled(kept.take(len(train)))
        fused = np.maximum(fused, maps)
        for image_id in range(len(train)):
            regions[image_id] |= erasing.store.region(image_id, rounds=number)
        accuracy = {
            "held-out accuracy": round(record["logs"]["val_accuracy"], 3)
        }
        if number == 1:
            note("CAM", {**accuracy, **at_best_threshold(maps, *truth)})
        scores = boxed_scores(regions, *truth)
        note(f"erasing, regions of {number} rounds", {**accuracy, **scores})
        if number > 1:
            note(
                f"erasing, maps of {number} rounds",
                at_best_threshold(fused, *truth),
            )

    model.fit(
        erasing.training_data(BATCH),
        epochs=erasing.num_epochs,
        validation_data=erasing.validation_data(test.dataset(), 100),
        callbacks=[erasing, keras.callbacks.LambdaCallback(on_epoch_end=after)],
        verbose=0,
    )
