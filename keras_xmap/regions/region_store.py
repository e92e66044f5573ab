import collections
import os
import threading
import uuid

import numpy as np

from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_positive_integer
from keras_xmap._files import delete_file
from keras_xmap._files import list_files
from keras_xmap._files import make_directory
from keras_xmap._files import write_atomically
from keras_xmap.regions import _region_export
from keras_xmap.regions._packed_masks import nearest
from keras_xmap.regions._packed_masks import pack
from keras_xmap.regions._packed_masks import to_mask
from keras_xmap.regions._packed_masks import to_masks
from keras_xmap.regions._region_arguments import as_ids
from keras_xmap.regions._region_arguments import as_rounds
from keras_xmap.regions._region_arguments import check_mask
from keras_xmap.regions._region_arguments import check_number
from keras_xmap.regions._region_arguments import check_size
from keras_xmap.regions._region_index import RegionIndex
from keras_xmap.regions._region_shard import Shard
from keras_xmap.regions._region_shard import ShardError
from keras_xmap.regions._region_shard import encode


class RegionStore:
    """The regions mined from images: by image, class and round.

    Adversarial erasing looks for an object several times, and erases what it
    has found before it looks again. This store holds what was found, and
    tells what is to be erased: `mask` is the union over classes and rounds.
    The images themselves are never touched. Regions are only ever added, and
    two of the same image, class and round count as their union, so that it
    does no harm to mine an image twice.

    Without a `directory` all stays in memory. With one, regions are written
    in shards of `shard_size`, by `flush` and whenever that many wait. A shard
    is an `.npz` archive that NumPy reads by itself, appears whole or not at
    all, never changes, and carries checksums. A run that is killed loses
    what was not flushed: open the directory again, and `mined` tells which
    images of a round are there. Regions given to one `add` are kept or lost
    together. This holds for killed processes; against a loss of power it is
    as good as the filesystem.

    Several workers may share a directory: each writes shards of its own
    under its number, and `refresh` finds those of the others.

    Ids are whole numbers or text, one kind in a store. A round may have any
    number >= 0.

    Args:
        directory: Path of a folder, local or of a scheme of `tf.io.gfile`,
            made when it is first written to; or `None` for memory only.
            Defaults to `None`.
        worker: Integer >= 0, the number of this process among those that
            write to `directory`. Defaults to `0`.
        shard_size: Integer >= 1, regions in a file. Defaults to `16384`.
        memory_bytes: Integer >= 1, bytes of packed masks that `mask` keeps;
            those beyond are put together from their records every time.
            Defaults to `2**30`: 84 thousand masks of 320 x 320.

    Raises:
        ValueError: If an argument is out of range, or if a file in
            `directory` is damaged; the message names the files.

    References:
        - [Wei et al., 2017](https://arxiv.org/abs/1703.08448)

    Example:

    >>> store = keras_xmap.regions.RegionStore()
    >>> cat, dog = np.zeros((2, 3, 4), "bool")
    >>> cat[0, 0] = dog[2] = True
    >>> store.add([7, 7], [0, 1], round=1, masks=[cat, dog])
    >>> store.mask([7, 8], size=(3, 4)).sum(axis=(1, 2)).tolist()
    [5, 0]
    """

    def __init__(
        self,
        directory=None,
        worker=0,
        shard_size=16384,
        memory_bytes=2**30,
    ):
        self.directory = None if directory is None else os.fspath(directory)
        self.worker = check_number("worker", worker)
        self.shard_size = check_positive_integer("shard_size", shard_size)
        self.memory_bytes = check_positive_integer("memory_bytes", memory_bytes)
        self._lock = threading.RLock()
        self._index = RegionIndex()
        self._unions = {}  # number of the image: bytes of packed bits
        self._unions_rounds = None
        self._unions_bytes = 0
        self._cleaned = False
        self.refresh()

    @property
    def image_ids(self):
        """Sorted list of the ids of all images with a region."""
        index = self._index
        return sorted(index.image_ids[number] for number in index.numbers())

    @property
    def rounds(self):
        """Sorted list of the rounds that have a region."""
        return sorted(self._index.rounds())

    def add(self, image_ids, class_ids, round, masks):
        """Adds regions of one round, row by row.

        A region may be empty: it then tells that the image was looked at.

        Args:
            image_ids: Sequence or array of ids, one a region.
            class_ids: Sequence or array of integers >= 0, one a region.
            round: Integer >= 0.
            masks: Boolean array `(regions, height, width)`, or a sequence
                of arrays `(height, width)` of different sizes.

        Raises:
            ValueError: If the lengths differ, or if a mask does not have the
                size of earlier regions of its image.
            TypeError: If masks are not boolean, or ids of two kinds.
        """
        image_ids, class_ids = as_ids(image_ids), np.asarray(class_ids)
        round = check_number("round", round)
        if not len(image_ids) == len(class_ids) == len(masks):
            raise ValueError(
                "There must be one image id and one class id a mask. Received: "
                f"{len(image_ids)} image ids, {len(class_ids)} class ids, "
                f"{len(masks)} masks."
            )
        rows = []
        for image_id, class_id, mask in zip(
            image_ids, class_ids.tolist(), masks, strict=True
        ):
            mask = check_mask(mask)
            rows.append((image_id, check_number("class_ids", class_id), mask))
        with self._lock:
            numbers = [self._index.add_image(i, m.shape) for i, _, m in rows]
            for number, (_, class_id, mask) in zip(numbers, rows, strict=True):
                self._index.add_pending(number, class_id, round, pack(mask))
                self._forget(number, round)
            if self.directory and self._index.num_pending >= self.shard_size:
                self.flush()

    def flush(self):
        """Writes what waits to `directory`; without one does nothing."""
        if self.directory is None:
            return
        with self._lock:
            by_round = collections.defaultdict(list)
            for number, entries in self._index.pending.items():
                image = self._index.image_ids[number], self._index.sizes[number]
                for class_id, round, record in entries:
                    by_round[round].append((*image, class_id, record))
            if not by_round:
                return
            make_directory(self.directory)
            self._clean()
            for round, rows in sorted(by_round.items()):
                name = f"{self._prefix(round)}{uuid.uuid4().hex}.npz"
                path = os.path.join(self.directory, name)
                write_atomically(path, encode(round, rows))
                self._index.add_shard(name, Shard(path))
            self._index.keep_pending(lambda round: False)

    def refresh(self):
        """Finds what other workers wrote to, or took from, `directory`.

        Raises:
            ValueError: If shards are damaged; the message names them all.
                The others can be used.
        """
        if self.directory is None:
            return
        damaged = []
        with self._lock:
            names = list_files(self.directory, "regions-", ".npz")
            for name in set(self._index.shards) - set(names):
                self._index.remove_shard(name)
            for name in names:
                if name in self._index.shards:
                    continue
                try:
                    shard = Shard(os.path.join(self.directory, name))
                    self._index.add_shard(name, shard)
                except ShardError as error:
                    damaged.extend(error.damaged)
            self._forget()
        if damaged:
            raise ShardError(damaged)

    def discard(self, round):
        """Takes all regions of a round away, also the files of all workers.

        With several workers: call it on one, then `refresh` on the others.
        """
        with self._lock:
            self._index.keep_pending(lambda other: other != round)
            for name, shard in list(self._index.shards.items()):
                if shard.round == round:
                    self._index.remove_shard(name)
                    delete_file(shard.path)
            self._forget()

    def merge(self, other):
        """Adds all regions of another store."""
        for image_id in other.image_ids:
            for class_id, round, mask in other.regions(image_id):
                self.add([image_id], [class_id], round, [mask])

    def mined(self, round):
        """Returns the set of ids of images that have a region of `round`."""
        index = self._index
        return {index.image_ids[number] for number in index.numbers(round)}

    def size(self, image_id):
        """Returns `(height, width)` of the regions of an image."""
        return self._index.sizes[self._number(image_id)]

    def regions(self, image_id):
        """Returns a list of `(class_id, round, mask)`, all of one image."""
        with self._lock:
            number = self._number(image_id)
            size = self._index.sizes[number]
            return [
                (class_id, round, to_mask(read(), size))
                for class_id, round, read in self._index.found(number)
            ]

    def region(self, image_id, class_id=None, rounds=None):
        """Returns the union of regions of one image as a mask.

        Args:
            image_id: The id of an image in the store.
            class_id: Integer, or `None` for all classes. Defaults to `None`.
            rounds: Integer or collection of integers, or `None` for all
                rounds. Defaults to `None`.

        Returns:
            Boolean array `(height, width)`.

        Raises:
            ValueError: If the store has no region of the image.
        """
        with self._lock:
            number = self._number(image_id)
            bits = self._union(number, class_id, as_rounds(rounds))
            return to_mask(bits, self._index.sizes[number])

    def mask(self, image_ids, size=None, rounds=None):
        """Returns what is to be erased from a batch of images.

        This is the union over classes and rounds; images without regions
        have an empty mask. `erasing.erased` calls it for a dataset.

        Args:
            image_ids: Sequence, array or tensor of ids.
            size: `(height, width)` of the masks: regions of another size are
                resized, to the nearest pixel as `ops.resize` does; or `None`
                for the size that the images have in the store, which must be
                one. Defaults to `None`.
            rounds: See `region`. Defaults to `None`.

        Returns:
            Boolean array `(batch, height, width)`.
        """
        image_ids, rounds = as_ids(image_ids), as_rounds(rounds)
        with self._lock:
            if rounds != self._unions_rounds:
                self._forget()
                self._unions_rounds = rounds
            numbers = [self._index.number(image_id) for image_id in image_ids]
            sizes = {self._index.sizes[n] for n in numbers if n is not None}
            size = check_size(size, sizes)
            if sizes <= {size}:
                return self._equal_masks(numbers, size)
            masks = np.zeros((len(numbers), *size), "bool")
            for mask, number in zip(masks, numbers, strict=True):
                if number is not None:
                    own = self._index.sizes[number]
                    mask[:] = nearest(self._equal_masks([number], own)[0], size)
            return masks

    def labels(self, image_id, rounds=None, overlap="smallest"):
        """Returns the regions of one image as an image of labels.

        Args:
            image_id: The id of an image in the store.
            rounds: See `region`. Defaults to `None`.
            overlap: What a pixel of several classes becomes: `"smallest"`,
                the class of the smallest region; `"ignore"`, 255. Defaults
                to `"smallest"`.

        Returns:
            uint8 array `(height, width)`: 0 where there is no region, else 1
            more than the class.

        Raises:
            ValueError: If a class is above 253, which has no label.
        """
        check_one_of("overlap", overlap, ("smallest", "ignore"))
        with self._lock:
            classes = {
                class_id: self.region(image_id, class_id, rounds)
                for class_id, _, _ in self._index.found(self._number(image_id))
            }
        if max(classes) > 253:
            raise ValueError(
                "Labels end at class 253. Received: class_id="
                f"{max(classes)} of image {image_id!r}. Use `region`."
            )
        labels = np.zeros(self.size(image_id), "uint8")
        order = sorted(classes, key=lambda c: (-classes[c].sum(), -c))
        for class_id in order:
            labels[classes[class_id]] = class_id + 1
        if overlap == "ignore":
            labels[np.sum(list(classes.values()), axis=0) > 1] = 255
        return labels

    def statistics(self):
        """Returns what each round found, for all images of the store.

        Returns:
            List of dictionaries, one a round in rising order: `"round"`;
            `"num_images"` and `"num_regions"` of that round; and, as means
            over all images of the store, `"area_share"`, the share of an
            image in regions of this or an earlier round, and `"new_share"`,
            the share that was in none of an earlier round.
        """
        with self._lock:
            return _region_export.statistics(self._index)

    def verify(self):
        """Reads every region back from `directory`.

        Raises:
            ValueError: If regions are damaged; the message names them all.
        """
        damaged = []
        with self._lock:
            for number in sorted(self._index.numbers()):
                for _, _, read in self._index.found(number):
                    try:
                        read()
                    except ShardError as error:
                        damaged.extend(error.damaged)
        if damaged:
            raise ShardError(damaged)

    def save_png(self, directory, rounds=None, overlap="smallest"):
        """Writes `labels` of every image as `ID.png`, coloured as VOC is.

        Args:
            directory: Path of a folder, made if it is missing.
            rounds: See `region`. Defaults to `None`.
            overlap: See `labels`. Defaults to `"smallest"`.
        """
        _region_export.save_png(self, directory, rounds, overlap)

    def save_coco(self, path, rounds=None, class_names=None, compressed=True):
        """Writes one annotation an image and class, as COCO does.

        Categories are 1 more than the class. Ids that are text become the
        numbers 1, 2, ... of the images, and are their `file_name`.

        Args:
            path: Path of the JSON file.
            rounds: See `region`. Defaults to `None`.
            class_names: Sequence of names, or `None` for numbers. Defaults
                to `None`.
            compressed: Boolean: run lengths as a string, as in results that
                are handed in, or as a list, as in COCO's own files. Defaults
                to `True`.
        """
        _region_export.save_coco(self, path, rounds, class_names, compressed)

    def _number(self, image_id):
        number = self._index.number(*as_ids([image_id]))
        if number is None:
            raise ValueError(
                "`image_id` must be an image with a region. Received: "
                f"image_id={image_id!r}. `image_ids` lists them."
            )
        return number

    def _union(self, number, class_id, rounds):
        union = None
        for _, _, read in self._index.found(number, class_id, rounds):
            bits = read()
            if bits is not None:
                union = bits if union is None else union | bits
        return union

    def _equal_masks(self, numbers, size):
        num_bytes = -(-size[0] * size[1] // 8)
        return to_masks([self._packed(n, num_bytes) for n in numbers], size)

    def _packed(self, number, num_bytes):
        packed = None if number is None else self._unions.get(number)
        if packed is None:
            packed = b""
            if number is not None:
                union = self._union(number, None, self._unions_rounds)
                packed = b"" if union is None else union.tobytes()
                if self._unions_bytes + len(packed) <= self.memory_bytes:
                    self._unions[number] = packed
                    self._unions_bytes += len(packed)
        return packed or bytes(num_bytes)

    def _forget(self, number=None, round=None):
        """Drops the unions, or that of one image, from memory."""
        if number is None:
            self._unions, self._unions_bytes = {}, 0
        elif self._unions_rounds is None or round in self._unions_rounds:
            self._unions_bytes -= len(self._unions.pop(number, b""))

    def _prefix(self, round):
        return f"regions-{round:04d}-{self.worker:05d}-"

    def _clean(self):
        """Deletes what this worker left over when it was killed."""
        if self._cleaned:
            return
        for name in list_files(self.directory, "regions-", ".tmp"):
            if name.split("-")[2] == f"{self.worker:05d}":
                delete_file(os.path.join(self.directory, name))
        self._cleaned = True
