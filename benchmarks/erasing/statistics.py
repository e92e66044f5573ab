"""Is a round that fails on whole images failed by its moving statistics?

A network with BatchNormalization may know images in training alone. Two rounds
on scenes of digits, as in `fills`, by networks that differ in what they
normalize with: moving statistics as training left them, the same gathered anew
from all images of the round, and groups of channels, which need none.
"""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.erasing.holes import auc
from benchmarks.erasing.scenes import THRESHOLD
from benchmarks.erasing.scenes import falling
from benchmarks.erasing.scenes import make_classifier
from benchmarks.erasing.scenes import make_scenes
from benchmarks.erasing.scores import show
from keras_xmap import callbacks

BATCH = 100


def statistics(folder, arguments, save):
    train = make_scenes(arguments.statistics_scenes, "train", 0)
    test = make_scenes(arguments.test_scenes, "test", 1)
    for norm in ("batch", "group"):
        for name, row in _rounds(train, test, norm, arguments.scene_epochs):
            show(name, row)
            save("scenes", {name: {**row, "n": len(test.images)}})


def _rounds(train, test, norm, epochs):
    keras.utils.set_random_seed(0)
    model = make_classifier(norm)
    erasing = callbacks.AdversarialErasing(
        tf.data.Dataset.from_tensor_slices(train[:2]).enumerate(),
        epochs_per_round=epochs,
        max_rounds=2,
        threshold=THRESHOLD,
        stop=lambda records: None,
        callbacks=[falling(epochs)],
    )
    found = []

    def measure(epoch, logs):
        if (epoch + 1) % epochs == 0:
            number = (epoch + 1) // epochs
            images = _erased(train, erasing.store, number)
            trained = {"AUC in training": round(logs["auc"], 3)}
            row = {**trained, **_known(model, images, train.labels, test)}
            found.append((f"{norm}, round {number}", row))
            if norm == "batch":
                row = {**trained, **_of_data(model, images, train.labels, test)}
                found.append((f"statistics of the data, round {number}", row))

    model.fit(
        erasing.training_data(32),
        epochs=erasing.num_epochs,
        # Before the callback that draws new weights.
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_end=measure),
            erasing,
        ],
        verbose=0,
    )
    return found


def _known(model, images, labels, test):
    return {
        "AUC of the same in inference": auc(model, images, labels),
        "AUC held out, whole": auc(model, test.images, test.labels),
    }


def _of_data(model, images, labels, test):
    """The same with statistics gathered from all images; changes nothing."""
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    before, momenta = model.get_weights(), [norm.momentum for norm in norms]
    for number, start in enumerate(range(0, len(images), BATCH)):
        for norm in norms:
            norm.momentum = number / (number + 1)
        model(images[start : start + BATCH], training=True)
    row = _known(model, images, labels, test)
    model.set_weights(before)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return row


def _erased(scenes, store, number):
    """Images of a round, without the regions of those before."""
    if number == 1:
        return scenes.images
    known = set(store.image_ids)
    masks = np.stack(
        [
            store.region(i, rounds=range(1, number))
            if i in known
            else np.zeros(scenes.images.shape[1:3], bool)
            for i in range(len(scenes.images))
        ]
    )
    return np.where(masks[..., None], scenes.images.mean(), scenes.images)
