"""What others read of mined regions: statistics, PNG, COCO."""

import json
import os
import pathlib
import struct
import zlib

import numpy as np

from keras_xmap._files import make_directory
from keras_xmap._files import write_atomically
from keras_xmap.regions._packed_masks import count_pixels
from keras_xmap.regions.run_length import encode_run_lengths


def statistics(index):
    """Returns `RegionStore.statistics` of a `RegionIndex`."""
    rounds = sorted(index.rounds())
    totals = {
        round: {"num_images": 0, "num_regions": 0, "new_share": 0.0}
        for round in rounds
    }
    numbers = index.numbers()
    for number in numbers:
        height, width = index.sizes[number]
        earlier = np.zeros(-(-height * width // 8), "uint8")
        by_round = {}
        for _, round, read in index.found(number):
            by_round.setdefault(round, []).append(read())
        for round, regions in sorted(by_round.items()):
            total = totals[round]
            total["num_images"] += 1
            total["num_regions"] += len(regions)
            union = earlier.copy()
            for bits in regions:
                if bits is not None:
                    union |= bits
            new = count_pixels(union & ~earlier)
            total["new_share"] += new / (height * width) / len(numbers)
            earlier = union
    shares = np.cumsum([totals[round]["new_share"] for round in rounds])
    return [
        {"round": round, **totals[round], "area_share": float(share)}
        for round, share in zip(rounds, shares, strict=True)
    ]


def save_png(store, directory, rounds, overlap):
    for image_id in store.image_ids:
        labels = store.labels(image_id, rounds, overlap)
        path = os.path.join(os.fspath(directory), f"{_file_name(image_id)}.png")
        make_directory(os.path.dirname(path))
        write_atomically(path, indexed_png(labels, voc_colors()))


def save_coco(store, path, rounds, class_names, compressed):
    images, annotations, classes = [], [], set()
    for number, image_id in enumerate(store.image_ids, start=1):
        height, width = store.size(image_id)
        coco_id = number if isinstance(image_id, str) else image_id
        images.append(
            {
                "id": coco_id,
                "file_name": str(image_id),
                "height": height,
                "width": width,
            }
        )
        of_image = sorted({found[0] for found in store.regions(image_id)})
        classes.update(of_image)
        for class_id in of_image:
            mask = store.region(image_id, class_id, rounds)
            if mask.any():
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": coco_id,
                        "category_id": class_id + 1,
                        "segmentation": encode_run_lengths(mask, compressed),
                        "area": int(mask.sum()),
                        "bbox": _box(mask),
                        "iscrowd": 0,
                    }
                )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": class_id + 1, "name": _class_name(class_id, class_names)}
            for class_id in sorted(classes)
        ],
    }
    write_atomically(path, json.dumps(content).encode())


def voc_colors():
    """Returns the 256 colours of VOC's labels, uint8 `(256, 3)`.

    The bits of the label are dealt out to red, green and blue in turn, the
    low ones first, and fill each colour from its high end.
    """
    label = np.arange(256)[:, None] >> np.arange(3)
    place = np.arange(8)[None, None, :]
    bits = (label[:, :, None] >> (3 * place)) & 1
    return (bits << (7 - place)).sum(axis=-1).astype("uint8")


def indexed_png(labels, colors):
    """Returns the bytes of a PNG that holds uint8 labels and a palette."""
    height, width = labels.shape
    # One byte before each row says that the row is not filtered.
    rows = np.pad(labels, ((0, 0), (1, 0)))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in (
            (b"IHDR", header),
            (b"PLTE", colors.tobytes()),
            (b"IDAT", zlib.compress(rows.tobytes())),
            (b"IEND", b""),
        )
    )


def _box(mask):
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    return [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]


def _class_name(class_id, class_names):
    return str(class_id if class_names is None else class_names[class_id])


def _file_name(image_id):
    path = pathlib.PurePosixPath(str(image_id))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(
            "An image id that names a file must not lead out of its folder. "
            f"Received: image_id={image_id!r}."
        )
    return path
