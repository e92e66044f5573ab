"""What the images of a run look like, to know them again."""

import hashlib
import io
import threading

import numpy as np

from keras_xmap._files import checksum

# 20 bytes an image, whatever its id.
_ROW = np.dtype(
    [("key", "<i8"), ("place", "<u4"), ("inputs", "<u4"), ("labels", "<u4")]
)
_WORDS = {
    "place": "at another place",
    "inputs": "with other inputs",
    "labels": "with other labels or weights",
}
_FEWEST_TO_MERGE = 1024


class SeenImages:
    """Place, inputs and labels of every image, by its id, as checksums.

    Batches are shown to it by the threads that make them; what is wrong is
    kept for the one that trains.

    Args:
        name: Text, what the dataset is called in messages.

    Attributes:
        is_watching: Boolean, whether batches are looked at.
        count: Integer, how many images there are; `None` before a pass was
            known to be whole.
    """

    def __init__(self, name):
        self.is_watching = True
        self.count = None
        self._name = name
        self._known = np.empty(0, _ROW)  # sorted by key
        self._new = {}  # rows as tuples, by key
        self._origin = None
        self._wrong = None
        self._lock = threading.Lock()

    def __len__(self):
        return len(self._known) + len(self._new)

    def show(self, places, ids, inputs, others):
        """Looks at a batch.

        Args:
            places: Integer array `(batch,)`, where in the dataset they stand.
            ids: Array `(batch,)`.
            inputs: List of arrays with the batch as first axis.
            others: The same, of labels and weights.
        """
        if not self.is_watching:
            return
        rows = np.empty(len(ids), _ROW)
        rows["key"] = [_key(image_id) for image_id in ids.tolist()]
        rows["place"] = places
        rows["inputs"] = _checksums(inputs, len(ids))
        rows["labels"] = _checksums(others, len(ids))
        with self._lock:
            self._take(rows, ids.tolist())

    def check(self):
        """Raises if an image was not what it had been before."""
        if self._wrong is not None:
            raise ValueError(self._wrong)

    def check_count(self, count):
        """Raises unless `count` is how many images were seen."""
        self.check()
        known = self.count or len(self)
        if count == 0 or known > count or self.count not in (None, count):
            raise ValueError(
                f"Every pass over `{self._name}` must give all images, one at "
                f"least. Received: {count:.0f} in this one, {known} different "
                "ones before. Give a source that begins anew with each pass, "
                "as `from_generator` of a function that makes a generator. "
                f"{self._remedy()}"
            )
        if len(self) == count:
            self.count = count

    def compare(self, content, count, origin):
        """Takes what another one has seen, and compares what both have.

        Args:
            content: Bytes, as `to_bytes` of the other returned them.
            count: Its `count`.
            origin: Text, where it is from.
        """
        rows = self._rows()
        with self._lock:
            self._known, self.count = np.load(io.BytesIO(content)), count
            self._origin, self._wrong = origin, None
            self._take(rows, rows["key"].tolist())

    def to_bytes(self):
        """Returns an array as NumPy writes it, 20 bytes an image."""
        file = io.BytesIO()
        np.save(file, self._rows())
        return file.getvalue()

    def _rows(self):
        with self._lock:
            self._merge()
            return self._known

    def _take(self, rows, ids):
        places = np.searchsorted(self._known["key"], rows["key"])
        places = np.minimum(places, max(len(self._known) - 1, 0))
        old = self._known[places] if len(self._known) else rows
        is_known = (old["key"] == rows["key"]) & (len(self._known) > 0)
        for i in np.flatnonzero(~is_known | (old != rows)):
            row = rows[i].item()
            before = old[i].item() if is_known[i] else self._new.get(row[0])
            if before is not None and before != row:
                self._refuse(ids[i], _difference(before, row))
            elif before is None and self.count is not None:
                self._refuse(ids[i], "that was not there before")
            elif before is None:
                self._new[row[0]] = row
        if len(self._new) > max(_FEWEST_TO_MERGE, len(self._known) // 4):
            self._merge()

    def _merge(self):
        if self._new:
            new = np.asarray(list(self._new.values()), _ROW)
            rows = np.concatenate([self._known, new])
            self._known = rows[np.argsort(rows["key"], kind="stable")]
            self._new = {}

    def _refuse(self, image_id, difference):
        if isinstance(image_id, bytes):
            image_id = image_id.decode("utf-8", "replace")
        before = f" that {self._origin} has" if self._origin else ""
        self._wrong = self._wrong or (
            f"Every pass over `{self._name}` must give the same images"
            f"{before}, each with an id of its own, in one order. Received: id "
            f"{image_id!r} {difference}. {self._remedy()}"
        )

    def _remedy(self):
        remedy = (
            f"`training_data` shuffles: write `{self._name}.enumerate()` "
            "without a `shuffle` before it, and put what draws at random "
            "behind `training_data`."
        )
        if self._origin is not None:
            remedy += (
                " To go on, give the images and labels that the run was begun "
                "with; for others, give an empty `directory`."
            )
        return remedy


def _difference(before, row):
    words = [
        f"{word} ({new}, before {old})" if name == "place" else word
        for (name, word), old, new in zip(
            _WORDS.items(), before[1:], row[1:], strict=True
        )
        if old != new
    ]
    return " and ".join(words)


def _key(image_id):
    if isinstance(image_id, int):
        # Also unsigned ones; that two of them share a key is not to be feared.
        return (image_id + 2**63) % 2**64 - 2**63
    digest = hashlib.blake2b(image_id, digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _checksums(arrays, count):
    return [checksum_of([array[i] for array in arrays]) for i in range(count)]


def checksum_of(arrays):
    """Returns the CRC-32 of arrays of numbers or text, one after another."""
    result = 0
    for array in arrays:
        array = np.asarray(array)
        if array.dtype.kind == "O":
            content = b"\0".join(map(bytes, array.ravel().tolist()))
        else:
            content = np.ascontiguousarray(array).reshape(-1).view("uint8")
        result = checksum(content, result)
    return result
