"""Where is it worth looking closely?

A label map is flat but for its edges. A decoder that starts with large cells,
and divides those that are mixed, looks closely at edges alone:

    model = keras_xmap.models.quadtree_decoder(backbone, num_classes)
    levels = keras_xmap.ops.quadtree_labels(labels, num_classes, num_levels)
    model.fit(images, levels)

On this page you divide a photo into a quadtree; make label maps into trees;
train a network that finds the ink of digits in clutter, level by level; see
which cells it asks; and keep its maps in a few bytes, each within a bound that
you choose.

Data: scenes composed of the real handwritten digits that ship with
scikit-learn (`pip install "keras-xmap[segmentation]"`), no download.
Time: about a minute on two CPU cores.
Expect: an IoU of .62 with the ink of the digits, for which one cell in twenty
is computed; and maps in less than a hundredth of their bytes.
"""

import argparse

import keras
import numpy as np
from keras import layers
from PIL import Image
from skimage import data

import keras_xmap
from keras_xmap import losses
from keras_xmap import models
from keras_xmap import ops
from keras_xmap import regions
from keras_xmap import visualization

SIZE, NUM_DIGITS = 64, 3
STAGES = (8, 16, 32, 48)  # channels at strides 1, 2, 4 and 8


def make_data(num_scenes, split):
    """Scenes of one digit, and label maps: 0 the ground, 1 to 3 the digits."""
    scenes = keras_xmap.datasets.handwritten_scenes(
        num_scenes,
        size=SIZE,
        num_classes=NUM_DIGITS,
        split=split,
        seed=0 if split == "train" else 1,
    )
    labels = scenes.masks * (scenes.labels + 1)[:, None, None]
    return scenes.images, labels.astype("int32")


def make_model(threshold=0.5):
    """A small backbone of four stages, and the decoder behind it."""
    x = inputs = keras.Input((SIZE, SIZE, 1))
    stages = []
    for filters in STAGES:
        for strides in (2 if stages else 1, 1):
            x = layers.Conv2D(
                filters, 3, strides, padding="same", use_bias=False
            )(x)
            x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.ReLU()(x)
        stages.append(x)
    backbone = keras.Model(inputs, stages)
    return models.quadtree_decoder(
        backbone, NUM_DIGITS, filters=32, threshold=threshold, seed=0
    )


def train(model, images, labels, epochs, verbose):
    """Trains every level on what the tree of the label map says there."""
    levels = ops.quadtree_labels(labels, NUM_DIGITS, len(STAGES))
    levels = {name: keras.ops.convert_to_numpy(x) for name, x in levels.items()}
    loss = losses.SeedingLoss(data_format="channels_last")
    model.compile(keras.optimizers.Adam(4e-3), loss=dict.fromkeys(levels, loss))
    fall = keras.callbacks.LearningRateScheduler(
        lambda epoch, _: 4e-3 * (1 - epoch / epochs)
    )
    model.fit(
        images,
        levels,
        batch_size=16,
        epochs=epochs,
        callbacks=[fall],
        verbose=verbose,
    )


def mean_iou(labels, found):
    """The mean over the digits, the ground left out."""
    scores = []
    for digit in range(1, NUM_DIGITS + 1):
        truth, answer = labels == digit, found == digit
        scores.append((truth & answer).sum() / max((truth | answer).sum(), 1))
    return float(np.mean(scores))


def levels_of(found, threshold):
    """The level of the cell that answered at each position."""
    level = np.full(
        found[f"level_{len(STAGES) - 1}"].shape[:3], len(STAGES) - 1
    )
    for number in reversed(range(1, len(STAGES))):
        mixed = found[f"level_{number}"][..., -1] > threshold
        level = np.where(mixed, number - 1, level).repeat(2, 1).repeat(2, 2)
    return level.astype("int32")


def share_computed(levels):
    """The cells that were asked, of as many as there are at all levels."""
    asked = total = 0
    for level in range(len(STAGES)):
        cells = levels[:, :: 2**level, :: 2**level]
        total += cells.size
        # Four cells are asked where the one above them is divided.
        above = levels[:, :: 2 ** (level + 1), :: 2 ** (level + 1)]
        is_last = level == len(STAGES) - 1
        asked += cells.size if is_last else 4 * (above <= level).sum()
    return asked / total


def keep(probabilities):
    """Writes maps of classes in few bytes, and reads them again."""
    maps = probabilities.transpose(0, 3, 1, 2)  # classes first
    for tolerance in (0.0, 0.01, 0.05):
        content = regions.encode_maps(maps, tolerance)
        back = regions.decode_maps(content)
        same = (back.argmax(1) == maps.argmax(1)).mean()
        print(
            f"tolerance {tolerance:.2f}: {len(content) / maps.nbytes:.4f} of "
            f"the bytes, furthest off {np.abs(back - maps).max():.4f}, the "
            f"same class at {same:.4f} of the positions"
        )


def picture(images, labels, found, file):
    """Rows of scenes: the scene, the cells asked, the answer, the truth."""
    colors = np.array([[0, 0, 0], [230, 60, 50], [60, 180, 75], [70, 120, 240]])
    levels, rows = levels_of(found, 0.5), []
    for number in range(min(4, len(images))):
        scene = np.repeat(images[number], 3, axis=-1)
        scene = visualization.to_uint8(scene, (0, 1))
        rows.append(
            [
                scene,
                visualization.quadtree_cells(scene, levels[number], min_side=2),
                colors[found["masks"][number].argmax(-1)].astype("uint8"),
                colors[labels[number]].astype("uint8"),
            ]
        )
    titles = ["scene", "cells asked", "answer", "truth"]
    grid = visualization.panel(rows, titles, cell_size=(192, 192))
    Image.fromarray(grid).save(file)


def divide_a_photo():
    """The leaves of a photo, and how far their means are from it."""
    photo = data.astronaut()[None].astype("float32")
    for threshold in (16, 48):
        levels = ops.quadtree(photo, threshold)
        values = ops.quadtree_encode(photo, levels)
        back = np.asarray(ops.quadtree_decode(values, levels))
        share = len(values) / levels[0].shape.num_elements()
        furthest = np.abs(back - photo).max()
        print(
            f"a threshold of {threshold} leaves {share:.3f} leaves a pixel, "
            f"at most {furthest:.0f} of 255 off"
        )


def arguments_of(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--picture", help="file for a picture of scenes")
    parser.add_argument("--smoke", action="store_true", help="a quick look")
    arguments = parser.parse_args(argv)
    if arguments.smoke:
        arguments.scenes, arguments.epochs = 300, 5
    return arguments


def main(argv=None):
    arguments = arguments_of(argv)
    keras.utils.set_random_seed(0)

    # A square in which little changes is a leaf; all others are divided.
    divide_a_photo()

    # Each level learns from the cells that lie in divided ones.
    images, labels = make_data(arguments.scenes, "train")
    model = make_model()
    verbose = 0 if arguments.smoke else 2
    train(model, images, labels, arguments.epochs, verbose)

    # Inference computes the cells within mixed ones alone.
    images, labels = make_data(100, "test")
    for threshold in (0.2, 0.5):
        decoder = make_model(threshold)
        decoder.set_weights(model.get_weights())
        found = decoder.predict(images, batch_size=20, verbose=0)
        score = mean_iou(labels, found["masks"].argmax(-1))
        share = share_computed(levels_of(found, threshold))
        print(
            f"divided above {threshold}: {share:.3f} of the cells computed, "
            f"IoU of the digits {score:.3f}"
        )

    # What was found takes few bytes: maps of classes are mostly flat.
    keep(found["masks"][:20])
    if arguments.picture:
        picture(images, labels, found, arguments.picture)
    return score


if __name__ == "__main__":
    main()
