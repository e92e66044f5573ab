"""Photos with the class of every pixel, and how far masks overlap with it."""

import json
import os

import numpy as np
from PIL import Image

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
        folder: `_photos.Folder`.
        dataset: One of `DATASETS`.
        limit: Integer: about so many photos, or `None` for all.
        fewest: Integer: the photos that a class must be in.
        without: List of the names of classes not to look for.

    Attributes:
        dataset: Its name.
        classes: List of names.
        images: `(photos, 224, 224, 3)`, uint8.
        pixels: `(photos, 224, 224)`: 0 for none of the classes, else one
            more than the number of the class.
        known: Boolean, `(photos, 224, 224)`.
        labels: `(photos, classes)`, 1 where a photo has the class.
        target: `(photos, classes at most)`: the classes of each photo, the
            largest first, filled up by -1.
    """

    def __init__(self, folder, dataset, limit=None, fewest=10, without=()):
        self.dataset = dataset
        root = os.path.join(folder.path, dataset, "dev")
        with open(os.path.join(root, "annotations.json")) as file:
            names = sorted(json.load(file))
        mapping = os.path.join(
            folder.path, "mappings", CLASSES[dataset] + ".json"
        )
        with open(mapping) as file:
            classes = np.array(list(json.load(file)))
        values = np.stack(
            [_square(root, MASKS[dataset], f"{name}.png") for name in names]
        )
        numbers = np.arange(1, len(classes) + 1)
        there = np.stack([np.isin(numbers, value) for value in values])
        rare = there.sum(0) < fewest
        kept = ~rare & ~np.isin(classes, without)
        rows = np.flatnonzero(there[:, kept].any(1))
        if limit:
            rows = rows[:: max(1, len(rows) // limit)]
        self.names = [names[row] for row in rows]
        self.classes = classes[kept].tolist()
        self.images = np.stack(
            [_square(root, "images", f"{name}.jpg") for name in self.names]
        )
        values = values[rows]
        # What becomes of each value: its class's place among those kept.
        place = np.zeros(256, "uint8")
        place[numbers[kept]] = np.arange(1, kept.sum() + 1)
        unknown = [UNKNOWN[dataset], *numbers[rare]]
        self.pixels = place[values]
        self.known = ~np.isin(values, unknown)
        area = np.stack(
            [(self.pixels == k + 1).mean((1, 2)) for k in range(kept.sum())], 1
        )
        self.labels = (area > 0).astype("float32")
        most = int(self.labels.sum(1).max())
        order = np.argsort(-area, axis=1)[:, :most]
        has = np.take_along_axis(area, order, 1) > 0
        self.target = np.where(has, order, -1).astype("int32")

    def masks(self, row):
        """Returns `(classes of the photo, 224, 224)`."""
        target = self.target[row]
        return self.pixels[row] == target[target >= 0, None, None] + 1

    def folds(self, number, seed=0):
        """Returns which of so many equal parts each photo is in."""
        generator = np.random.default_rng(seed)
        return generator.permutation(len(self.images)) % number


class Overlaps:
    """Overlaps of masks with classes, summed over photos, per threshold."""

    def __init__(self, num_thresholds, num_classes):
        self.shared = np.zeros((num_thresholds, num_classes))
        self.found = np.zeros((num_thresholds, num_classes))
        self.true = np.zeros((num_thresholds, num_classes))

    def add(self, number, masks, truth, known, classes):
        """Adds masks `(classes, 224, 224)` of one photo.

        Args:
            number: Which threshold they were made with.
            masks: Boolean.
            truth: Boolean, see `Labelled.masks`.
            known: Boolean, `(224, 224)`: the pixels that count.
            classes: The numbers of the classes.
        """
        masks = masks & known
        for mask, true, name in zip(masks, truth, classes, strict=True):
            self.shared[number, name] += (mask & true).sum()
            self.found[number, name] += mask.sum()
            self.true[number, name] += true.sum()

    def scores(self):
        """Returns mIoU, recall and precision of each threshold.

        All are means over the classes that any photo had.
        """
        there = self.true.max(0) > 0
        shared, found, true = (
            x[:, there] for x in (self.shared, self.found, self.true)
        )
        return (
            (shared / (found + true - shared)).mean(1),
            (shared / true).mean(1),
            (shared / np.maximum(found, 1)).mean(1),
        )

    def best(self):
        """Returns the highest mIoU, and the number of its threshold."""
        means = self.scores()[0]
        return round(float(means.max()), 3), int(means.argmax())


def average_precision(outputs, labels):
    """Mean over classes with any image of the area under the curve."""
    values = []
    for output, label in zip(outputs.T, labels.T, strict=True):
        if label.sum():
            ranked = label[np.argsort(-output, kind="stable")]
            precision = ranked.cumsum() / np.arange(1, len(ranked) + 1)
            values.append((precision * ranked).sum() / ranked.sum())
    return float(np.mean(values))


def divided(maps, threshold):
    """Masks of pixels that have one class, or none, out of maps of classes.

    Args:
        maps: `(classes, 224, 224)`.
        threshold: Float in [0, 1]: pixels have none whose highest map, each
            divided by its own maximum, is not above it.

    Returns:
        Boolean array of the same shape.
    """
    top = maps.max((1, 2), keepdims=True)
    scaled = maps / np.where(top > 0, top, 1)
    chosen = np.where(scaled.max(0) > threshold, scaled.argmax(0), -1)
    return chosen == np.arange(len(maps))[:, None, None]


def _square(root, kind, name):
    image = Image.open(os.path.join(root, kind, name))
    if kind == "images":
        image = image.convert("RGB")
    how = Image.BILINEAR if kind == "images" else Image.NEAREST
    return np.array(image.resize((SIZE, SIZE), how))
