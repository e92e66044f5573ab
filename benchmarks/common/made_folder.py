"""A folder as `photos.py` describes it, of drawings, for runs of seconds.

Each drawing has two rectangles on noise, of two of three classes with a colour
each. What a benchmark finds there means nothing.
"""

import io
import itertools
import json
import pathlib

import numpy as np
from PIL import Image

from benchmarks.common.photos import boxed_instance

HEIGHT, WIDTH = 72, 96
COUNT = 36
COLOURS = {"cat": (220, 40, 40), "dog": (40, 200, 60), "car": (40, 60, 220)}
CLASSES = list(COLOURS)
# The networks whose best classes are known beforehand.
KNOWN = ("squeezenet_v1_1", "mobilenet_v2")
ARCHS = """from benchmarks.common.made_networks import CAFFE_MEAN_RGB
from benchmarks.common.made_networks import INPUT_SIZE
from benchmarks.common.made_networks import build
from benchmarks.common.made_networks import preprocess
"""


def write(folder):
    """Writes all of it, and returns where it is."""
    root = pathlib.Path(folder, "photos")
    archs = root / "tools" / "archs.py"
    archs.parent.mkdir(parents=True)
    archs.write_text(ARCHS)
    _write_mappings(root / "mappings")
    drawings = [Drawing(seed, HEIGHT, WIDTH) for seed in range(COUNT)]
    _write_masked(
        root / "coco_seg" / "dev", drawings, "masks_coco", "masks_voc"
    )
    _write_masked(root / "msrc" / "dev", drawings, "masks")
    _write_boxed(root / "imagenet_boxes" / "dev")
    _write_salient(root / "ecssd" / "dev", drawings)
    numbered = [{"name": x, "imagenet": k} for k, x in enumerate(CLASSES)]
    _write_json(root / "tiny_imagenet" / "classes.json", numbered)
    for split, seed in (("train", 0), ("dev", 100)):
        _write_tiny(root / "tiny_imagenet" / f"{split}.npz", seed)
    return str(root)


class Drawing:
    """An image, and the class and the half-open box of each object."""

    def __init__(self, seed, height, width):
        generator = np.random.default_rng(seed)
        self.image = generator.integers(80, 160, (height, width, 3), "uint8")
        self.labels = np.zeros((height, width), "uint8")
        self.objects = []
        half = width // 2
        for number in range(2):
            name = CLASSES[(seed + number) % len(CLASSES)]
            extent = generator.integers(12, half - 8, 2)
            top = generator.integers(0, height - extent[0])
            left = number * half + generator.integers(0, half - extent[1])
            box = [int(x) for x in (left, top, *(left, top) + extent[::-1])]
            rows, columns = slice(box[1], box[3]), slice(box[0], box[2])
            self.image[rows, columns] = COLOURS[name]
            self.labels[rows, columns] = CLASSES.index(name) + 1
            self.objects.append((name, box))

    def area(self, name):
        return float((self.labels == CLASSES.index(name) + 1).mean())

    def in_centre(self, name):
        height, width = self.labels.shape
        centre = self.labels[height // 2, width // 2]
        return bool(centre == CLASSES.index(name) + 1)


def _write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _write_image(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def _write_mappings(folder):
    """The last class has no counterpart in ImageNet."""
    mapping = {
        name: {"imagenet": [number]} for number, name in enumerate(CLASSES)
    }
    mapping["grass"] = {"imagenet": []}
    for name in ("coco80", "msrc23", "voc20"):
        _write_json(folder / f"{name}_to_imagenet.json", mapping)


def _write_masked(folder, drawings, *kinds):
    annotations, targets = {}, []
    for number, drawing in enumerate(drawings):
        image = f"photo{number:03}"
        _write_image(folder / "images" / f"{image}.jpg", drawing.image)
        for kind in kinds:
            _write_image(folder / kind / f"{image}.png", drawing.labels)
        annotations[image] = {
            "height": HEIGHT,
            "width": WIDTH,
            "instances": [boxed_instance(*x) for x in drawing.objects],
        }
        for name, _ in drawing.objects:
            known = {"imagenet": CLASSES.index(name), "in_top5": True}
            targets.append(
                {
                    "image": image,
                    "cls": name,
                    "mask_value": CLASSES.index(name) + 1,
                    "area": drawing.area(name),
                    "centre_in_mask": drawing.in_centre(name),
                    **dict.fromkeys(KNOWN, known),
                }
            )
    _write_json(folder / "annotations.json", annotations)
    _write_json(folder / "targets.json", targets)


def _write_boxed(folder, count=12, side=227):
    annotations = {}
    for number in range(count):
        drawing = Drawing(number, side, side)
        image = f"photo{number:03}.jpg"
        _write_image(folder / "images" / image, drawing.image)
        name, box = drawing.objects[0]
        annotations[image] = {
            "label": CLASSES.index(name),
            "boxes": [box],
            "box_area": drawing.area(name),
            "centre_in_box": drawing.in_centre(name),
        }
    _write_json(folder / "annotations.json", annotations)


def _write_salient(folder, drawings):
    for number, drawing in enumerate(drawings):
        left, top, right, bottom = drawing.objects[0][1]
        mask = np.zeros_like(drawing.labels)
        mask[top:bottom, left:right] = 255
        name = f"photo{number:03}"
        _write_image(folder / "images" / f"{name}.jpg", drawing.image)
        _write_image(folder / "masks" / f"{name}.png", mask)


def _write_tiny(path, seed, count=60, side=64):
    drawings = [Drawing(seed + number, side, side) for number in range(count)]
    files = []
    for drawing in drawings:
        stream = io.BytesIO()
        Image.fromarray(drawing.image).save(stream, "JPEG")
        files.append(stream.getvalue())
    boxes = np.array([drawing.objects[0][1] for drawing in drawings])
    names = [drawing.objects[0][0] for drawing in drawings]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(files), "uint8"),
        offset=[0, *itertools.accumulate(map(len, files))],
        label=np.array([CLASSES.index(name) for name in names], "int16"),
        box=(boxes - [0, 0, 1, 1]).astype("int16"),
    )
