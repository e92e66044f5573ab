"""What the readers of labelled regions share."""

import abc
import concurrent.futures
import copy
import io
import warnings

import numpy as np

from keras_xmap._files import read_file
from keras_xmap._repr import as_call
from keras_xmap._typing import ArrayLike


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
        self._entries = list(entries)
        self._count = len(self._entries)

    def __repr__(self):
        call = as_call(self, **self._arguments())
        if len(self) == self._count:
            return call
        return f"{call}.subset(<{len(self)} of {self._count}>)"

    def __len__(self):
        return len(self._entries)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        file = self.file(index)
        image = read_image(file)
        mask = self._mask(self._entries[index], image.shape[:2])
        if mask.shape != image.shape[:2]:
            raise ValueError(
                "An image must have the size of its annotations, "
                f"{mask.shape}. Received: {image.shape[:2]} for {file!r}."
            )
        return image, mask

    def subset(self, rows: ArrayLike) -> "Regions":
        """Returns the same kind of object with some of the regions.

        Args:
            rows: Array of numbers, or of booleans `(n,)`.
        """
        rows = np.arange(len(self))[rows]
        chosen = copy.copy(self)
        chosen._entries = [self._entries[row] for row in rows]
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

    @abc.abstractmethod
    def _arguments(self):
        """Returns the arguments of the constructor by name."""

    @abc.abstractmethod
    def file(self, index):
        """Returns the path of the image of a region."""

    @abc.abstractmethod
    def _mask(self, entry, size):
        """Returns the mask of an entry as booleans `(height, width)`."""


def read_image(file, convert="RGB"):
    """Returns the image in `file` as an array, or raises with its name."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(read_file(file)))
        return np.array(image.convert(convert) if convert else image)
    except Exception as error:
        # Pillow, a plug-in of it and a file system each raise what they like.
        raise ValueError(
            f"Expected an image that can be read. Received: {str(file)!r}: "
            f"{error}. Mend the file, or leave such out with "
            "`without_corrupt`."
        ) from error
