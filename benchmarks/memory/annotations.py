"""What a file of annotations takes while it is read, and afterwards."""

import json
import os
import tempfile

import numpy as np

from benchmarks.memory.counted import counted
from keras_xmap import datasets

_OBJECTS_AN_IMAGE = 7.3


def annotations(folder, arguments, save):
    del folder
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "instances.json")
        _write(path, arguments.images)
        row = counted(lambda: datasets.COCOInstances(path, scratch))
        row["file"] = os.path.getsize(path)
    title = f"{arguments.images:,} images"
    print(f"  {title}: {row}", flush=True)
    save(title, row)


def _write(path, num_images):
    """Writes a file with what COCO says of its images and objects."""
    rng = np.random.default_rng(0)
    categories = [{"id": n, "name": f"class {n}"} for n in range(1, 81)]
    with open(path, "w") as file:
        file.write('{"categories": ' + json.dumps(categories))
        file.write(', "images": ')
        _write_list(file, (_image(number) for number in range(num_images)))
        file.write(', "annotations": ')
        _write_list(file, _objects(num_images, rng))
        file.write("}")


def _write_list(file, rows):
    for number, row in enumerate(rows):
        file.write(("[" if number == 0 else ", ") + json.dumps(row))
    file.write("]")


def _image(number):
    name = f"{number:012d}.jpg"
    return {
        "license": 3,
        "file_name": name,
        "coco_url": f"http://images.cocodataset.org/train2017/{name}",
        "height": 480,
        "width": 640,
        "date_captured": "2013-11-14 11:18:45",
        "id": number,
    }


def _objects(num_images, rng):
    for number in range(num_images):
        for _ in range(rng.poisson(_OBJECTS_AN_IMAGE)):
            angles = np.sort(rng.uniform(0, 2 * np.pi, 4 + rng.poisson(22)))
            x, y, radius = rng.uniform((60, 60, 5), (580, 420, 60))
            corners = x + radius * np.cos(angles), y + radius * np.sin(angles)
            polygon = np.stack(corners, axis=1).ravel().round(2).tolist()
            yield {
                "segmentation": [polygon],
                "area": round(3 * radius**2, 4),
                "iscrowd": 0,
                "image_id": number,
                "bbox": [round(x - radius, 2), round(y - radius, 2)]
                + [round(2 * radius, 2)] * 2,
                "category_id": int(rng.integers(1, 81)),
                "id": int(rng.integers(2**31)),
            }
