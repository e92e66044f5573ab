"""The rows of a COCO annotation file, each of them checked.

What a row lacks, or holds in a way that nobody could mean, is an error that
names the file and the row. Numbers may be written `3.0` for 3, as programs
without integers do.
"""

import contextlib
import math
import reprlib

import numpy as np

from keras_xmap._checks import is_integer
from keras_xmap._checks import is_number
from keras_xmap._files import leads_out
from keras_xmap._files import read_file
from keras_xmap.datasets._json_lists import JSONLists
from keras_xmap.regions import check_run_lengths

_KEYS = ("images", "annotations", "categories")
_LARGEST_COORDINATE = 2.0**31


class RowError(ValueError):
    """What is wrong with a row, without where it stands."""


class COCOFile:
    """Reads an annotation file.

    Attributes:
        class_names: List of the names of the categories, by their id.

    Args:
        path: Path of the file, as text.
    """

    def __init__(self, path):
        self._path = path
        self._lists = self._read()
        self._images = self._by_id("images", _image)
        names = self._by_id("categories", _name)
        kinds = {type(key) for key in names}
        if len(kinds) > 1:
            raise ValueError(
                "Categories must have ids of one kind, numbers or text. "
                f"Received: ids {list(names)[:5]} in {path!r}."
            )
        order = sorted(names)
        self.class_names = [names[key] for key in order]
        self._numbers = {key: number for number, key in enumerate(order)}

    def annotations(self):
        """Yields `(image, label, segmentation, area, is_crowd)` row by row.

        `image` is `(file_name, size)`; a segmentation is run lengths, or a
        list of arrays `x, y, x, y, ...`; `area` is `None` where not given.
        """
        for number, row in enumerate(self._rows("annotations")):
            try:
                yield self._annotation(row)
            except (RowError, ValueError, TypeError) as error:
                known = row if isinstance(row, dict) else {}
                raise ValueError(
                    "An annotation must have an image, a category and a "
                    "segmentation of polygons or run lengths. Received: "
                    f"annotation id={known.get('id')} (number {number}) of "
                    f"image_id={known.get('image_id')!r} in {self._path!r}: "
                    f"{error}"
                ) from error

    def _annotation(self, row):
        row = _object(row)
        image = self._images.get(_identity(row, "image_id"))
        if image is None:
            raise _expected(
                "`image_id` must be that of an image", row, "image_id"
            )
        label = self._numbers.get(_identity(row, "category_id"))
        if label is None:
            raise _expected(
                "`category_id` must be that of a category", row, "category_id"
            )
        crowd = row.get("iscrowd")
        if crowd not in (None, 0, 1) or isinstance(crowd, str):
            raise _expected("`iscrowd` must be 0 or 1", row, "iscrowd")
        area = row.get("area")
        if area is not None and not (is_number(area) and 0 <= area < math.inf):
            raise _expected("`area` must be a number >= 0", row, "area")
        segmentation = _segmentation(_value(row, "segmentation"), image[1])
        return image, label, segmentation, area, bool(crowd)

    def _read(self):
        with self._named():
            text = read_file(self._path).decode("utf-8-sig")
            lists = JSONLists(text, _KEYS, _packed)
        missing = [key for key in _KEYS if key not in lists.keys]
        if missing:
            raise ValueError(
                f"`annotations` must hold lists of {', '.join(_KEYS)}. "
                f"Received: {self._path!r} without {', '.join(missing)}."
            )
        return lists

    def _rows(self, kind):
        """Yields the rows of a list, which must be JSON."""
        with self._named():
            rows = self._lists.rows(kind)
        while True:
            with self._named():
                row = next(rows, self)
            if row is self:
                return
            yield row

    @contextlib.contextmanager
    def _named(self):
        try:
            yield
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"`annotations` must be JSON. Received: {self._path!r}: "
                f"{error}."
            ) from error

    def _by_id(self, kind, read):
        """Returns what `read` makes of rows, by their ids."""
        found = {}
        for number, row in enumerate(self._rows(kind)):
            try:
                row = _object(row)
                key = _identity(row, "id")
                if key in found:
                    raise RowError(
                        f"Each id must stand once. Received: id={key!r} again."
                    )
                found[key] = read(row)
            except (RowError, TypeError) as error:
                known = row.get("id") if isinstance(row, dict) else None
                raise ValueError(
                    f"`{kind}` must hold {_EXPECTED[kind]}. Received: "
                    f"{kind}[{number}] of id={known!r} in {self._path!r}: "
                    f"{error}"
                ) from error
        return found


_EXPECTED = {
    "images": "objects with an id, a file_name, a height and a width",
    "categories": "objects with an id and a name",
}


def _packed(pairs):
    """Returns an object of JSON, its polygons as arrays of a third the size.

    Called while the file is read, so that the numbers of all polygons are
    never there one by one.
    """
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(
            "a key must stand once in an object. Received twice: "
            f"{reprlib.repr(double)}"
        )
    polygons = row.get("segmentation")
    if isinstance(polygons, list):
        row["segmentation"] = [_pack(polygon) for polygon in polygons]
    return row


def _pack(polygon):
    if not isinstance(polygon, list):
        return polygon
    if not set(map(type, polygon)) <= {float, int}:
        return polygon
    try:
        return np.array(polygon, "float64")
    except OverflowError:
        return polygon


def _object(row):
    if not isinstance(row, dict):
        raise RowError(f"It must be an object. Received: {reprlib.repr(row)}.")
    return row


def _expected(expected, row, key):
    """Returns the error of what stands under a key of a row."""
    return RowError(f"{expected}. Received: {key}={reprlib.repr(row[key])}.")


def _value(row, key):
    if row.get(key) is None:
        raise RowError(f"`{key}` must be given. Received: none.")
    return row[key]


def _identity(row, key):
    """Returns an id, text or a whole number."""
    value = _value(row, key)
    if isinstance(value, str):
        return value
    return _whole(value, f"`{key}` must be a whole number or text")


def _whole(value, expected):
    """Returns a number without a fraction as an integer."""
    is_whole = is_integer(value) or (
        isinstance(value, float) and value.is_integer()
    )
    if not is_whole:
        raise RowError(f"{expected}. Received: {reprlib.repr(value)}.")
    return int(value)


def _name(row):
    name = _value(row, "name")
    if not isinstance(name, str):
        raise _expected("`name` must be text", row, "name")
    return name


def _image(row):
    """Returns the name of the file and the size of an image."""
    from PIL import Image

    size = tuple(
        _whole(_value(row, key), f"`{key}` must be a whole number")
        for key in ("height", "width")
    )
    if min(size) < 1:
        raise RowError(
            f"Height and width must be at least 1. Received: {size}."
        )
    # Beyond twice this number Pillow refuses to read a file.
    largest = Image.MAX_IMAGE_PIXELS
    if largest is not None and size[0] * size[1] > 2 * largest:
        raise RowError(
            f"An image must have at most {2 * largest} pixels, or Pillow does "
            f"not read it. Received: {size[0]} x {size[1]} pixels. If you "
            "trust the file, set `PIL.Image.MAX_IMAGE_PIXELS`."
        )
    return _file_name(_value(row, "file_name")), size


def _file_name(name):
    if not isinstance(name, str) or not name or "\0" in name:
        raise RowError(
            "`file_name` must be the name of a file. Received: "
            f"file_name={reprlib.repr(name)}."
        )
    if leads_out(name):
        raise RowError(
            "`file_name` must not lead out of the folder of the images. "
            f"Received: file_name={reprlib.repr(name)}."
        )
    return name


def _segmentation(segmentation, size):
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation, size)
    if not isinstance(segmentation, list) or not segmentation:
        raise RowError(
            "`segmentation` must be a list of polygons, or run lengths. "
            f"Received: segmentation={reprlib.repr(segmentation)}."
        )
    for polygon in segmentation:
        _check_polygon(polygon, size)
    return segmentation


def _run_lengths(segmentation, size):
    sides = _value(segmentation, "size")
    if not isinstance(sides, list) or len(sides) != 2:
        raise _expected(
            "`size` must be a height and a width", segmentation, "size"
        )
    own = tuple(
        _whole(side, "`size` must hold whole numbers") for side in sides
    )
    if own != size:
        raise RowError(
            "Run lengths must be of the size of the image. Received: "
            f"size={sides} for {size}."
        )
    counts = _value(segmentation, "counts")
    if isinstance(counts, list):
        counts = [_whole(n, "`counts` must hold whole numbers") for n in counts]
    run_lengths = {"size": list(own), "counts": counts}
    check_run_lengths(run_lengths)
    return run_lengths


def _check_polygon(polygon, size):
    if not isinstance(polygon, np.ndarray):
        raise RowError(
            "A polygon must be a list of numbers, x and y in turn. Received: "
            f"{reprlib.repr(polygon)}."
        )
    if len(polygon) < 6 or len(polygon) % 2:
        raise RowError(
            "A polygon must be a list of x and y in turn, of three corners "
            f"at least. Received: a polygon of shape {polygon.shape}."
        )
    corners = polygon.reshape(-1, 2)
    low, high = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    # NaN is not below anything, nor is what is found among it.
    largest = _LARGEST_COORDINATE
    if not all(-largest < x < largest for x in (*low, *high)):
        raise RowError(
            "A polygon must have finite corners. Received: "
            f"{polygon.tolist()[:8]}."
        )
    height, width = size
    if min(high) < 0 or low[0] > width or low[1] > height:
        raise RowError(
            "A polygon must lie in its image. Received: corners from "
            f"{low} to {high} for height and width {size}."
        )
