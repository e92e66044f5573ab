"""Which pixels are the "three", if all you ever said is that there is one?

Nobody drew a mask. A classifier learns which digits are in a scene; where it
looks becomes a first, rough label of every pixel; and a segmentation network
learns from these, which then needs no labels at all:

    images = keras_xmap.datasets.VOCFolder("scenes", class_names=digits)
    run = keras_xmap.weak_segmentation.WeakSegmentation(
        backbone, "run", image_size=48)
    report = run.fit(images)
    run.predict(others, "unseen")

On this page you write scenes as PASCAL VOC lays out its photos, train both
networks, kill the program whenever you like and start it again (with
`--directory`), and hold all masks against the places where the digits stand. A
real VOC folder goes in as these scenes do.

Data: scenes composed of the real handwritten digits that ship with
scikit-learn (`pip install "keras-xmap[segmentation]"`), no download.
Time: about 3 minutes on two CPU cores.
Expect: mIoU of 0.65 for what the classifier looks at, whose classes are told;
0.56 for the masks of the network, and as much on scenes that it has not seen
and of which it is told nothing.
"""

import argparse
import pathlib
import tempfile

import keras
import numpy as np
from PIL import Image

from keras_xmap import datasets
from keras_xmap import visualization
from keras_xmap import weak_segmentation

SIZE = 48


def make_data(folder, num_scenes, split, num_digits):
    """Writes scenes of one to three digits, as VOC lays out its photos."""
    scenes = datasets.handwritten_scenes(
        num_scenes,
        size=SIZE,
        num_classes=num_digits,
        multi_label=True,
        split=split,
        seed=0 if split == "train" else 1,
    )
    names = [f"{split}{number:05d}" for number in range(num_scenes)]
    for part in ("JPEGImages", "SegmentationClass"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, image, mask in zip(
        names, scenes.images, scenes.masks, strict=True
    ):
        picture = Image.fromarray((255 * image[..., 0]).astype("uint8"))
        picture.save(folder / "JPEGImages" / f"{name}.png")
        # A digit is where it stands: its box, of which no two overlap.
        labels = np.zeros((SIZE, SIZE), "uint8")
        for digit in np.flatnonzero(mask.any(axis=(0, 1))):
            rows, columns = np.nonzero(mask[..., digit])
            box = np.s_[
                rows.min() : rows.max() + 1, columns.min() : columns.max() + 1
            ]
            labels[box] = digit + 1
        path = folder / "SegmentationClass" / f"{name}.png"
        datasets.write_label_map(path, labels)
    lists = folder / "ImageSets"
    write_list(lists / "Segmentation" / f"{split}.txt", names)
    for digit in range(num_digits):
        there = np.where(scenes.labels[:, digit] > 0, 1, -1)
        lines = [f"{name} {x}" for name, x in zip(names, there, strict=True)]
        write_list(lists / "Main" / f"{digit}_{split}.txt", lines)


def write_list(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))


def make_backbone():
    """A small network that makes a map half as large as the scene."""
    backbone = keras.Sequential([keras.Input((None, None, 1))])
    for number, filters in enumerate((16, 32, 64, 64)):
        backbone.add(
            keras.layers.Conv2D(
                filters,
                3,
                padding="same",
                use_bias=False,
            )
        )
        backbone.add(keras.layers.BatchNormalization(momentum=0.9))
        backbone.add(keras.layers.ReLU())
        if number == 0:
            backbone.add(keras.layers.MaxPooling2D())
    return backbone


def optimizer():
    return keras.optimizers.Adam(3e-3)


def picture(root, file):
    """Draws scenes, where their digits are, and what was found of them."""
    folders = {
        "scene": root / "scenes/JPEGImages",
        "truth": root / "scenes/SegmentationClass",
        "classifier": root / "run/pseudo_labels",
        "network": root / "run/masks",
    }
    rows = [
        [
            np.asarray(
                Image.open(folder / f"train{number:05d}.png").convert("RGB")
            )
            for folder in folders.values()
        ]
        for number in range(5)
    ]
    drawn = visualization.panel(rows, list(folders), (96, 96))
    Image.fromarray(drawn).save(file)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=1200)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--loss", choices=("plain", "sec", "psl"), default="plain"
    )
    parser.add_argument("--directory", help="to go on after it was killed")
    parser.add_argument("--picture", help="file for a picture of the masks")
    parser.add_argument("--smoke", action="store_true", help="a quick look")
    arguments = parser.parse_args(argv)
    num_digits, num_test = 3, 200
    if arguments.smoke:
        arguments.scenes, arguments.epochs = 600, 8
        num_digits, num_test = 2, 40

    keras.utils.set_random_seed(0)
    root = pathlib.Path(arguments.directory or tempfile.mkdtemp())
    digits = [str(digit) for digit in range(num_digits)]
    make_data(root / "scenes", arguments.scenes, "train", num_digits)
    make_data(root / "scenes", num_test, "test", num_digits)
    train, test = (
        datasets.VOCFolder(root / "scenes", split, class_names=digits)
        for split in ("train", "test")
    )
    run = weak_segmentation.WeakSegmentation(
        make_backbone(),
        root / "run",
        SIZE,
        threshold=0.5,
        loss=arguments.loss,
        classifier_epochs=arguments.epochs,
        epochs=arguments.epochs // 2,
        batch_size=32,
        optimizer=optimizer,
        crf=None,  # a box has no edges that a CRF could follow
        value_range=(0, 1),
    )
    report = run.fit(train, verbose=2)
    first, _ = weak_segmentation.mean_iou(train, root / "run/pseudo_labels")
    print(f"mIoU of what the classifier looks at: {first:.3f}")
    second, _ = weak_segmentation.mean_iou(train, report.masks)
    print(f"mIoU of the masks of the same scenes: {second:.3f}")
    unseen = run.predict(test, root / "unseen", verbose=2)
    third, _ = weak_segmentation.mean_iou(test, unseen.masks)
    print(f"mIoU of the masks of unseen scenes: {third:.3f}")
    print(f"Masks are in {report.masks}")
    if arguments.picture:
        picture(root, arguments.picture)
    return second


if __name__ == "__main__":
    main()
