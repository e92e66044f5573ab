"""What is put in place of what is erased: mean, zero, noise or blur."""

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.erasing.photos import Photos
from benchmarks.erasing.rounds import report_of_rounds
from benchmarks.erasing.scenes import THRESHOLD
from benchmarks.erasing.scenes import boxes_of
from benchmarks.erasing.scenes import falling
from benchmarks.erasing.scenes import make_classifier
from benchmarks.erasing.scenes import make_scenes
from benchmarks.erasing.scores import boxed_scores
from benchmarks.erasing.scores import show
from keras_xmap import callbacks
from keras_xmap import visualization
from keras_xmap.layers import EraseRegions

BLUR_RADIUS = 4.0  # of scenes, whose digits are 14 to 19 pixels high


def fills(folder, arguments, save):
    train = make_scenes(arguments.scenes, "train", 0)
    test = make_scenes(arguments.test_scenes, "test", 1)
    for fill in arguments.fills:
        erasing, whole = trained(train, test, fill, arguments.scene_epochs)
        report = _report(train, erasing, whole)
        for number, scores in report.items():
            show(f"scenes, {fill}, {number}", scores)
        save("scenes", {fill: report})
        if fill == "mean" and arguments.picture:
            _picture(train, erasing.store, arguments)
    dataset = arguments.datasets[0]
    photos = Photos(folder, dataset)
    for fill in arguments.fills:
        title = f"{dataset}, {fill}"
        save(dataset, {fill: report_of_rounds(photos, title, arguments, fill)})


def trained(train, test, fill, epochs):
    """A network from scratch in each of two rounds, by the callback.

    Returns:
        The callback, and the AUC on whole held-out scenes of each round.
    """
    keras.utils.set_random_seed(0)
    model = make_classifier()
    erasing = callbacks.AdversarialErasing(
        _numbered(train),
        epochs_per_round=epochs,
        max_rounds=2,
        threshold=THRESHOLD,
        fill=_filling(fill, train.images),
        stop=lambda records: None,
        callbacks=[falling(epochs)],
    )
    whole = []

    def clean(epoch, logs):
        if (epoch + 1) % epochs == 0:
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
    return erasing, whole


def _report(train, erasing, whole):
    rows, classes = np.nonzero(train.labels)
    ink = train.masks[rows, :, :, classes]
    truth = boxes_of(ink)
    report = {}
    for record, auc in zip(erasing.rounds, whole, strict=True):
        number = record["round"]
        found = _regions(erasing.store, rows, classes, number)
        recall = (found & ink).sum() / ink.sum()
        report[f"round {number}"] = {
            "training AUC": round(record["logs"]["auc"], 3),
            "held-out AUC, erased": round(record["logs"]["val_auc"], 3),
            "whole": round(auc, 3),
            "recall of ink": round(float(recall), 3),
            **boxed_scores(found, truth, classes),
        }
    return report


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


def _regions(store, rows, classes, rounds):
    return np.stack(
        [
            store.region(row, class_id=name, rounds=range(1, rounds + 1))
            for row, name in zip(rows, classes, strict=True)
        ]
    )


def _picture(scenes, store, arguments):
    """Scenes, and the same without what one round has found."""
    rows = []
    for number in range(4):
        image = scenes.images[number]
        region = store.region(number, rounds=1)
        row = [image, visualization.overlay(image, region * 1.0)]
        for fill in arguments.fills:
            erase = _filling(fill, scenes.images)
            erased = np.asarray(erase([image[None], region[None]]))[0]
            row.append(erased.clip(0, 1))
        rows.append(row)
    titles = ["scene", "found", *arguments.fills]
    panel = visualization.panel(rows, titles, (96, 96))
    Image.fromarray(panel).save(arguments.picture)
