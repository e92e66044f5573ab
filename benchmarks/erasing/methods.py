"""Erasing on photos, beside the other ways to see more of an object."""

import keras
import numpy as np

from benchmarks.common.labelled import SIZE
from benchmarks.erasing.photos import BATCH
from benchmarks.erasing.photos import Photos
from benchmarks.erasing.photos import linear_head
from benchmarks.erasing.photos import maps_of
from benchmarks.erasing.rounds import DRAWS
from benchmarks.erasing.rounds import MINING
from benchmarks.erasing.rounds import erasing
from benchmarks.erasing.rounds import in_batches
from benchmarks.erasing.rounds import regions_by_round
from benchmarks.erasing.scores import scaled
from benchmarks.erasing.scores import show
from keras_xmap import layers
from keras_xmap import models

# Of Hide-and-Seek: sides of patches.
PATCHES = (0, 16, 32, 44, 56)


def photos(folder, arguments, save):
    epochs = arguments.head_epochs
    for dataset in arguments.datasets:
        prepared = Photos(folder, dataset)
        print(
            f" {dataset}: {len(prepared.train)} photos, "
            f"{prepared.num_classes} classes",
            flush=True,
        )

        def note(name, scores, dataset=dataset):
            show(name, scores)
            save(dataset, {name: scores})

        for threshold in MINING:
            last = threshold == MINING[-1]
            count = arguments.many_rounds if last else arguments.rounds
            rounds = erasing(prepared, threshold, count, epochs)
            _note_rounds(prepared, threshold, rounds, note)
        note("Hide-and-Seek", hide_and_seek(prepared, epochs))
        of_heads = complementary(prepared, max(1, epochs // 5))
        note("complementary heads", of_heads)


def _note_rounds(photos, threshold, rounds, note):
    fused = np.zeros((*photos.labelled.target.shape, SIZE, SIZE), "float16")
    for number, (found, scores) in enumerate(
        regions_by_round(photos, threshold, rounds), 1
    ):
        for row in photos.train:
            maps = found.maps[row].astype("float32")
            fused[row] = np.maximum(fused[row], scaled(maps))
        of_rounds = f"of {number} rounds at {threshold}"
        note(
            f"erasing, regions {of_rounds}",
            {
                "held-out precision": found.precision,
                "on whole photos": found.precision_whole,
                **scores,
            },
        )
        if number > 1:
            scores = photos.at_best_threshold(fused)
            note(f"erasing, maps {of_rounds}", scores)
        elif threshold == MINING[0]:
            scores = photos.at_best_threshold(fused)
            note("CAM", {"held-out precision": found.precision, **scores})


def hide_and_seek(photos, epochs):
    layer = layers.HideAndSeek(
        PATCHES, fill=photos.images.mean((0, 1, 2)).tolist(), seed=0
    )
    whole = photos.features(photos.images)
    drawn = []
    for _ in range(DRAWS):
        hidden = in_batches(lambda x: layer(x[0], training=True), photos.images)
        drawn.append(photos.features(hidden))
    weights, bias = linear_head(photos, np.stack(drawn), 0, epochs)
    logits = whole[photos.held_out].mean((1, 2)) @ weights + bias
    return {
        "held-out precision": photos.precision(logits),
        **photos.at_best_threshold(maps_of(photos, whole, weights)),
    }


def complementary(photos, epochs):
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
        epochs=epochs,
        verbose=0,
    )
    logits = model.predict(features[photos.held_out], verbose=0)[0]
    fused = models.complementary_maps(model).predict(features, verbose=0)
    # The maps are those of the classes themselves.
    fused = np.moveaxis(fused, 1, -1)
    maps = maps_of(photos, fused, np.eye(photos.num_classes))
    return {
        "held-out precision": photos.precision(logits),
        **photos.at_best_threshold(maps),
    }
