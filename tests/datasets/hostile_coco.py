"""COCO files as they come from elsewhere: one good, and mutations of it."""

import copy
import json

import numpy as np
from PIL import Image

NAN, INFINITY = float("nan"), float("inf")
SQUARE = [1, 1, 3, 1, 3, 3, 1, 3]

# What may stand where something else belongs, as JSON has it.
VALUES = {
    "null": None,
    "true": True,
    "minus one": -1,
    "zero": 0,
    "a half": 0.5,
    "a float": 7.0,
    "NaN": NAN,
    "infinity": INFINITY,
    "1e300": 1e300,
    "2**70": 2**70,
    "number as text": "7",
    "text": "x",
    "no text": "",
    "NUL": "a\0b",
    "no list": [],
    "list": [1],
    "nested": [[[1, 1, 3, 1, 3, 3]]],
    "ragged": [[1, 1, 3, 1, 3, 3], [1, 2]],
    "nulls": [None, None],
    "texts": ["1", "2", "3", "4", "5", "6"],
    "pairs": [[1, 1], [3, 1], [3, 3]],
    "NaNs": [[NAN, 1, 3, 1, 3, 3]],
    "no object": {},
    "object": {"a": 1},
    "run lengths": {"size": [4, 5], "counts": [20]},
    "huge run lengths": {"size": [60000, 60000], "counts": [3600000000]},
    "wrong run lengths": {"size": [4, 5], "counts": "~~~~~~~~~~~~~~~~"},
}
FILE_NAMES = (
    "/etc/passwd",
    "../a.png",
    "x/../../a.png",
    "..\\a.png",
    "C:\\a.png",
    "\\\\host\\a.png",
    "file:///etc/passwd",
    "gs://bucket/a.png",
)


def good():
    """Two images and objects, as polygons and as run lengths."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "height": 4, "width": 5},
            {"id": 8, "file_name": "b.png", "height": 4, "width": 5},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {
                "id": 50,
                "image_id": 7,
                "category_id": 2,
                "segmentation": [list(SQUARE)],
                "area": 4,
                "iscrowd": 0,
            },
            {
                "id": 51,
                "image_id": 8,
                "category_id": 1,
                "segmentation": {"size": [4, 5], "counts": [5, 2, 13]},
                "iscrowd": 0,
            },
        ],
    }


def write_photos(folder):
    for name in ("a.png", "b.png"):
        photo = np.zeros((4, 5, 3), "uint8")
        Image.fromarray(photo).save(folder / name)


def places(value, place=()):
    """Yields the place of every entry of nested lists and objects."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in entries:
        yield (*place, key)
        if isinstance(entry, (dict, list)) and entry:
            yield from places(entry, (*place, key))


def mutations():
    """Yields names and texts of files, each with one thing changed."""
    for place in places(good()):
        where = ".".join(map(str, place))
        for name, value in VALUES.items():
            yield f"{where} is {name}", json.dumps(_put(place, value))
        yield f"{where} is missing", json.dumps(_put(place))
        yield f"{where} stands twice", _twice(place)
    for name in FILE_NAMES:
        place = ("images", 0, "file_name")
        yield f"file {name}", json.dumps(_put(place, name))
    yield from BROKEN.items()


BROKEN = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "a number": "3",
    "deep nesting": "[" * 200000,
    "deep objects": '{"a":' * 200000,
    "a key twice": '{"images": [], "images": [], "categories": [], '
    '"annotations": []}',
    "long number": "1" * 5000,
    "half": json.dumps(good())[:-20],
    "byte order": "\ufeff" + json.dumps(good()),
    "surrogates": json.dumps(good()).replace("a.png", "\\ud800"),
}


def _at(content, place):
    for key in place:
        content = content[key]
    return content


def _put(place, *value):
    content = good()
    owner = _at(content, place[:-1])
    if value:
        owner[place[-1]] = copy.deepcopy(value[0])
    else:
        del owner[place[-1]]
    return content


def _twice(place):
    """Returns a file in which an entry, or the key of an object, is double."""
    content = good()
    owner, key = _at(content, place[:-1]), place[-1]
    if isinstance(owner, list):
        owner.insert(key, copy.deepcopy(owner[key]))
        return json.dumps(content)
    owner["twice"] = owner[key]
    return json.dumps(content).replace('"twice"', json.dumps(key))
