"""Which regions there are of an image, over all shards and those to come."""

import collections
import functools

import numpy as np

from keras_xmap._files import open_file
from keras_xmap.regions._ids import as_id
from keras_xmap.regions._masks import to_record
from keras_xmap.regions._masks import unpack
from keras_xmap.regions._pending import Pending
from keras_xmap.regions._shards import ShardError

_MAX_OPEN_FILES = 64


class RegionIndex:
    """Finds the regions of an image in shards and among the pending ones.

    Columns of the shards are kept as arrays: about 50 bytes a region.

    Args:
        unpack: Function of a record, as the shards keep it, that returns what
            was found. Defaults to the bits of a mask.
    """

    def __init__(self, unpack=unpack):
        self._unpack = unpack
        self.shards = {}  # by name
        self.image_ids = []
        self.sizes = []
        self.pending = Pending()
        self._numbers = {}
        self._rows = None
        self._files = collections.OrderedDict()

    def number(self, image_id):
        """Returns the number of an image, or `None` if it is not known."""
        return self._numbers.get(image_id)

    def known(self, image_id):
        """Returns the number of an image, which must have a region."""
        number = self.number(as_id(image_id))
        if number is None or not self.has_regions(number):
            raise ValueError(
                "`image_id` must be an image with a region. Received: "
                f"image_id={image_id!r}. `image_ids` lists them."
            )
        return number

    def check_kind(self, image_ids):
        """Raises unless all ids are of one kind, which is the store's."""
        first = (self.image_ids or image_ids)[:1]
        for image_id in image_ids:
            if type(image_id) is not type(first[0]):
                raise TypeError(
                    "All image ids of a store must be integers, or all text. "
                    f"Received: {image_id!r} beside {first[0]!r}."
                )

    def check_images(self, image_ids, sizes):
        """Raises unless these can be added, all of them: nothing is yet."""
        self.check_kind(image_ids)
        these = {}
        for image_id, size in zip(image_ids, sizes, strict=True):
            known = these.setdefault(image_id, size)
            number = self._numbers.get(image_id)
            is_other = number is not None and self.sizes[number] != size
            # The regions it had may all have been discarded.
            if is_other and self.has_regions(number):
                known = self.sizes[number]
            if known != size:
                raise ValueError(
                    "All regions of an image must have one size. Received: "
                    f"size={size} for image {image_id!r} of size {known}."
                )

    def add_images(self, image_ids, sizes):
        """Returns the numbers of images, new or known, of these sizes."""
        self.check_images(image_ids, sizes)
        numbers = []
        for image_id, size in zip(image_ids, sizes, strict=True):
            number = self._numbers.setdefault(image_id, len(self.image_ids))
            if number == len(self.image_ids):
                self.image_ids.append(image_id)
                self.sizes.append(size)
            self.sizes[number] = size  # another one may be gone
            numbers.append(number)
        return numbers

    def add_pending(self, number, class_id, round_id, record):
        image_id = self.image_ids[number]
        self.pending.add(number, image_id, class_id, round_id, record)

    def add(self, rows, folder, shard_size):
        """Adds rows, all or none, and returns the numbers of their images.

        What waits is written first where it would be more than a shard holds:
        whoever repeats an `add` that has failed shall not add twice.

        Args:
            rows: List of `(image_id, size, class_id, round_id, record)`.
            folder: `ShardFolder`, or `None` to keep all in memory.
            shard_size: Integer, how many regions a shard holds.
        """
        image_ids, sizes = [row[0] for row in rows], [row[1] for row in rows]
        self.check_images(image_ids, sizes)
        waiting = len(self.pending)
        if folder is not None and waiting and waiting + len(rows) > shard_size:
            self.flush(folder)
        numbers = self.add_images(image_ids, sizes)
        for number, row in zip(numbers, rows, strict=True):
            self.add_pending(number, *row[2:])
        return numbers

    def all_rows(self):
        """Returns all regions, each with its image, size, class and round."""
        return [
            (
                self.image_ids[number],
                self.sizes[number],
                *found,
                to_record(read()),
            )
            for number in sorted(self.numbers())
            for *found, read in self.found(number)
        ]

    def rows(self, batch):
        """Returns the regions of a batch as a shard takes them."""
        return [
            (self.image_ids[number], self.sizes[number], class_id, record)
            for number, entries in batch.entries.items()
            for class_id, record in entries
        ]

    def flush(self, folder):
        """Writes what is pending to a folder.

        Whatever fails, nothing is lost and nothing counts twice.
        """
        for batch in self.pending.begin(folder.new_name):
            folder.write(batch.name, batch.round_id, self.rows(batch))
            shard = folder.read(batch.name)
            self.pending.remove(batch)
            if shard is not None:
                self.add_shard(batch.name, shard)

    def update(self, folder):
        """Drops the shards that are gone from a folder, and reads new ones."""
        # What a flush has begun to write is here, in memory.
        names = set(folder.names()) - self.pending.names()
        damaged = []
        for name in set(self.shards) - names:
            self.remove_shard(name)
        for name in sorted(names):
            if name not in self.shards:
                try:
                    shard = folder.read(name)
                    if shard is not None:
                        self.add_shard(name, shard)
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
        sizes = [tuple(size) for size in shard.sizes.tolist()]
        try:
            numbers = self.add_images(shard.image_ids.tolist(), sizes)
        except (ValueError, TypeError) as error:
            raise ShardError([f"{shard.path} ({error})"]) from error
        shard.numbers = np.asarray(numbers, "int32")
        self.shards[name] = shard
        self._rows = None

    def close(self, name):
        """Closes the file of a shard, that it can be deleted everywhere."""
        file = self._files.pop(name, None)
        if file is not None:
            file.close()

    def remove_shard(self, name):
        self.close(name)
        del self.shards[name]
        self._rows = None

    def found(self, number, class_id=None, rounds=None):
        """Yields `(class_id, round_id, read)` of the regions of an image.

        `read()` returns the packed bits, or `None` if there are no pixels; or
        what else `unpack` makes of a record.
        """
        for name, row in self._rows_of(number):
            shard = self.shards[name]
            of_class = int(shard.class_ids[row])
            if _wanted(of_class, shard.round_id, class_id, rounds):
                yield of_class, shard.round_id, self._reader(name, row)
        for of_class, round_id, record in self.pending.found(number):
            if _wanted(of_class, round_id, class_id, rounds):
                read = functools.partial(self._unpack, record)
                yield of_class, round_id, read

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
        parts = [*self.shards.values(), *self.pending.batches()]
        return {part.round_id for part in parts}

    def numbers(self, round_id=None):
        """Returns the set of numbers of images with a region (of a round)."""
        found = set()
        for batch in self.pending.batches():
            if round_id is None or batch.round_id == round_id:
                found.update(batch.entries)
        for shard in self.shards.values():
            if round_id is None or shard.round_id == round_id:
                found.update(shard.numbers.tolist())
        return found

    def has_regions(self, number):
        """Returns whether an image has a region now."""
        return next(self.found(number), None) is not None

    def _reader(self, name, row):
        def read():
            shard = self.shards[name]
            return self._unpack(shard.record(row, self._file(name, shard)))

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
