"""Find the whole object by erasing what was found.

    erasing = callbacks.AdversarialErasing(dataset, epochs_per_round=8)
    model.fit(erasing.training_data(32), epochs=erasing.num_epochs,
              callbacks=[erasing])

A classifier looks at the part of an object that gives it away, and its class
activation map shows little more. On this page you let one find objects in
scenes with several digits, erase them, and train again; you count after each
round how much of the digits is found, and hold two other answers to the same
problem beside it: Hide-and-Seek and complementary learning.

Data: scenes with one to three of the real handwritten digits that ship with
scikit-learn (`pip install "keras-xmap[segmentation]"`), no download. Only
which digits there are is told to the networks, not where.
Time: three to four minutes on two CPU cores.
Expect: the first round finds .87 of the ink. Digits without their middle cannot
be told from the decoys, so the second network does not learn to know whole
held-out scenes (AUC .98, then .57), and erasing ends with what there is.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image

import keras_xmap
from keras_xmap import callbacks
from keras_xmap import explainers
from keras_xmap import models
from keras_xmap import ops
from keras_xmap import visualization

SIZE, NUM_CLASSES = 48, 5
RATE = 4e-3


def make_data(num_scenes, split):
    """Images `(n, 48, 48, 1)`, labels `(n, 5)`, masks `(n, 48, 48, 5)`."""
    return keras_xmap.datasets.handwritten_scenes(
        num_scenes,
        size=SIZE,
        num_classes=NUM_CLASSES,
        multi_label=True,
        split=split,
        seed=0 if split == "train" else 1,
    )


def make_features(hide_and_seek=None):
    """Maps of 24 x 24, each position of which sees 17 pixels: a digit."""
    inputs = keras.Input((SIZE, SIZE, 1))
    x = inputs if hide_and_seek is None else hide_and_seek(inputs)
    for filters, size, stride in (
        (24, 5, 2),
        (32, 3, 1),
        (32, 3, 1),
        (48, 3, 1),
    ):
        x = layers.Conv2D(
            filters, size, stride, padding="same", use_bias=False
        )(x)
        x = layers.BatchNormalization(momentum=0.8)(x)
        x = layers.ReLU()(x)
    return keras.Model(inputs, x)


def make_classifier(hide_and_seek=None):
    features = make_features(hide_and_seek)
    x = layers.GlobalAveragePooling2D()(features.output)
    return compiled(keras.Model(features.input, layers.Dense(NUM_CLASSES)(x)))


def falling(epochs):
    """A learning rate that falls to nothing; in erasing, in every round."""
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: RATE * (1 - epoch / epochs)
    )


def compiled(model, **kwargs):
    model.compile(
        keras.optimizers.Adam(RATE),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(from_logits=True, name="auc")],
        **kwargs,
    )
    return model


def measures(regions, masks, boxes):
    """Recall of the ink, precision by the box of a digit, IoU with boxes.

    Maps are coarser than strokes: the ink says what has to be found, the box
    around the ink of a digit where nothing found is wrong.
    """
    recall = (regions & masks).sum() / masks.sum()
    precision = (regions & boxes).sum() / max(regions.sum(), 1)
    iou = (regions & boxes).sum() / (regions | boxes).sum()
    return {"recall": recall, "precision": precision, "IoU": iou}


def boxes_around(masks):
    """The box around the ink of each class, `(n, height, width, classes)`."""
    rows, columns = masks.any(axis=2), masks.any(axis=1)

    def span(x):
        after = np.maximum.accumulate(x, axis=1)
        return after & np.maximum.accumulate(x[:, ::-1], axis=1)[:, ::-1]

    return span(rows)[:, :, None] & span(columns)[:, None]


def at_best_threshold(maps, labels, masks, boxes):
    """Measures of maps `(n, h, w, classes)` at one threshold for all."""
    maps = maps * labels[:, None, None, :]
    peak = maps.max(axis=(1, 2), keepdims=True)
    found = [
        measures((maps > t * peak) & (peak > 0), masks, boxes)
        for t in np.linspace(0.05, 0.7, 14)
    ]
    return max(found, key=lambda x: x["IoU"])


def regions_of(store, count, rounds):
    """Regions of a store, `(n, height, width, classes)`."""
    regions = np.zeros((count, SIZE, SIZE, NUM_CLASSES), "bool")
    for image_id in store.image_ids:
        for class_id, round_id, mask in store.regions(image_id):
            if round_id <= rounds:
                regions[image_id, :, :, class_id] |= mask
    return regions


def show(name, found):
    numbers = "  ".join(f"{k} {v:.3f}" for k, v in found.items())
    print(f"{name:28s}{numbers}", flush=True)


def maps_of(model, data):
    every_class = np.tile(np.arange(NUM_CLASSES), (len(data.images), 1))
    maps = explainers.GradCAM(model).explain(
        data.images, every_class, verbose=0
    )
    return maps.transpose(0, 2, 3, 1)


def arguments_of(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=8, help="of a round")
    parser.add_argument("--fill", default="mean")
    parser.add_argument("--threshold", type=float, default=0.3)
    parser.add_argument("--picture", help="file for a picture of the rounds")
    parser.add_argument("--smoke", action="store_true", help="a quick look")
    arguments = parser.parse_args(argv)
    if arguments.smoke:
        arguments.scenes, arguments.epochs = 800, 7
    return arguments


def main(argv=None):
    arguments = arguments_of(argv)
    keras.utils.set_random_seed(0)
    data, test = make_data(arguments.scenes, "train"), make_data(400, "test")
    fit = {
        "validation_data": (test.images, test.labels),
        "verbose": 0 if arguments.smoke else 2,
    }

    # One fit. Each round begins with new weights; the scenes stay as they
    # are, and regions are erased from the batches on their way to the model.
    erasing = callbacks.AdversarialErasing(
        tf.data.Dataset.from_tensor_slices(data[:2]).enumerate(),
        epochs_per_round=arguments.epochs,
        max_rounds=2 if arguments.smoke else 3,
        threshold=arguments.threshold,
        fill=arguments.fill,
        # Held-out scenes, whole ones: a network may learn from the shapes of
        # what is erased, and then it knows nothing of digits.
        stop=callbacks.StopRule("val_auc", tolerance=0.15),
        callbacks=[falling(arguments.epochs)],
    )
    model = make_classifier()
    model.fit(
        erasing.training_data(32),
        epochs=erasing.num_epochs,
        callbacks=[erasing],
        **fit,
    )
    boxes = boxes_around(data.masks)
    recall = report(erasing, data, boxes)
    if not arguments.smoke:
        compare(data, boxes, arguments.epochs, fit)
    if arguments.picture:
        picture(data, erasing, arguments.picture)
    return recall


def report(erasing, data, boxes):
    """Says what each round has found, and returns the recall of them all."""
    print(erasing.finished)
    for record in erasing.rounds:
        print(
            f"round {record['round']}: held-out AUC "
            f"{record['logs']['val_auc']:.3f}, new regions "
            f"{record.get('new_share', 0):.3f} of the scenes"
        )
    for round_id in erasing.store.rounds:
        regions = regions_of(erasing.store, len(data.images), round_id)
        found = measures(regions, data.masks, boxes)
        show(f"erasing, after round {round_id}", found)
    return float(found["recall"])


def compare(data, boxes, epochs, fit):
    """The answers of others, each at its own best threshold."""
    truth = data.labels, data.masks, boxes
    train = {
        "batch_size": 32,
        "epochs": epochs,
        "callbacks": [falling(epochs)],
        **fit,
    }
    plain = make_classifier()
    plain.fit(data.images, data.labels, **train)
    show("CAM", at_best_threshold(maps_of(plain, data), *truth))

    hiding = make_classifier(
        keras_xmap.layers.HideAndSeek(
            (0, 8, 12), fill=float(data.images.mean()), seed=0
        )
    )
    hiding.fit(data.images, data.labels, **train)
    show("Hide-and-Seek", at_best_threshold(maps_of(hiding, data), *truth))

    # Two heads: the second is shown what the map of the first leaves. As in
    # the paper they stand on a trained network, that of the CAM.
    features = keras.Model(plain.input, plain.layers[-3].output)
    two = models.complementary(features, NUM_CLASSES, filters=24)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    two.compile(keras.optimizers.Adam(RATE), loss=[loss, loss])
    two.fit(
        data.images,
        [data.labels] * 2,
        batch_size=32,
        epochs=epochs // 2,
        callbacks=[falling(epochs // 2)],
        verbose=train["verbose"],
    )
    maps = models.complementary_maps(two).predict(data.images, verbose=0)
    maps = ops.resize(maps, (SIZE, SIZE), data_format="channels_first")
    maps = np.moveaxis(np.asarray(maps), 1, -1)
    show("complementary heads", at_best_threshold(maps, *truth))


def picture(data, erasing, path):
    rows = []
    for i in range(5):
        row = [data.images[i], data.masks[i].any(axis=-1)]
        for round_id in erasing.store.rounds:
            region = erasing.store.region(i, rounds=range(1, round_id + 1))
            row.append(visualization.overlay(data.images[i], region * 1.0))
        rows.append(row)
    titles = [f"round {round_id}" for round_id in erasing.store.rounds]
    panel = visualization.panel(rows, ["scene", "ink", *titles], (96, 96))
    Image.fromarray(panel).save(path)


if __name__ == "__main__":
    main()
