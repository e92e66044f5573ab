import threading
from collections.abc import Sequence

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_non_negative_integer
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._files import check_path
from keras_xmap._numeric import as_array
from keras_xmap._repr import as_call
from keras_xmap._typing import ArrayLike
from keras_xmap._typing import Path
from keras_xmap.regions._ids import as_id
from keras_xmap.regions._ids import as_ids
from keras_xmap.regions._index import RegionIndex
from keras_xmap.regions._shards import ShardFolder
from keras_xmap.regions.compact_maps import decode_maps
from keras_xmap.regions.compact_maps import encode_maps

_ROUND = _CLASS = 0  # the columns of the files that maps do not need


class MapStore:
    """The maps of images, in few bytes, each within a bound of what it was.

    For the maps of more images than memory holds: those of
    `Explainer.explain_batches`, which are added batch by batch, or maps of
    classes that a later step reads again. Each is kept as `encode_maps`
    writes it, which says what the bound means and what it saves; an image has
    one entry, a map `(height, width)` or several of one size.

    Files are those of `RegionStore`: shards that appear whole or not at all,
    never change and carry checksums, several workers to a directory. A run
    that is killed loses what was not flushed: open the directory again, and
    go on with the images that are not among `image_ids`.

    Args:
        directory: Path of a folder, local or of a scheme of `tf.io.gfile`,
            made when it is first written to; or `None` for memory only.
            Defaults to `None`.
        tolerance: See `encode_maps`. Defaults to `0`.
        relative: See `encode_maps`. Defaults to `False`.
        worker: Integer >= 0, the number of this process among those that
            write to `directory`. Defaults to `0`.
        shard_size: Integer >= 1, images in a file; they wait in memory until
            there are more. Defaults to `256`.

    Raises:
        ValueError: If an argument is out of range, or if a file in
            `directory` is damaged; the message names the files.
        TypeError: If `directory` is no path.

    Example:

    >>> store = keras_xmap.regions.MapStore(tolerance=0.01)
    >>> maps = np.linspace(0, 1, 2 * 30 * 40).reshape((2, 30, 40))
    >>> store.add(["a", "b"], maps)  # one batch of `explain_batches`
    >>> bool(np.abs(store.maps("b") - maps[1]).max() <= 0.01)
    True
    """

    def __init__(
        self,
        directory: Path | None = None,
        tolerance: float = 0.0,
        relative: bool = False,
        worker: int = 0,
        shard_size: int = 256,
    ) -> None:
        self.directory = check_optional(check_path, "directory", directory)
        self.tolerance = check_non_negative("tolerance", tolerance)
        self.relative = check_boolean("relative", relative)
        self.worker = check_non_negative_integer("worker", worker)
        self.shard_size = check_positive_integer("shard_size", shard_size)
        self._lock = threading.RLock()
        self._index = RegionIndex(decode_maps)
        self._folder = None
        if self.directory is not None:
            self._folder = ShardFolder(self.directory, self.worker, "maps")
            self.refresh()

    def __repr__(self) -> str:
        return as_call(
            self,
            directory=self.directory,
            tolerance=self.tolerance,
            relative=self.relative,
            worker=self.worker,
        )

    @property
    def image_ids(self) -> list[int] | list[str]:
        """Sorted list of the ids of all images with maps."""
        with self._lock:
            index = self._index
            return sorted(index.image_ids[number] for number in index.numbers())

    def add(
        self, image_ids: ArrayLike, maps: ArrayLike | Sequence[ArrayLike]
    ) -> None:
        """Adds the maps of images, all of them or none.

        Args:
            image_ids: Sequence or array of ids, one an image: integers of 64
                bits or text, of one kind in a store.
            maps: Array `(images, ..., height, width)`, or a sequence of arrays
                `(..., height, width)` of different sizes.

        Raises:
            ValueError: If the lengths differ, if the store has maps of an
                image already, or if `encode_maps` refuses a map.
            TypeError: If ids are of two kinds, or maps no numbers.
            OSError: If earlier maps were due to be written, and could not be.
        """
        image_ids = as_ids(image_ids)
        if not isinstance(maps, (list, tuple)):
            maps = as_array("maps", maps)
            if not maps.ndim:
                raise ValueError(
                    "`maps` must have an entry for each image. Received: "
                    f"maps={maps}. One map is a list of one: [heatmap]."
                )
        maps = [as_array("maps", x) for x in maps]
        if len(image_ids) != len(maps):
            raise ValueError(
                "There must be one image id for the maps of an image. "
                f"Received: {len(image_ids)} image ids and {len(maps)} maps."
            )
        records = [encode_maps(x, self.tolerance, self.relative) for x in maps]
        with self._lock:
            self._check_new(image_ids)
            rows = [
                (image_id, x.shape[-2:], _CLASS, _ROUND, record)
                for image_id, x, record in zip(
                    image_ids, maps, records, strict=True
                )
            ]
            self._index.add(rows, self._folder, self.shard_size)

    def maps(self, image_id: int | str) -> np.ndarray:
        """Returns the maps of an image.

        Args:
            image_id: The id of an image in the store.

        Returns:
            Array `(..., height, width)` of the shape and dtype that was added.

        Raises:
            ValueError: If the store has no maps of the image, or if those in
                its file are damaged; the message names the file.
        """
        image_id = as_id(image_id)
        with self._lock:
            number = self._index.number(image_id)
            if number is None or not self._index.has_regions(number):
                raise ValueError(
                    "`image_id` must be an image with maps. Received: "
                    f"image_id={image_id!r}. `image_ids` lists them."
                )
            # Of two workers that explained the same image, either's.
            _, _, read = next(self._index.found(number))
            return read()

    def flush(self) -> None:
        """Writes what waits to `directory`; see `RegionStore.flush`."""
        if self._folder is not None:
            with self._lock:
                self._index.flush(self._folder)

    def refresh(self) -> None:
        """Finds what other workers wrote to `directory`.

        Raises:
            ValueError: If shards are damaged; the message names them all.
                The others can be used.
        """
        if self._folder is not None:
            with self._lock:
                self._index.update(self._folder)

    def verify(self) -> None:
        """Reads all maps back from `directory`.

        Raises:
            ValueError: If maps are damaged; the message names them all.
        """
        with self._lock:
            self._index.verify()

    def _check_new(self, image_ids):
        given = set()
        for image_id in image_ids:
            number = self._index.number(image_id)
            is_known = number is not None and self._index.has_regions(number)
            if is_known or image_id in given:
                raise ValueError(
                    "An image must have one entry. Received: "
                    f"image_id={image_id!r}, which is there or is given twice. "
                    "Leave out those in `image_ids`."
                )
            given.add(image_id)
