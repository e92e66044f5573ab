"""The photos of Tiny ImageNet, each with the box of one object.

A file holds `jpeg`, the bytes of all photos joined, `offset`, where each of
them starts and ends, `label`, and `box`: left, top, right and bottom, of which
right and bottom belong to the box.
"""

import itertools
import os

import numpy as np

from benchmarks.common import images


def read(folder, split, choose=None):
    """Reads a split.

    Args:
        folder: `photos.Folder`.
        split: String, `"train"` or `"dev"`.
        choose: Function of all labels that returns the rows to read.
            Defaults to all of them.

    Returns:
        Photos `(n, 64, 64, 3)`, uint8; labels `(n,)`; half-open boxes
        `(n, 4)`.
    """
    path = os.path.join(folder.path, "tiny_imagenet", f"{split}.npz")
    with np.load(path) as file:
        jpeg, offset = file["jpeg"].tobytes(), file["offset"]
        labels = file["label"]
        boxes = file["box"] + [0, 0, 1, 1]
    rows = np.arange(len(labels)) if choose is None else choose(labels)
    rows = np.array(folder.some(rows))
    spans = list(itertools.pairwise(offset))
    photos = [images.decode_photo(jpeg[slice(*spans[row])]) for row in rows]
    return np.stack(photos), labels[rows], boxes[rows]
