"""What others read of mined regions: statistics, PNG, COCO."""

import io
import json
import os
import posixpath

import numpy as np
from PIL import Image

from keras_xmap._files import check_path
from keras_xmap._files import leads_out
from keras_xmap._files import make_directory
from keras_xmap._files import write_atomically
from keras_xmap.regions._masks import count_pixels
from keras_xmap.regions._masks import num_bytes
from keras_xmap.regions.run_lengths import encode_run_lengths


def statistics(index):
    """Returns `RegionStore.statistics` of a `RegionIndex`."""
    rounds = sorted(index.rounds())
    totals = {
        round_id: {"num_images": 0, "num_regions": 0, "new_share": 0.0}
        for round_id in rounds
    }
    numbers = index.numbers()
    for number in numbers:
        size = index.sizes[number]
        earlier = np.zeros(num_bytes(size), "uint8")
        by_round = {}
        for _, round_id, read in index.found(number):
            by_round.setdefault(round_id, []).append(read())
        for round_id, regions in sorted(by_round.items()):
            total = totals[round_id]
            total["num_images"] += 1
            total["num_regions"] += len(regions)
            union = earlier.copy()
            for bits in regions:
                if bits is not None:
                    union |= bits
            new = count_pixels(union & ~earlier)
            total["new_share"] += new / (size[0] * size[1]) / len(numbers)
            earlier = union
    shares = np.cumsum([totals[round_id]["new_share"] for round_id in rounds])
    return [
        {"round": round_id, **totals[round_id], "area_share": float(share)}
        for round_id, share in zip(rounds, shares, strict=True)
    ]


def label_map(image_id, masks, overlap):
    """Returns `RegionStore.labels` of masks by class, at least one."""
    if max(masks) > 253:
        raise ValueError(
            f"Labels end at class 253. Received: class_id={max(masks)} of "
            f"image {image_id!r}. Use `region`."
        )
    (size,) = {mask.shape for mask in masks.values()}
    labels = np.zeros(size, "uint8")
    order = sorted(masks, key=lambda c: (-masks[c].sum(), -c))
    for class_id in order:
        labels[masks[class_id]] = class_id + 1
    if overlap == "ignore":
        labels[np.sum(list(masks.values()), axis=0) > 1] = 255
    return labels


def save_png(store, directory, rounds, overlap):
    directory = check_path("directory", directory)
    palette = voc_colors().tobytes()
    for name, image_id in _file_names(store.image_ids).items():
        image = Image.fromarray(store.labels(image_id, rounds, overlap))
        image.putpalette(palette)
        content = io.BytesIO()
        image.save(content, format="PNG")
        path = os.path.join(directory, f"{name}.png")
        make_directory(os.path.dirname(path))
        write_atomically(path, content.getvalue())


def save_coco(store, path, rounds, class_names, compressed):
    path, class_names = check_path("path", path), _checked(class_names)
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
        for class_id in sorted({row[0] for row in store.regions(image_id)}):
            classes.add(class_id)
            mask = store.region(image_id, class_id, rounds)
            if mask.any():
                row = _annotation(mask, class_id, compressed)
                ids = {"id": len(annotations) + 1, "image_id": coco_id}
                annotations.append({**ids, **row})
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


def _annotation(mask, class_id, compressed):
    return {
        "category_id": class_id + 1,
        "segmentation": encode_run_lengths(mask, compressed),
        "area": int(mask.sum()),
        "bbox": _box(mask),
        "iscrowd": 0,
    }


def _box(mask):
    """Returns the box as COCO writes it: left, top, width and height."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    return [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]


def _checked(class_names):
    if class_names is None or isinstance(class_names, dict):
        return class_names
    if not isinstance(class_names, (list, tuple)) or not all(
        isinstance(name, str) for name in class_names
    ):
        raise ValueError(
            "`class_names` must be a list of names, a dictionary of them by "
            f"class, or None. Received: class_names={class_names!r}."
        )
    return class_names


def _class_name(class_id, class_names):
    if class_names is None:
        return str(class_id)
    try:
        return str(class_names[class_id])
    except (IndexError, KeyError) as error:
        raise ValueError(
            "`class_names` must name every class of the store. Received: "
            f"{len(class_names)} names, and regions of class {class_id}."
        ) from error


def _file_names(image_ids):
    """Returns the ids of images by the names of their files."""
    names = {}
    for image_id in image_ids:
        name = str(image_id)
        if leads_out(name):
            raise ValueError(
                "An image id that names a file must not lead out of its "
                f"folder. Received: image_id={image_id!r}. Add regions under "
                "ids that are names of files."
            )
        name = posixpath.normpath(name)
        if name in names:
            raise ValueError(
                "Each image id must name a file of its own. Received: image "
                f"ids {names[name]!r} and {image_id!r}, both of {name}.png. "
                "Add regions under ids that are names of files."
            )
        names[name] = image_id
    return names
