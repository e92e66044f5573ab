"""Which regions there are of an image, over all shards and those to come."""

import collections
from collections.abc import Iterable

import numpy as np

from keras_xmap._checks import check_non_negative_integer
from keras_xmap._checks import is_integer
from keras_xmap._files import open_file
from keras_xmap.regions._masks import unpack
from keras_xmap.regions._shards import ShardError

_MAX_OPEN_FILES = 64


class RegionIndex:
    """Finds the regions of an image in shards and among the pending ones.

    Columns of the shards are kept as arrays: about 50 bytes a region.
    """

    def __init__(self):
        self.shards = {}  # by name
        self.image_ids = []
        self.sizes = []
        self.pending = {}  # number of the image: [(class, round, record)]
        self.num_pending = 0
        self._numbers = {}
        self._rows = None
        self._files = collections.OrderedDict()

    def number(self, image_id):
        """Returns the number of an image, or `None` if it is not known."""
        return self._numbers.get(image_id)

    def known(self, image_id):
        """Returns the number of an image, which must be known."""
        number = self.number(*as_ids([image_id]))
        if number is None:
            raise ValueError(
                "`image_id` must be an image with a region. Received: "
                f"image_id={image_id!r}. `image_ids` lists them."
            )
        return number

    def add_image(self, image_id, size):
        """Returns the number of an image, new or known, of this size."""
        number = self._numbers.get(image_id)
        if number is None:
            if self.image_ids and type(self.image_ids[0]) is not type(image_id):
                raise TypeError(
                    "All image ids of a store must be integers, or all text. "
                    f"Received: {image_id!r} beside {self.image_ids[0]!r}."
                )
            number = self._numbers[image_id] = len(self.image_ids)
            self.image_ids.append(image_id)
            self.sizes.append(size)
        elif self.sizes[number] != size:
            raise ValueError(
                "All regions of an image must have one size. Received: size="
                f"{size} for image {image_id!r} of size {self.sizes[number]}."
            )
        return number

    def add_pending(self, number, class_id, round_id, record):
        entries = self.pending.setdefault(number, [])
        entries.append((class_id, round_id, record))
        self.num_pending += 1

    def pending_rows(self):
        """Returns pairs, a round and what waits of it, as a shard takes it."""
        by_round = collections.defaultdict(list)
        for number, entries in self.pending.items():
            image = self.image_ids[number], self.sizes[number]
            for class_id, round_id, record in entries:
                by_round[round_id].append((*image, class_id, record))
        return sorted(by_round.items())

    def keep_pending(self, keep):
        """Drops the pending regions whose round `keep` does not want."""
        kept = {
            number: [entry for entry in entries if keep(entry[1])]
            for number, entries in self.pending.items()
        }
        self.pending = {number: rows for number, rows in kept.items() if rows}
        self.num_pending = sum(map(len, self.pending.values()))

    def update(self, folder):
        """Drops the shards that are gone from a folder, and reads new ones."""
        names, damaged = folder.names(), []
        for name in set(self.shards) - set(names):
            self.remove_shard(name)
        for name in names:
            if name not in self.shards:
                try:
                    self.add_shard(name, folder.read(name))
                except ShardError as error:
                    damaged.extend(error.damaged)
        if damaged:
            raise ShardError(damaged)

    def verify(self):
        """Reads the record of every region."""
        damaged = []
        for number in sorted(self.numbers()):
            for _, _, read in self.found(number):
                try:
                    read()
                except ShardError as error:
                    damaged.extend(error.damaged)
        if damaged:
            raise ShardError(damaged)

    def add_shard(self, name, shard):
        shard.numbers = np.asarray(
            [
                self.add_image(image_id, tuple(size))
                for image_id, size in zip(
                    shard.image_ids.tolist(), shard.sizes.tolist(), strict=True
                )
            ],
            "int32",
        )
        self.shards[name] = shard
        self._rows = None

    def remove_shard(self, name):
        del self.shards[name]
        file = self._files.pop(name, None)
        if file is not None:
            file.close()
        self._rows = None

    def found(self, number, class_id=None, rounds=None):
        """Yields `(class_id, round_id, read)` of the regions of an image.

        `read()` returns the packed bits, or `None` if there are no pixels.
        """
        for name, row in self._rows_of(number):
            shard = self.shards[name]
            of_class = int(shard.class_ids[row])
            if _wanted(of_class, shard.round_id, class_id, rounds):
                yield of_class, shard.round_id, self._reader(name, row)
        for of_class, round_id, record in self.pending.get(number, ()):
            if _wanted(of_class, round_id, class_id, rounds):
                yield of_class, round_id, lambda record=record: unpack(record)

    def union(self, number, class_id, rounds):
        """Returns the packed bits of a union, `None` if it has no pixels."""
        union = None
        for _, _, read in self.found(number, class_id, rounds):
            bits = read()
            if bits is not None:
                union = bits if union is None else union | bits
        return union

    def rounds(self):
        """Returns the set of rounds that have a region."""
        return {shard.round_id for shard in self.shards.values()} | {
            round_id
            for entries in self.pending.values()
            for _, round_id, _ in entries
        }

    def numbers(self, round_id=None):
        """Returns the set of numbers of images with a region (of a round)."""
        found = {
            number
            for number, entries in self.pending.items()
            if round_id is None or any(row[1] == round_id for row in entries)
        }
        for shard in self.shards.values():
            if round_id is None or shard.round_id == round_id:
                found.update(shard.numbers.tolist())
        return found

    def _reader(self, name, row):
        def read():
            shard = self.shards[name]
            return unpack(shard.record(row, self._file(name, shard)))

        return read

    def _file(self, name, shard):
        file = self._files.pop(name, None) or open_file(shard.path)
        self._files[name] = file
        if len(self._files) > _MAX_OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        return file

    def _rows_of(self, number):
        if self._rows is None:
            self._rows = _sorted_rows(self.shards, len(self.image_ids))
        names, starts, shard_numbers, rows = self._rows
        if number + 1 >= len(starts):  # known since the rows were sorted
            return
        for place in range(starts[number], starts[number + 1]):
            yield names[shard_numbers[place]], int(rows[place])


def as_ids(image_ids):
    """Returns ids as a list of Python integers or text."""
    array = np.asarray(image_ids)
    if array.ndim != 1:
        raise ValueError(
            "`image_ids` must have one axis. Received: image_ids.shape="
            f"{array.shape}."
        )
    ids = [i.decode() if isinstance(i, bytes) else i for i in array.tolist()]
    wrong = [i for i in ids if type(i) not in (int, str)]
    if wrong:
        raise TypeError(
            f"Image ids must be integers or text. Received: {wrong[0]!r}."
        )
    return ids


def as_rounds(rounds):
    """Returns `None` for all rounds, or a set of them."""
    if rounds is None:
        return None
    if is_integer(rounds):
        rounds = (rounds,)
    if not isinstance(rounds, Iterable) or isinstance(rounds, (str, bytes)):
        raise TypeError(
            "`rounds` must be an integer, a collection of integers or None. "
            f"Received: rounds={rounds!r}."
        )
    return frozenset(
        check_non_negative_integer("rounds", round_id) for round_id in rounds
    )


def _wanted(class_id, round_id, wanted_class, wanted_rounds):
    return (wanted_class is None or class_id == wanted_class) and (
        wanted_rounds is None or round_id in wanted_rounds
    )


def _sorted_rows(shards, num_images):
    names = list(shards)
    if not names:
        return names, np.zeros(num_images + 1, "int64"), (), ()
    numbers = np.concatenate([shard.numbers for shard in shards.values()])
    lengths = [len(shard) for shard in shards.values()]
    order = np.argsort(numbers, kind="stable")
    shard_numbers = np.repeat(np.arange(len(names), dtype="int32"), lengths)
    rows = np.concatenate([np.arange(n, dtype="int32") for n in lengths])
    starts = np.searchsorted(numbers[order], np.arange(num_images + 1))
    return names, starts, shard_numbers[order], rows[order]
