"""What the readers of labelled regions share."""

import abc
import concurrent.futures
import contextlib
import copy
import warnings

import numpy as np

from keras_xmap._image_files import open_image
from keras_xmap._image_files import orientation
from keras_xmap._image_files import read_photo
from keras_xmap._repr import as_call
from keras_xmap._typing import ArrayLike
from keras_xmap.datasets._rows import check_index
from keras_xmap.datasets._rows import checked_rows


class Regions(abc.ABC):
    """Labelled regions of images, of which only the list is in memory.

    `regions[i]` reads the file and returns the image and the mask.

    Attributes:
        class_names: Tuple of the names of the classes.
        labels: Array `(n,)` int32, the class of each region.
        areas: Array `(n,)` float64, the size of each region in pixels of its
            image.
    """

    def __init__(self, class_names, entries, labels, areas):
        self.class_names = tuple(class_names)
        self.labels = np.array(labels, "int32")
        self.areas = np.array(areas, "float64")
        self._entries = entries
        # Which of them these regions are.
        self._rows = np.arange(len(entries))

    def __repr__(self):
        call = as_call(self, **self._arguments())
        if len(self) == len(self._entries):
            return call
        return f"{call}.subset(<{len(self)} of {len(self._entries)}>)"

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        file, entry = self.file(index), self._entry(index)
        size = self._size(entry)
        with left_out_if_asked(file):
            image = read_photo(file, size)
        # Before the mask is made: that of a malformed row may be huge.
        _check_size(file, image.shape[:2], size)
        mask = self._mask(entry)
        _check_size(file, image.shape[:2], mask.shape)
        return image, mask

    def subset(self, rows: ArrayLike) -> "Regions":
        """Returns the same kind of object with some of the regions.

        Args:
            rows: Array of numbers, or of booleans `(n,)`.
        """
        rows = checked_rows(rows, len(self), "regions")
        chosen = copy.copy(self)
        chosen._rows = self._rows[rows]
        chosen.labels, chosen.areas = self.labels[rows], self.areas[rows]
        return chosen

    def without_corrupt(self) -> "Regions":
        """Returns the regions that can be read, and warns of the others.

        Every file is read once, several at a time. Without this call, what
        cannot be read is an error that names the file.
        """
        with concurrent.futures.ThreadPoolExecutor() as pool:
            errors = list(pool.map(self._error, range(len(self))))
        for message in dict.fromkeys(filter(None, errors)):
            warnings.warn(f"A region is left out: {message}", stacklevel=2)
        return self.subset(np.array([error is None for error in errors], bool))

    def _error(self, index):
        try:
            self[index]
        except ValueError as error:
            return str(error)
        return None

    def _entry(self, index):
        index = check_index(index, len(self), "regions")
        return self._entries[int(self._rows[index])]

    @abc.abstractmethod
    def _arguments(self):
        """Returns the arguments of the constructor by name."""

    @abc.abstractmethod
    def file(self, index):
        """Returns the path of the image of a region."""

    @abc.abstractmethod
    def _size(self, entry):
        """Returns the size of a mask, height and width, without the mask."""

    @abc.abstractmethod
    def _mask(self, entry):
        """Returns the mask of an entry as booleans `(height, width)`."""


def _check_size(file, size, wanted):
    if wanted != size:
        raise ValueError(
            "An image must have the size of its annotations, "
            f"{wanted}. Received: {size} for {file!r}."
        )


def stored_values(file):
    """Returns the values of a label map, or raises with its name."""
    with left_out_if_asked(file):
        image = open_image(file)
    if orientation(image) != 1:
        raise ValueError(
            "A label map must be stored as it is seen. Received: EXIF of "
            f"Orientation {orientation(image)} in {str(file)!r}. Save it "
            "turned, and without EXIF."
        )
    return np.array(image)


@contextlib.contextmanager
def left_out_if_asked(file):
    """Makes one kind of error of a file that is missing or damaged."""
    remedy = "Mend the file, or leave such out with `without_corrupt`."
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise ValueError(
            "An image must be a file that can be read. Received: "
            f"{str(file)!r}: {error}. {remedy}"
        ) from error
    except ValueError as error:
        raise ValueError(f"{error} {remedy}") from error
