"""Regions of photos with their classes, to train on and to test."""

import json
import os
import pathlib
import tempfile
import zlib

import numpy as np

from benchmarks.common import photos
from keras_xmap import datasets

MAX_PER_CLASS = 60
MIN_TRAIN, MIN_TEST = 15, 5  # of a class


def coco(folder):
    """Instances of the classes with enough of them in enough photos."""
    base = pathlib.Path(folder.path, "coco_seg", "dev")
    annotations = json.loads((base / "annotations.json").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        file = os.path.join(scratch, "instances.json")
        with open(file, "w") as stream:
            json.dump(_as_coco(annotations), stream)
        return datasets.COCOInstances(file, base / "images", min_area=100)


def _as_coco(annotations):
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
                "file_name": name + ".jpg",
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


def msrc(folder):
    """Regions of photos in which every pixel has a class."""
    base = pathlib.Path(folder.path, "msrc", "dev")
    mapping = pathlib.Path(folder.path, "mappings", photos.MAPPINGS["msrc"])
    names = json.loads(mapping.read_text())
    return datasets.RegionFolders(
        base / "images",
        base / "masks",
        dict(enumerate(names, start=1)),
        min_area=100,
    )


SETS = {"coco_seg": coco, "msrc": msrc}


def split(regions, min_train=MIN_TRAIN, min_test=MIN_TEST, salt=""):
    """Training and test regions by photo, of classes with enough of both.

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
            kept.extend(rows[:MAX_PER_CLASS])
    kept = np.sort(kept)
    return regions.subset(kept[~test[kept]]), regions.subset(kept[test[kept]])
