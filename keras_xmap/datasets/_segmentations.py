"""Segmentations of a million objects: numbers one after the other, in bytes.

As Python's lists of numbers they would take eight times as much.
"""

import array

import numpy as np

# How the numbers of an object are kept: polygons as whole hundredths where
# they are such, as COCO writes them; the counts of run lengths; or the counts
# that are packed into a string.
_HUNDREDTHS, _POLYGONS, _COUNTS, _STRING = range(4)
_DTYPES = {_HUNDREDTHS: "int32", _POLYGONS: "float64", _COUNTS: "int64"}
_LARGEST = 2**31 - 1


class Segmentations:
    """A list of polygons or run lengths, as `COCOFile.annotations` yields them.

    What is read is equal to what was added.
    """

    def __init__(self):
        self._content = bytearray()
        self._ends = array.array("q", [0])
        self._kinds = array.array("b")

    def __len__(self):
        return len(self._kinds)

    def append(self, segmentation):
        kind, parts = _packed(segmentation)
        for part in parts:
            self._content += part
        self._kinds.append(kind)
        self._ends.append(len(self._content))

    def __getitem__(self, number):
        content = bytes(
            self._content[self._ends[number] : self._ends[number + 1]]
        )
        kind = self._kinds[number]
        if kind in (_HUNDREDTHS, _POLYGONS):
            return _polygons(content, kind)
        size = np.frombuffer(content, "int64", 2).tolist()
        if kind == _STRING:
            counts = content[16:].decode("ascii")
        else:
            counts = np.frombuffer(content, "int64", offset=16).tolist()
        return {"size": size, "counts": counts}


def _packed(segmentation):
    """Returns how a segmentation is kept, and the bytes."""
    if isinstance(segmentation, dict):
        size = np.array(segmentation["size"], "int64").tobytes()
        counts = segmentation["counts"]
        if isinstance(counts, str):
            return _STRING, (size, counts.encode("ascii"))
        return _COUNTS, (size, np.array(counts, "int64").tobytes())
    lengths = [len(polygon) for polygon in segmentation]
    header = np.array([len(lengths), *lengths], "int32").tobytes()
    corners = (
        segmentation[0] if len(lengths) == 1 else np.concatenate(segmentation)
    )
    hundredths = np.rint(corners * 100)
    # A quotient is the double that is nearest, and so is what was read.
    if np.abs(hundredths).max() <= _LARGEST and np.array_equal(
        hundredths / 100, corners
    ):
        return _HUNDREDTHS, (header, hundredths.astype("int32").tobytes())
    return _POLYGONS, (header, corners.tobytes())


def _polygons(content, kind):
    (count,) = np.frombuffer(content, "int32", 1)
    lengths = np.frombuffer(content, "int32", count, 4)
    numbers = np.frombuffer(content, _DTYPES[kind], offset=4 * (1 + count))
    if kind == _HUNDREDTHS:
        numbers = numbers / 100
    return np.split(numbers, np.cumsum(lengths[:-1]))
