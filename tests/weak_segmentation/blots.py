"""A folder of tiny scenes: a red or a green square, or both, on noise."""

import keras
import numpy as np
from PIL import Image

from keras_xmap.datasets import VOCFolder
from keras_xmap.datasets import write_label_map

CLASSES = ["red", "green"]


def write_scenes(root, count, size=(24, 32), seed=0):
    """Writes scenes as VOC lays them out, and returns their reader."""
    rng = np.random.default_rng(seed)
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    (root / "ImageSets/Main").mkdir()
    lines = {name: [] for name in CLASSES}
    for number in range(count):
        photo = rng.integers(0, 90, (*size, 3), dtype="uint8")
        labels = np.zeros(size, "uint8")
        kinds = [(1,), (2,), (1, 2)][number % 3]
        for kind, left in zip(kinds, (0, size[1] // 2), strict=False):
            row = rng.integers(0, size[0] - 9)
            column = left + rng.integers(0, size[1] // 2 - 10)
            place = slice(row, row + 9), slice(column, column + 10)
            photo[place][..., kind - 1] += 150
            labels[place] = kind
        name = f"scene{number:04d}"
        Image.fromarray(photo).save(root / f"JPEGImages/{name}.png")
        write_label_map(root / f"SegmentationClass/{name}.png", labels)
        for kind, known in enumerate(CLASSES, 1):
            there = 1 if kind in kinds else -1
            lines[known].append(f"{name} {there}\n")
    names = "".join(f"scene{number:04d}\n" for number in range(count))
    (root / "ImageSets/Segmentation/train.txt").write_text(names)
    for known in CLASSES:
        text = "".join(lines[known])
        (root / f"ImageSets/Main/{known}_train.txt").write_text(text)
    return VOCFolder(root, class_names=CLASSES)


def make_backbone():
    """A small trunk that makes a map four times smaller."""
    initializers = [keras.initializers.HeNormal(seed) for seed in (1, 2)]
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(
                8,
                3,
                strides=2,
                padding="same",
                activation="relu",
                kernel_initializer=initializers[0],
                name="first",
            ),
            keras.layers.Conv2D(
                16,
                3,
                strides=2,
                padding="same",
                activation="relu",
                kernel_initializer=initializers[1],
                name="second",
            ),
        ]
    )
