import threading
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Literal
from typing import TypeAlias

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_instance
from keras_xmap._checks import check_non_negative_integer
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._files import check_path
from keras_xmap._repr import as_call
from keras_xmap._typing import ArrayLike
from keras_xmap._typing import Path
from keras_xmap.regions import _export
from keras_xmap.regions._ids import as_classes
from keras_xmap.regions._ids import as_ids
from keras_xmap.regions._ids import as_number
from keras_xmap.regions._ids import as_rounds
from keras_xmap.regions._index import RegionIndex
from keras_xmap.regions._masks import check_masks
from keras_xmap.regions._masks import check_size
from keras_xmap.regions._masks import pack
from keras_xmap.regions._masks import to_mask
from keras_xmap.regions._shards import ShardFolder
from keras_xmap.regions._unions import Unions

ImageId: TypeAlias = int | str
Rounds: TypeAlias = int | Iterable[int] | None
Overlap: TypeAlias = Literal["smallest", "ignore"]


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

    Ids are integers of 64 bits, with a sign or without, or text; one kind in
    a store. Classes and rounds are any integers from 0 to `2**63 - 1`.

    Threads may share a store: each call sees it as it is at one moment.

    Args:
        directory: Path of a folder, local or of a scheme of `tf.io.gfile`,
            made when it is first written to; or `None` for memory only.
            Defaults to `None`.
        worker: Integer >= 0, the number of this process among those that
            write to `directory`. Defaults to `0`.
        shard_size: Integer >= 1, regions in a file; they wait in memory until
            there are more. Defaults to `16384`.
        memory_bytes: Integer >= 1, bytes of packed masks that `mask` keeps;
            those beyond are put together from their records every time.
            Defaults to `2**30`: 84 thousand masks of 320 x 320.

    Raises:
        ValueError: If an argument is out of range, or if a file in
            `directory` is damaged; the message names the files.
        TypeError: If `directory` is no path.

    References:
        - [Wei et al., 2017](https://arxiv.org/abs/1703.08448)

    Example:

    >>> store = keras_xmap.regions.RegionStore()
    >>> cat, dog = np.zeros((2, 3, 4), "bool")
    >>> cat[0, 0] = dog[2] = True
    >>> store.add([7, 7], [0, 1], round_id=1, masks=[cat, dog])
    >>> store.mask([7, 8], size=(3, 4)).sum(axis=(1, 2)).tolist()
    [5, 0]
    """

    def __init__(
        self,
        directory: Path | None = None,
        worker: int = 0,
        shard_size: int = 16384,
        memory_bytes: int = 2**30,
    ) -> None:
        self.directory = check_optional(check_path, "directory", directory)
        self.worker = check_non_negative_integer("worker", worker)
        self.shard_size = check_positive_integer("shard_size", shard_size)
        self.memory_bytes = check_positive_integer("memory_bytes", memory_bytes)
        self._lock = threading.RLock()
        self._index = RegionIndex()
        self._unions = Unions(self._index, self.memory_bytes)
        self._folder = None
        if self.directory is not None:
            self._folder = ShardFolder(self.directory, self.worker)
            self.refresh()

    def __repr__(self) -> str:
        return as_call(self, directory=self.directory, worker=self.worker)

    @property
    def image_ids(self) -> list[int] | list[str]:
        """Sorted list of the ids of all images with a region."""
        with self._lock:
            index = self._index
            return sorted(index.image_ids[number] for number in index.numbers())

    @property
    def rounds(self) -> list[int]:
        """Sorted list of the rounds that have a region."""
        with self._lock:
            return sorted(self._index.rounds())

    def add(
        self,
        image_ids: ArrayLike,
        class_ids: ArrayLike,
        round_id: int,
        masks: Sequence[ArrayLike],
    ) -> None:
        """Adds regions of one round, row by row.

        A region may be empty: it then tells that the image was looked at.

        Args:
            image_ids: Sequence or array of ids, one a region.
            class_ids: Sequence or array of integers >= 0, one a region.
            round_id: Integer >= 0.
            masks: Boolean array `(regions, height, width)`, or a sequence
                of arrays `(height, width)` of different sizes.

        Raises:
            ValueError: If the lengths differ, or if a mask does not have the
                size of earlier regions of its image.
            TypeError: If masks are not boolean, or ids of two kinds.
            OSError: If earlier regions were due to be written, and could not
                be. As with other errors, nothing is added then.
        """
        image_ids, classes = as_ids(image_ids), as_classes(class_ids)
        round_id = as_number("round_id", round_id)
        masks = check_masks(masks)
        if not len(image_ids) == len(classes) == len(masks):
            raise ValueError(
                "There must be one image id and one class id a mask. Received: "
                f"{len(image_ids)} image ids, {len(classes)} class ids, "
                f"{len(masks)} masks."
            )
        self._add(
            [
                (image_id, mask.shape, class_id, round_id, pack(mask))
                for image_id, class_id, mask in zip(
                    image_ids, classes, masks, strict=True
                )
            ]
        )

    def flush(self) -> None:
        """Writes what waits to `directory`; without one does nothing.

        One that fails, on a full disk for example, loses nothing and counts
        nothing twice: what was not written waits for the next.
        """
        if self._folder is None:
            return
        with self._lock:
            self._index.flush(self._folder)

    def refresh(self) -> None:
        """Finds what other workers wrote to, or took from, `directory`.

        Raises:
            ValueError: If shards are damaged; the message names them all.
                The others can be used.
        """
        if self._folder is not None:
            with self._lock:
                self._unions.forget()
                self._index.update(self._folder)

    def discard(self, round_id: int) -> None:
        """Takes all regions of a round away, also the files of all workers.

        With several workers: call it on one, then `refresh` on the others.

        Args:
            round_id: Integer >= 0.
        """
        round_id = as_number("round_id", round_id)
        with self._lock:
            self._unions.forget()
            self._delete_files(round_id)
            self._index.pending.discard(round_id)

    def merge(self, other: "RegionStore") -> None:
        """Adds all regions of another store, or none if one does not fit.

        Args:
            other: `RegionStore`.

        Raises:
            ValueError: If an image has another size in the other store, or
                if a file of that is damaged.
            TypeError: If the ids of the stores are of two kinds.
            OSError: As of `add`.
        """
        check_instance("other", other, RegionStore, "a RegionStore")
        if other is self:
            return
        with other._lock:
            rows = other._index.all_rows()
        self._add(rows)

    def mined(self, round_id: int) -> set[int] | set[str]:
        """Returns the set of ids of images that have a region of a round.

        Args:
            round_id: Integer >= 0.
        """
        round_id = as_number("round_id", round_id)
        with self._lock:
            index = self._index
            return {index.image_ids[n] for n in index.numbers(round_id)}

    def size(self, image_id: ImageId) -> tuple[int, int]:
        """Returns `(height, width)` of the regions of an image."""
        with self._lock:
            return self._index.sizes[self._index.known(image_id)]

    def regions(self, image_id: ImageId) -> list[tuple[int, int, np.ndarray]]:
        """Returns a list of `(class_id, round_id, mask)`, all of one image."""
        with self._lock:
            number = self._index.known(image_id)
            size = self._index.sizes[number]
            return [
                (class_id, round_id, to_mask(read(), size))
                for class_id, round_id, read in self._index.found(number)
            ]

    def region(
        self,
        image_id: ImageId,
        class_id: int | None = None,
        rounds: Rounds = None,
    ) -> np.ndarray:
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
        if class_id is not None:
            class_id = as_number("class_id", class_id)
        rounds = as_rounds(rounds)
        with self._lock:
            number = self._index.known(image_id)
            bits = self._index.union(number, class_id, rounds)
            return to_mask(bits, self._index.sizes[number])

    def mask(
        self,
        image_ids: ArrayLike,
        size: Collection[int] | None = None,
        rounds: Rounds = None,
    ) -> np.ndarray:
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

        Raises:
            ValueError: If `size` is needed, or no height and width.
            TypeError: If ids are not of the kind of those in the store.
        """
        image_ids, rounds = as_ids(image_ids), as_rounds(rounds)
        with self._lock:
            self._index.check_kind(image_ids)
            numbers = [self._index.number(image_id) for image_id in image_ids]
            sizes = {self._index.sizes[n] for n in numbers if n is not None}
            return self._unions.masks(numbers, check_size(size, sizes), rounds)

    def labels(
        self,
        image_id: ImageId,
        rounds: Rounds = None,
        overlap: Overlap = "smallest",
    ) -> np.ndarray:
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
        rounds = as_rounds(rounds)
        with self._lock:
            found = self._index.found(self._index.known(image_id))
            masks = {
                class_id: self.region(image_id, class_id, rounds)
                for class_id in {row[0] for row in found}
            }
        return _export.label_map(image_id, masks, overlap)

    def statistics(self) -> list[dict[str, Any]]:
        """Returns what each round found, for all images of the store.

        Returns:
            List of dictionaries, one a round in rising order: `"round"`;
            `"num_images"` and `"num_regions"` of that round; and, as means
            over all images of the store, `"area_share"`, the share of an
            image in regions of this or an earlier round, and `"new_share"`,
            the share that was in none of an earlier round.
        """
        with self._lock:
            return _export.statistics(self._index)

    def shards(self) -> list[dict[str, Any]]:
        """Returns which files of `directory` the regions are in.

        Whoever keeps the list can tell later what is missing or is not the
        same, as `callbacks.AdversarialErasing` does.

        Returns:
            List of dictionaries, one a file, sorted by `"name"`: `"round"`;
            `"num_regions"`; and `"checksum"`, an integer that changes with
            what is in the file. Regions that wait for `flush` are in none.
        """
        with self._lock:
            return [
                {
                    "name": name,
                    "round": shard.round_id,
                    "num_regions": len(shard),
                    "checksum": shard.checksum(),
                }
                for name, shard in sorted(self._index.shards.items())
            ]

    def verify(self) -> None:
        """Reads every region back from `directory`.

        Raises:
            ValueError: If regions are damaged; the message names them all.
        """
        with self._lock:
            self._index.verify()

    def save_png(
        self,
        directory: Path,
        rounds: Rounds = None,
        overlap: Overlap = "smallest",
    ) -> None:
        """Writes `labels` of every image as `ID.png`, coloured as VOC is.

        Args:
            directory: Path of a folder, made if it is missing.
            rounds: See `region`. Defaults to `None`.
            overlap: See `labels`. Defaults to `"smallest"`.
        """
        _export.save_png(self, directory, as_rounds(rounds), overlap)

    def save_coco(
        self,
        path: Path,
        rounds: Rounds = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        compressed: bool = True,
    ) -> None:
        """Writes one annotation an image and class, as COCO does.

        Categories are 1 more than the class. Ids that are text become the
        numbers 1, 2, ... of the images, and are their `file_name`.

        Args:
            path: Path of the JSON file.
            rounds: See `region`. Defaults to `None`.
            class_names: List of names, or a dictionary of them by class, or
                `None` for numbers. Defaults to `None`.
            compressed: Boolean: run lengths as a string, as in results that
                are handed in, or as a list, as in COCO's own files. Defaults
                to `True`.
        """
        compressed = check_boolean("compressed", compressed)
        rounds = as_rounds(rounds)
        _export.save_coco(self, path, rounds, class_names, compressed)

    def _delete_files(self, round_id):
        """Deletes a round, also what a flush has begun to write of it."""
        index = self._index
        # What cannot be deleted stays known, to be discarded again.
        for name, shard in list(index.shards.items()):
            if shard.round_id == round_id:
                index.close(name)
                self._folder.delete(name)
                index.remove_shard(name)
        for name in index.pending.names(round_id):
            self._folder.delete(name)

    def _add(self, rows):
        """Adds `(image_id, size, class_id, round_id, record)`: all, or none."""
        with self._lock:
            numbers = self._index.add(rows, self._folder, self.shard_size)
            for number, row in zip(numbers, rows, strict=True):
                self._unions.change(number, row[3])
