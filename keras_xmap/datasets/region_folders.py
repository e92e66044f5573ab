import os

import numpy as np

from keras_xmap._checks import check_non_negative_integer
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import is_integer
from keras_xmap._files import check_path
from keras_xmap._typing import Path
from keras_xmap.datasets._folder_files import by_stem
from keras_xmap.datasets._folder_files import only_one
from keras_xmap.datasets._regions import Regions
from keras_xmap.datasets._regions import stored_values


class RegionFolders(Regions):
    """Connected regions of one class, from folders of images and label maps.

    A label map is an image whose pixels say the class, named as its image is
    but for the extension. Every 8-connected component of it that is of one
    class is a region. This is how OpenSurfaces
    comes (`photos`, `photos-labels`: red the material, green the object),
    and many sets for semantic segmentation. All label maps are read once, to
    list the regions; no image is held in memory.

    Label maps are read as they are stored, of 8 or 16 bits. Photos are read as
    by `read_photo`, but turned upright only where their label map has that
    size and not that of the pixels as stored.

    Args:
        directory: Path of the folder of the images.
        label_maps: Path of the folder of the label maps; images without one
            are left out.
        classes: Dictionary from the values of the pixels to the names of the
            classes. Other values are no regions.
        channel: Integer, which channel of colour label maps holds the class;
            maps of one channel or of a palette hold it themselves. Defaults
            to `0`.
        min_area: Integer >= 1, the smallest region to keep, in pixels.
            Defaults to `1`.

    Attributes:
        class_names: Tuple of the names of the classes, in the order given.
        labels: Array `(n,)` int32, the class of each region, a number in
            `class_names`.
        areas: Array `(n,)` float64, the sizes in pixels.

    Raises:
        ValueError: If a label map cannot be read, or if a folder holds
            nothing that fits; the message names it.

    References:
        - [Bell et al., 2013](https://opensurfaces.cs.cornell.edu)

    Example:

    >>> import pathlib
    >>> from PIL import Image
    >>> for folder in ("photos", "photos-labels"):
    ...     pathlib.Path(folder).mkdir()
    ...
    >>> Image.new("RGB", (4, 2)).save("photos/a.jpg")
    >>> labels = np.array([[5, 5, 0, 5], [0, 0, 0, 9]], "uint8")
    >>> Image.fromarray(labels).save("photos-labels/a.png")
    >>> regions = keras_xmap.datasets.RegionFolders(
    ...     "photos", "photos-labels", {5: "wood", 9: "glass"}
    ... )
    >>> [regions.class_names[label] for label in regions.labels]
    ['wood', 'wood', 'glass']
    >>> regions.areas.tolist()
    [2.0, 1.0, 1.0]
    """

    def __init__(
        self,
        directory: Path,
        label_maps: Path,
        classes: dict[int, str],
        channel: int = 0,
        min_area: int = 1,
    ):
        from skimage import measure

        self._min_area = check_positive_integer("min_area", min_area)
        self._directory = check_path("directory", directory)
        self._label_maps = check_path("label_maps", label_maps)
        self._channel = check_non_negative_integer("channel", channel)
        self._classes = _checked_classes(classes)
        self._values = np.array(list(self._classes), "int64")
        entries, labels, areas = [], [], []
        for image, label_map in self._pairs():
            values, parts = self._parts(label_map)
            for part in measure.regionprops(parts):
                if part.area < self._min_area:
                    continue
                value = values[tuple(part.coords[0])]
                entries.append((image, label_map, part.label, parts.shape))
                labels.append(int(np.flatnonzero(self._values == value)[0]))
                areas.append(part.area)
        super().__init__(self._classes.values(), entries, labels, areas)

    def file(self, index: int) -> str:
        return os.path.join(self._directory, self._entry(index)[0])

    def _arguments(self):
        return {
            "directory": self._directory,
            "label_maps": self._label_maps,
            "classes": self._classes,
            "channel": self._channel,
            "min_area": self._min_area,
        }

    def _size(self, entry):
        return entry[3]

    def _mask(self, entry):
        _, parts = self._parts(entry[1])
        return parts == entry[2]

    def _pairs(self):
        images, label_maps = (
            by_stem(folder) for folder in (self._directory, self._label_maps)
        )
        stems = sorted(images.keys() & label_maps.keys())
        pairs = [
            (
                only_one(images[stem], self._directory),
                only_one(label_maps[stem], self._label_maps),
            )
            for stem in stems
        ]
        if not pairs:
            raise ValueError(
                "The folders must hold images and label maps of the same "
                f"names. Received: directory={self._directory!r}, "
                f"label_maps={self._label_maps!r}."
            )
        return pairs

    def _parts(self, name):
        """Returns the values of a label map, and a number for each region."""
        from skimage import measure

        file = os.path.join(self._label_maps, name)
        values = stored_values(file)
        if values.dtype.kind not in "bui":
            raise ValueError(
                "A label map must hold whole numbers. Received: values of "
                f"dtype {values.dtype} in {file!r}."
            )
        values = values.astype("int64")
        if values.ndim == 3:
            if not 0 <= self._channel < values.shape[-1]:
                raise ValueError(
                    "`channel` must be one of the label map's "
                    f"{values.shape[-1]}. Received: channel={self._channel} "
                    f"for {file!r}."
                )
            values = values[..., self._channel]
        other = self._values.min() - 1  # the value of no class
        known = np.where(np.isin(values, self._values), values, other)
        return values, measure.label(known, background=other, connectivity=2)


def _checked_classes(classes):
    if (
        not isinstance(classes, dict)
        or not classes
        or not all(
            is_integer(value) and abs(value) < 2**63 and isinstance(name, str)
            for value, name in classes.items()
        )
    ):
        raise ValueError(
            "`classes` must be a dictionary from integers, the values of the "
            f"pixels, to names. Received: classes={classes!r}."
        )
    return dict(classes)
