"""What is put in place of what is erased: mean, zero, noise or blur."""

import keras
import numpy as np
import tensorflow as tf
from _erasing_photos import Photos
from _erasing_photos import report_of_rounds
from _erasing_scores import boxed_scores
from _erasing_scores import show
from _erasing_tiny import schedule
from _labelled import Labelled
from keras import layers
from PIL import Image

from keras_xmap import callbacks
from keras_xmap import datasets
from keras_xmap import visualization
from keras_xmap.layers import EraseRegions

FILLS = ("mean", "zero", "noise", "blur")
SCENE, NUM_CLASSES = 48, 5
EPOCHS, THRESHOLD = 8, 0.5  # on scenes
BLUR_RADIUS = 4.0  # of scenes, whose digits are 14 to 19 pixels high


def fills(folder, arguments, save):
    _on_scenes(arguments, save)
    dataset = arguments.datasets[0]
    photos = Photos(folder, Labelled(folder, dataset, arguments.photos))
    report = {}
    for fill in FILLS:
        report[fill] = report_of_rounds(photos, f"{dataset}, {fill}", fill)
        save(dataset, report)


def _on_scenes(arguments, save):
    """A network from scratch in each round, by the callback."""
    train = make_scenes(arguments.scenes, "train", 0)
    test = make_scenes(300, "test", 1)
    rows, classes = np.nonzero(train.labels)
    truth = boxes_of(train.masks[rows, :, :, classes])
    ink = train.masks[rows, :, :, classes]
    report = {}
    for fill in FILLS:
        keras.utils.set_random_seed(0)
        model = make_classifier()
        erasing = callbacks.AdversarialErasing(
            _numbered(train),
            epochs_per_round=EPOCHS,
            max_rounds=2,
            threshold=THRESHOLD,
            fill=_filling(fill, train.images),
            stop=lambda records: None,
            callbacks=[schedule(EPOCHS)],
        )
        whole = []

        def clean(epoch, logs, model=model, whole=whole):
            if (epoch + 1) % EPOCHS == 0:
                scores = model.evaluate(test.images, test.labels, verbose=0)
                whole.append(scores[1])

        model.fit(
            erasing.training_data(32),
            epochs=erasing.num_epochs,
            validation_data=erasing.validation_data(_numbered(test), 100),
            # Before the callback that draws new weights.
            callbacks=[
                keras.callbacks.LambdaCallback(on_epoch_end=clean),
                erasing,
            ],
            verbose=0,
        )
        report[fill] = {}
        for record, auc in zip(erasing.rounds, whole, strict=True):
            number = record["round"]
            found = _regions(erasing.store, rows, classes, number)
            recall = (found & ink).sum() / ink.sum()
            scores = {
                "training AUC": round(record["logs"]["auc"], 3),
                "held-out AUC, erased": round(record["logs"]["val_auc"], 3),
                "whole": round(auc, 3),
                "recall of ink": round(float(recall), 3),
                **boxed_scores(found, truth, classes),
            }
            report[fill][f"round {number}"] = scores
            show(f"scenes, {fill}, round {number}", scores)
        save("scenes", report)
        if fill == "mean" and arguments.picture:
            _picture(train, erasing.store, arguments.picture)


def make_scenes(count, split, seed):
    return datasets.handwritten_scenes(
        count, SCENE, NUM_CLASSES, multi_label=True, split=split, seed=seed
    )


def _numbered(scenes):
    return tf.data.Dataset.from_tensor_slices(scenes[:2]).enumerate()


def _filling(fill, images):
    return EraseRegions(
        fill,
        float(images.mean()),
        float(images.std()),
        BLUR_RADIUS,
        seed=0,
        dtype="float32",
    )


def make_classifier():
    inputs = x = keras.Input((SCENE, SCENE, 1))
    for number, filters in enumerate((24, 32, 32, 48)):
        size, strides = (3, 1) if number else (5, 2)
        x = layers.Conv2D(
            filters, size, strides, padding="same", use_bias=False
        )(x)
        x = layers.BatchNormalization(momentum=0.8)(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(NUM_CLASSES)(x))
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(from_logits=True, name="auc")],
    )
    return model


def boxes_of(masks):
    """The box around each mask `(n, h, w, ...)`, filled."""
    rows, columns = masks.any(axis=2), masks.any(axis=1)

    def span(x):
        after = np.maximum.accumulate(x, axis=1)
        return after & np.maximum.accumulate(x[:, ::-1], axis=1)[:, ::-1]

    return span(rows)[:, :, None] & span(columns)[:, None]


def _regions(store, rows, classes, rounds):
    return np.stack(
        [
            store.region(row, class_id=name, rounds=range(1, rounds + 1))
            for row, name in zip(rows, classes, strict=True)
        ]
    )


def _picture(scenes, store, path):
    """Scenes, and the same without what one round has found."""
    rows = []
    for number in range(4):
        image = scenes.images[number]
        region = store.region(number, rounds=1)
        row = [image, visualization.overlay(image, region * 1.0)]
        for fill in FILLS:
            erase = _filling(fill, scenes.images)
            erased = np.asarray(erase([image[None], region[None]]))[0]
            row.append(erased.clip(0, 1))
        rows.append(row)
    titles = ["scene", "found", *FILLS]
    panel = visualization.panel(rows, titles, (96, 96))
    Image.fromarray(panel).save(path)
