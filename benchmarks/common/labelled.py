"""Photos with the class of every pixel."""

import json
import os

import numpy as np

from benchmarks.common import images

SIZE = 224
DATASETS = ("msrc", "coco_seg")
# The values of the masks: those of no class known, and of none of the classes.
MASKS = {"msrc": "masks", "coco_seg": "masks_voc"}
UNKNOWN = {"msrc": 0, "coco_seg": 255}
CLASSES = {"msrc": "msrc23_to_imagenet", "coco_seg": "voc20_to_imagenet"}


class Labelled:
    """Photos brought to a square, and which class each pixel has.

    Pixels of a class that too few photos have count as unknown, those of a
    class of `without` as none of the classes. Photos that have none of the
    other classes are left out.

    Args:
        folder: `photos.Folder`.
        dataset: One of `DATASETS`.
        fewest: Integer: the photos that a class must be in.
        without: List of the names of classes not to look for.

    Attributes:
        dataset: Its name.
        classes: List of names.
        values: Their values in the masks, as a list.
        images: `(photos, 224, 224, 3)`, uint8.
        pixels: `(photos, 224, 224)`: 0 for none of the classes, else one
            more than the number of the class.
        known: Boolean, `(photos, 224, 224)`.
        labels: `(photos, classes)`, 1 where a photo has the class.
        target: `(photos, classes at most)`: the classes of each photo, the
            largest first, filled up by -1.
    """

    def __init__(self, folder, dataset, fewest=10, without=()):
        self.dataset = dataset
        root = os.path.join(folder.path, dataset, "dev")
        names = sorted(_read(root, "annotations.json"))
        mapping = _read(folder.path, "mappings", CLASSES[dataset] + ".json")
        classes = np.array(list(mapping))
        values = np.stack(
            [_labels(root, MASKS[dataset], f"{name}.png") for name in names]
        )
        numbers = np.arange(1, len(classes) + 1)
        there = np.stack([np.isin(numbers, value) for value in values])
        rare = there.sum(0) < fewest
        kept = ~rare & ~np.isin(classes, without)
        rows = folder.some(np.flatnonzero(there[:, kept].any(1)))
        self.names = [names[row] for row in rows]
        self.classes = classes[kept].tolist()
        self.values = numbers[kept].tolist()
        paths = [
            os.path.join(root, "images", f"{name}.jpg") for name in self.names
        ]
        self.images = np.stack(
            [images.read_photo(path, (SIZE, SIZE)) for path in paths]
        )
        # What becomes of each value: its class's place among those kept.
        place = np.zeros(256, "uint8")
        place[numbers[kept]] = np.arange(1, kept.sum() + 1)
        unknown = [UNKNOWN[dataset], *numbers[rare]]
        self.pixels = place[values[rows]]
        self.known = ~np.isin(values[rows], unknown)
        self.labels, self.target = self._largest_first(kept.sum())

    def _largest_first(self, num_classes):
        """Returns what `labels` and `target` are."""
        area = np.stack(
            [(self.pixels == k + 1).mean((1, 2)) for k in range(num_classes)], 1
        )
        labels = (area > 0).astype("float32")
        most = int(labels.sum(1).max())
        order = np.argsort(-area, axis=1)[:, :most]
        has = np.take_along_axis(area, order, 1) > 0
        return labels, np.where(has, order, -1).astype("int32")

    def masks(self, row):
        """Returns `(classes of the photo, 224, 224)`."""
        target = self.target[row]
        return self.pixels[row] == target[target >= 0, None, None] + 1

    def folds(self, number, seed=0):
        """Returns which of so many equal parts each photo is in."""
        generator = np.random.default_rng(seed)
        return generator.permutation(len(self.images)) % number


def _read(*path):
    with open(os.path.join(*path)) as file:
        return json.load(file)


def _labels(root, kind, name):
    labels = images.read(os.path.join(root, kind, name))
    return images.resized_labels(labels, (SIZE, SIZE))
