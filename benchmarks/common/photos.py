"""Labelled photos and the networks that look at them, from a folder.

The folder is not part of the project, since few of the photos may be passed
on. It holds

    tools/archs.py            `build(name, weights, size=, logits=)`,
                              `preprocess(name, images)`, `INPUT_SIZE`
    weights/NETWORK.npz       weights trained on ImageNet
    imagenet_boxes/dev        ILSVRC validation images with boxes:
                              `images/`, `annotations.json`
    coco_seg/dev, msrc/dev    photos with masks: `images/`, a folder of masks,
                              `targets.json`: photo, class, value in the mask
    ecssd/dev                 photos of one object: `images/`, `masks/`
    tiny_imagenet/SPLIT.npz   see `tiny_imagenet.py`
    mappings/                 which ImageNet classes a class of these stands for

`made_folder.py` writes a small one, of drawings.
"""

import dataclasses
import importlib.util
import json
import os
import zlib

import numpy as np

from benchmarks.common import images

VARIABLE = "KERAS_XMAP_BENCHMARK_DATA"
MASKS = {"coco_seg": "masks_coco", "msrc": "masks"}
MAPPINGS = {
    "coco_seg": "coco80_to_imagenet.json",
    "msrc": "msrc23_to_imagenet.json",
}


@dataclasses.dataclass
class Photos:
    """One row per pair of a photo and a class that is to be found in it."""

    names: np.ndarray
    images: np.ndarray
    masks: np.ndarray
    classes: np.ndarray
    boxes: list
    subsets: dict

    def __len__(self):
        return len(self.names)

    def take(self, rows):
        """Returns the rows alone; `rows` are numbers or booleans."""
        rows = np.arange(len(self))[rows]
        return Photos(
            self.names[rows],
            self.images[rows],
            self.masks[rows],
            self.classes[rows],
            [self.boxes[row] for row in rows],
            {name: member[rows] for name, member in self.subsets.items()},
        )

    def half(self, number):
        """Returns which rows are in half 0 or 1: by the photo's name alone."""
        halves = [zlib.crc32(name.encode()) % 2 for name in self.names]
        return np.array(halves) == number


class Folder:
    """The folder of photos and networks.

    Args:
        path: Where it is.
        limit: Integer: read about so many photos of each set, evenly chosen,
            or `None` for all.
    """

    def __init__(self, path, limit=None):
        self.path = path
        self.limit = limit
        file = os.path.join(path, "tools", "archs.py")
        spec = importlib.util.spec_from_file_location("archs", file)
        self.archs = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.archs)

    def network(self, name, logits=False, size=None):
        weights = os.path.join(self.path, "weights")
        return self.archs.build(name, weights, size=size, logits=logits)

    def size(self, network):
        return self.archs.INPUT_SIZE[network]

    def photos(self, dataset, network, size=None):
        """Returns `Photos` as the network takes them, of masks of that size.

        Photos are brought to a square without regard to their shape. Of
        photos of several classes only those are taken that the network itself
        has among its five best.
        """
        size = size or self.size(network)
        if dataset == "imagenet_boxes":
            return self._boxed(network, size)
        return self._masked(dataset, network, size)

    def prepared(self, network, photos):
        return self.archs.preprocess(network, photos)

    def some(self, items):
        """Returns about `limit` of the items, evenly chosen."""
        items = list(items)
        step = max(1, len(items) // self.limit) if self.limit else 1
        return items[::step]

    def _boxed(self, network, size):
        folder = os.path.join(self.path, "imagenet_boxes", "dev")
        annotations = dict(self.some(_read(folder, "annotations.json").items()))
        rows = list(annotations.values())
        boxes, masks = [], np.zeros((len(rows), size, size), "uint8")
        for mask, row in zip(masks, rows, strict=True):
            scaled = np.array(row["boxes"]) * size / 227
            scaled = scaled.round().astype(int).clip(0, size)
            boxes.append(scaled)
            for left, top, right, bottom in scaled:
                mask[top:bottom, left:right] = 1
        area = np.array([row["box_area"] for row in rows])
        central = np.array([row["centre_in_box"] for row in rows])
        return Photos(
            np.array(list(annotations)),
            self._prepared_images(folder, annotations, network, size),
            masks,
            np.array([row["label"] for row in rows]),
            boxes,
            {"box < 30 %": area < 0.3, "centre not in box": ~central},
        )

    def _masked(self, dataset, network, size):
        folder = os.path.join(self.path, dataset, "dev")
        rows = _read(folder, "targets.json")
        if network in rows[0]:
            pairs = [
                (row, row[network]["imagenet"])
                for row in rows
                if row[network]["in_top5"]
            ]
        else:
            pairs = self._best_classes(dataset, network, rows)
        pairs = self.some(pairs)
        rows = [row for row, _ in pairs]
        masks = [
            _mask(folder, MASKS[dataset], row["image"], row["mask_value"], size)
            for row in rows
        ]
        names = [row["image"] + ".jpg" for row in rows]
        area = np.array([row["area"] for row in rows])
        central = np.array([row["centre_in_mask"] for row in rows])
        return Photos(
            np.array([row["image"] for row in rows]),
            self._prepared_images(folder, names, network, size),
            np.stack(masks),
            np.array([number for _, number in pairs]),
            [_boxes_around(mask) for mask in masks],
            {"mask < 10 %": area < 0.1, "centre not in mask": ~central},
        )

    def _best_classes(self, dataset, network, rows):
        folder = os.path.join(self.path, dataset, "dev")
        mapping = _read(self.path, "mappings", MAPPINGS[dataset])
        names = self.some(sorted({row["image"] for row in rows}))
        rows = [row for row in rows if row["image"] in names]
        photos = self._prepared_images(
            folder,
            [name + ".jpg" for name in names],
            network,
            self.size(network),
        )
        outputs = self.network(network).predict(photos, verbose=0)
        pairs = []
        for row in rows:
            output = outputs[names.index(row["image"])]
            candidates = mapping[row["cls"]]["imagenet"]
            best = max(candidates, key=lambda number: output[number])
            if (output > output[best]).sum() < 5:
                pairs.append((row, best))
        return pairs

    def _prepared_images(self, folder, names, network, size):
        paths = [os.path.join(folder, "images", name) for name in names]
        photos = [images.read_photo(path, (size, size)) for path in paths]
        return self.prepared(network, np.stack(photos))


def boxed_instance(name, box):
    """An instance as COCO's annotations hold it, whose mask is its box."""
    left, top, right, bottom = box
    return {
        "category": name,
        "iscrowd": 0,
        "area": (right - left) * (bottom - top),
        "polygons": [[left, top, right, top, right, bottom, left, bottom]],
    }


def _read(*path):
    with open(os.path.join(*path)) as file:
        return json.load(file)


def _mask(folder, kind, name, value, size):
    path = os.path.join(folder, kind, name + ".png")
    mask = (images.read(path) == value).astype("uint8")
    return images.resized_labels(mask, (size, size))


def _boxes_around(mask):
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    if not len(rows):
        return np.zeros((0, 4), int)
    return np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]])
