"""What the readers of images with labels share."""

import abc
import concurrent.futures
import copy
import os

import keras
import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_one_of
from keras_xmap._files import checksum
from keras_xmap._files import read_file
from keras_xmap._image_files import read_stored
from keras_xmap._repr import as_call
from keras_xmap._typing import ArrayLike
from keras_xmap._warnings import warn_user
from keras_xmap.datasets._regions import left_out_if_asked
from keras_xmap.datasets._rows import check_index
from keras_xmap.datasets._rows import checked_rows
from keras_xmap.datasets.read_label_map import read_label_map

# Classes are numbers below the one that stands for what is not known.
_MOST_CLASSES = 254


class LabelledImages(abc.ABC):
    """Images and the classes in each, of which only the list is in memory.

    `images[i]` reads the file and returns the image, `images.mask(i)` the
    label map where there is one.

    Attributes:
        class_names: Tuple of the names of the classes.
        names: Tuple of text, the name of each image: its path in the folder
            without the extension. No two are alike.
        labels: Array `(n, classes)` uint8, 1 for each class in an image.
        problems: Dictionary from files, and lines of files, to what is wrong
            with them. These images are left out.
        checksums: Array `(n,)` uint32, the CRC-32 of each file, once
            `without_corrupt` has read them; `None` before.
    """

    def __init__(self, class_names, entries, labels, problems):
        self.class_names = tuple(class_names)
        self.labels = np.array(labels, "uint8").reshape(
            len(entries), len(self.class_names)
        )
        self.problems = dict(problems)
        self.checksums = None
        self._entries = list(entries)
        self._count = len(self._entries)
        if not entries:
            raise ValueError(
                "There must be one image at least that can be used. Received: "
                f"{as_call(self, **self._arguments())}, {_told(problems)}."
            )
        _warn_of(self.problems)

    def __repr__(self):
        call = as_call(self, **self._arguments())
        if len(self) == self._count:
            return call
        return f"{call}.subset(<{len(self)} of {self._count}>)"

    def __len__(self):
        return len(self._entries)

    def __getitem__(self, index: int) -> np.ndarray:
        pixels, turn = _photo(self.file(index))
        return turn(pixels)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(os.path.splitext(entry[0])[0] for entry in self._entries)

    def file(self, index: int) -> str:
        """Returns the path of an image."""
        return self._file(self._entry(index))

    def mask(self, index: int) -> np.ndarray:
        """Returns the label map of an image, uint8 `(height, width)`.

        It is turned with its image, as EXIF says, where it has the size of the
        pixels as they are stored.

        Raises:
            ValueError: If there is none, or if it cannot be read, is of
                another size than the image, or holds a class out of range.
        """
        return self._checked_mask(index, *_photo(self.file(index)))

    def subset(self, rows: ArrayLike) -> "LabelledImages":
        """Returns the same kind of object with some of the images.

        Args:
            rows: Array of numbers, or of booleans `(n,)`.
        """
        rows = checked_rows(rows, len(self), "images")
        chosen = copy.copy(self)
        chosen._entries = [self._entries[row] for row in rows]
        chosen.labels = self.labels[rows]
        if self.checksums is not None:
            chosen.checksums = self.checksums[rows]
        return chosen

    def without_corrupt(
        self, masks: bool = False, verbose: int = 0
    ) -> "LabelledImages":
        """Returns the images that can be read, and warns of the others.

        Every file is read once, several at a time. `problems` of the result
        tell what is wrong with each that is left out.

        Args:
            masks: Boolean: whether an image also needs a label map, of its
                size and of known classes. Defaults to `False`.
            verbose: 0 or 1: whether to show a progress bar. Defaults to `0`.
        """
        check_boolean("masks", masks)
        check_one_of("verbose", verbose, (0, 1))
        bar = keras.utils.Progbar(len(self), verbose=verbose, unit_name="file")
        found = []
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for one in pool.map(
                lambda index: self._inspect(index, masks), range(len(self))
            ):
                found.append(one)
                bar.add(1)
        good = self.subset(np.array([not told for _, told in found], bool))
        good.checksums = np.array([s for s, told in found if not told], "u4")
        new = {
            self.file(index): told
            for index, (_, told) in enumerate(found)
            if told
        }
        good.problems = {**self.problems, **new}
        _warn_of(new)
        return good

    def _inspect(self, index, masks):
        """Returns the checksum of a file, and what is wrong with it."""
        file = self.file(index)
        try:
            photo = _photo(file)
            if masks:
                self._checked_mask(index, *photo)
            return checksum(read_file(file)), None
        except (ValueError, OSError) as error:
            return 0, str(error)

    def _checked_mask(self, index, pixels, turn):
        entry = self._entry(index)
        file = self._mask_file(entry)
        if file is None:
            raise ValueError(
                "An image must have a label map to be held against. Received: "
                f"none for {self._file(entry)!r}."
            )
        labels = read_label_map(file, len(self.class_names))
        if labels.shape == pixels.shape[:2]:
            return turn(labels)
        size = turn(pixels).shape[:2]
        if labels.shape != size:
            raise ValueError(
                f"A label map must be of the size of its image, {size}. "
                f"Received: {labels.shape} for {file!r}."
            )
        return labels

    def _entry(self, index):
        return self._entries[check_index(index, len(self), "images")]

    @abc.abstractmethod
    def _arguments(self):
        """Returns the arguments of the constructor by name."""

    @abc.abstractmethod
    def _file(self, entry):
        """Returns the path of the image of an entry, which it begins with."""

    def _mask_file(self, entry):
        """Returns the path of the label map of an entry, or `None`."""
        return None


def _photo(file):
    """Returns the pixels of a photo as stored, and what turns them upright."""
    with left_out_if_asked(file):
        return read_stored(file)


def check_class_names(names):
    """Returns the names of classes as a tuple, each of them once."""
    if (
        not isinstance(names, (list, tuple))
        or not 0 < len(names) <= _MOST_CLASSES
        or not all(isinstance(name, str) and name for name in names)
        or len(set(names)) < len(names)
    ):
        raise ValueError(
            f"`class_names` must be 1 to {_MOST_CLASSES} different names, the "
            f"background left out. Received: class_names={names!r}."
        )
    return tuple(names)


def _warn_of(problems):
    if problems:
        warn_user(
            f"{_told(problems)}. They are left out; `problems` of the images "
            "has all."
        )


def _told(problems, most=3):
    shown = "; ".join(
        f"{file}: {said}" for file, said in list(problems.items())[:most]
    )
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    count = f"{len(problems)} cannot be used"
    return f"{count}: {shown.rstrip('.')}{more}" if problems else "no images"
