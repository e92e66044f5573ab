"""The same erasing by the callback, photos and all, in one `fit`."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.common.labelled import SIZE
from benchmarks.erasing.photos import BATCH
from benchmarks.erasing.photos import Photos
from benchmarks.erasing.rounds import MINING
from benchmarks.erasing.rounds import add_regions
from benchmarks.erasing.scores import rounded
from benchmarks.erasing.scores import show
from keras_xmap import callbacks

THRESHOLD = MINING[-1]


def through_callback(folder, arguments, save):
    """The first of the datasets, at the last threshold."""
    dataset = arguments.datasets[0]
    prepared = Photos(folder, dataset)
    labels = prepared.labelled.labels

    def images(rows):
        parts = prepared.images[rows], labels[rows]
        return tf.data.Dataset.from_tensor_slices(parts).enumerate()

    erasing = callbacks.AdversarialErasing(
        images(prepared.train),
        epochs_per_round=arguments.callback_epochs,
        max_rounds=arguments.rounds,
        threshold=THRESHOLD,
        stop=callbacks.StopRule("val_precision", tolerance=0.3),
    )
    make_model(prepared).fit(
        erasing.training_data(BATCH),
        epochs=erasing.num_epochs,
        validation_data=erasing.validation_data(images(prepared.held_out)),
        callbacks=[erasing],
        verbose=0,
    )
    print(f" {dataset}: {erasing.finished}", flush=True)
    save(dataset, {"finished": erasing.finished, **_report(prepared, erasing)})


def make_model(prepared):
    keras.utils.set_random_seed(0)
    x = keras.layers.GlobalAveragePooling2D()(prepared.trunk.output)
    x = keras.layers.Dense(prepared.num_classes)(x)
    model = keras.Model(prepared.trunk.input, x)
    precision = keras.metrics.AUC(
        curve="PR",
        multi_label=True,
        num_labels=prepared.num_classes,
        from_logits=True,
        name="precision",
    )
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[precision],
    )
    return model


def _report(prepared, erasing):
    target = prepared.labelled.target
    regions = np.zeros((*target.shape, SIZE, SIZE), "bool")
    report = {}
    for record in erasing.rounds:
        number = record["round"]
        scores = {"held-out precision": record["logs"]["val_precision"]}
        if number in erasing.store.rounds:
            for image_id, row in enumerate(prepared.train):
                masks = np.zeros_like(regions[row])
                for class_id, round_id, mask in erasing.store.regions(image_id):
                    if round_id == number:
                        masks[target[row] == class_id] = mask
                add_regions(regions[row], masks)
            scores.update(prepared.of_regions(regions))
        name = f"regions of {number} rounds at {THRESHOLD}"
        report[name] = rounded(scores)
        show(name, report[name])
    return report
