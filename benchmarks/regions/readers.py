"""Regions of photos with their classes, to train on and to test."""

import json
import os
import pathlib
import typing
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.common import photos
from benchmarks.common import tiny_imagenet
from benchmarks.regions.training import EPOCHS
from benchmarks.regions.training import FLOOR
from benchmarks.regions.training import VARIANTS
from benchmarks.regions.training import WITHOUT
from keras_xmap import datasets

MAX_PER_CLASS = 60
MIN_TRAIN, MIN_TEST = 15, 5  # of a class
MIN_AREA = 100


def coco(folder, scratch):
    """Instances of the classes with enough of them in enough photos."""
    base = pathlib.Path(folder.path, "coco_seg", "dev")
    annotations = json.loads((base / "annotations.json").read_text())
    return _instances(annotations, base / "images", ".jpg", scratch)


def tiny(folder, scratch):
    """The boxes of Tiny ImageNet's photos, each a region of one object."""
    names = json.loads(
        pathlib.Path(folder.path, "tiny_imagenet", "classes.json").read_text()
    )
    annotations = {}
    for half in ("train", "dev"):
        read = tiny_imagenet.read(folder, half)
        for number, (photo, label, box) in enumerate(zip(*read, strict=True)):
            name = f"{half}{number:04}"
            Image.fromarray(photo).save(os.path.join(scratch, name + ".png"))
            annotations[name] = {
                "height": photo.shape[0],
                "width": photo.shape[1],
                "instances": [
                    photos.boxed_instance(names[label]["name"], box.tolist())
                ],
            }
    return _instances(annotations, scratch, ".png", scratch)


def _instances(annotations, folder, suffix, scratch):
    file = os.path.join(scratch, "instances.json")
    with open(file, "w") as stream:
        json.dump(_as_coco(annotations, suffix), stream)
    return datasets.COCOInstances(file, folder, min_area=MIN_AREA)


def _as_coco(annotations, suffix):
    """Returns the content of an annotation file laid out as COCO's."""
    rows = [
        (number, row)
        for number, photo in enumerate(annotations.values())
        for row in photo["instances"]
        if not row["iscrowd"]
    ]
    names = sorted({row["category"] for _, row in rows})
    return {
        "images": [
            {
                "id": number,
                "file_name": name + suffix,
                "height": photo["height"],
                "width": photo["width"],
            }
            for number, (name, photo) in enumerate(annotations.items())
        ],
        "categories": [{"id": i, "name": n} for i, n in enumerate(names)],
        "annotations": [
            {
                "image_id": number,
                "category_id": names.index(row["category"]),
                "segmentation": row["polygons"],
                "area": row["area"],
            }
            for number, row in rows
        ],
    }


def msrc(folder, scratch=None):
    """Regions of photos in which every pixel has a class."""
    del scratch
    base = pathlib.Path(folder.path, "msrc", "dev")
    mapping = pathlib.Path(folder.path, "mappings", photos.MAPPINGS["msrc"])
    names = json.loads(mapping.read_text())
    return datasets.RegionFolders(
        base / "images",
        base / "masks",
        dict(enumerate(names, start=1)),
        min_area=MIN_AREA,
    )


class RegionSet(typing.NamedTuple):
    """A set of regions of photos, and how networks are trained on it."""

    # Of the folder of photos, and of one that is there while they are read.
    read: Callable
    # From the names of sizes to the pixels that they begin at.
    sizes: dict
    passes: int = EPOCHS
    most: int | None = MAX_PER_CLASS
    variants: tuple = tuple(VARIANTS)


SIZES = {"small, < 1000 px": 0, "1000 to 4000 px": 1000, "> 4000 px": 4000}
SETS = {
    "coco_seg": RegionSet(
        coco,
        SIZES,
        most=None,
        variants=(
            FLOOR,
            "multiply, last layer",
            "multiply, all three",
            "hard, image",
            WITHOUT,
        ),
    ),
    "msrc": RegionSet(msrc, SIZES),
    "tiny_imagenet": RegionSet(
        tiny,
        {"small, < 1000 px": 0, "1000 to 2500 px": 1000, "> 2500 px": 2500},
        passes=10,
        most=None,
        variants=(FLOOR, "multiply, last layer", "hard, image", WITHOUT),
    ),
}


def split(
    regions,
    min_train=MIN_TRAIN,
    min_test=MIN_TEST,
    most=MAX_PER_CLASS,
    salt="",
):
    """Training and test regions by photo, of classes with enough of both.

    Of each class there are `most` at most, drawn by chance, in either half.
    Another `salt` makes another third of the photos those to test on.
    """
    files = [os.path.basename(regions.file(i)) for i in range(len(regions))]
    test = np.array(
        [zlib.crc32((salt + file).encode()) % 3 == 0 for file in files]
    )
    kept = []
    generator = np.random.default_rng(0)
    for label in np.unique(regions.labels):
        of_class = regions.labels == label
        if (of_class & ~test).sum() < min_train:
            continue
        if (of_class & test).sum() < min_test:
            continue
        for half in (test, ~test):
            rows = generator.permutation(np.flatnonzero(of_class & half))
            kept.extend(rows[:most])
    kept = np.sort(kept)
    return regions.subset(kept[~test[kept]]), regions.subset(kept[test[kept]])
