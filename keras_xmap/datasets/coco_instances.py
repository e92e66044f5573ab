import os

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_non_negative
from keras_xmap._files import check_path
from keras_xmap._typing import Path
from keras_xmap.datasets._coco_file import COCOFile
from keras_xmap.datasets._regions import Regions
from keras_xmap.datasets._segmentations import Segmentations
from keras_xmap.regions import check_run_lengths
from keras_xmap.regions import decode_run_lengths

_PIXELS_AT_A_TIME = 2**22


class COCOInstances(Regions):
    """Objects of photos, read from an annotation file laid out as COCO's.

    The file is JSON with `images` (`id`, `file_name`, `height`, `width`),
    `categories` (`id`, `name`) and `annotations` (`image_id`, `category_id`,
    `segmentation`, and `iscrowd`, `area` where known). A segmentation is a
    list of polygons or run lengths, compressed or not. The annotations are
    held in memory, the photos are not. Ids are whole numbers or text.

    A pixel is inside a polygon if its centre is; a polygon too small for
    that keeps the pixels of its corners.

    Photos are read as by `read_photo`, but for their orientation: annotations
    are of the pixels in the order stored, whatever EXIF says of it, as COCO's
    own tools take them, so that a photo of the height and width of its row is
    not turned. If it has that size only after it is turned upright, that is
    what was annotated, and it is turned.

    Args:
        annotations: Path of the annotation file.
        directory: Path of the folder of the images.
        crowd: Boolean: whether to keep annotations of crowds, several objects
            as one. Defaults to `False`.
        min_area: Float >= 0, the smallest object to keep, in pixels.
            Defaults to `0.0`.

    Attributes:
        class_names: Tuple of the names of the categories, by their `id`.
        labels: Array `(n,)` int32, the class of each object, a number in
            `class_names`.
        areas: Array `(n,)` float64, the sizes in pixels.

    Raises:
        ValueError: If an argument is not as above, if the file is not such
            JSON, or if an image, a category or an annotation is malformed;
            the message names the file and the row. An image whose file lies
            outside of `directory`, or that Pillow would refuse to read for
            its size, is malformed too.
        OSError: If there is no file `annotations` that can be read.

    References:
        - [Lin et al., 2014](https://arxiv.org/abs/1405.0312)

    Example:

    >>> import json
    >>> from PIL import Image
    >>> Image.new("RGB", (4, 2)).save("photo.png")
    >>> content = {
    ...     "images": [
    ...         {"id": 7, "file_name": "photo.png", "height": 2, "width": 4}
    ...     ],
    ...     "categories": [{"id": 3, "name": "cat"}],
    ...     "annotations": [
    ...         {
    ...             "image_id": 7,
    ...             "category_id": 3,
    ...             "segmentation": [[0, 0, 2, 0, 2, 1, 0, 1]],
    ...         }
    ...     ],
    ... }
    >>> with open("instances.json", "w") as file:
    ...     json.dump(content, file)
    ...
    >>> objects = keras_xmap.datasets.COCOInstances("instances.json", ".")
    >>> image, mask = objects[0]
    >>> mask.astype(int).tolist()
    [[1, 1, 0, 0], [0, 0, 0, 0]]
    """

    def __init__(
        self,
        annotations: Path,
        directory: Path,
        crowd: bool = False,
        min_area: float = 0.0,
    ):
        self._directory = check_path("directory", directory)
        self._source = check_path("annotations", annotations)
        self._crowd = check_boolean("crowd", crowd)
        self._min_area = check_non_negative("min_area", min_area)
        content = COCOFile(self._source)
        entries, labels, areas = _Entries(), [], []
        for row in content.annotations():
            image, label, segmentation, area, is_crowd = row
            if is_crowd and not crowd:
                continue
            if area is None:
                area = _area(segmentation, image[1])
            if area < self._min_area:
                continue
            entries.append(image, segmentation)
            labels.append(label)
            areas.append(area)
        super().__init__(content.class_names, entries, labels, areas)

    def file(self, index: int) -> str:
        return os.path.join(self._directory, self._entry(index)[0])

    def _arguments(self):
        return {
            "annotations": self._source,
            "directory": self._directory,
            "crowd": self._crowd,
            "min_area": self._min_area,
        }

    def _size(self, entry):
        return entry[1]

    def _mask(self, entry):
        _, size, segmentation = entry
        if isinstance(segmentation, dict):
            return decode_run_lengths(segmentation)
        return _inside(segmentation, size)


class _Entries:
    """The image of each object, name and size, and its segmentation."""

    def __init__(self):
        self._images = []
        self._segmentations = Segmentations()

    def __len__(self):
        return len(self._images)

    def append(self, image, segmentation):
        self._images.append(image)
        self._segmentations.append(segmentation)

    def __getitem__(self, number):
        return (*self._images[number], self._segmentations[number])


def _area(segmentation, size):
    """Returns the number of pixels inside."""
    if isinstance(segmentation, dict):
        return check_run_lengths(segmentation)[1::2].sum()
    return _inside(segmentation, size).sum()


def _inside(polygons, size):
    """Returns the union of polygons as booleans `(height, width)`."""
    mask = np.zeros(size, bool)
    for polygon in polygons:
        x, y = polygon.reshape(-1, 2).T
        if not _fill(mask, x, y):
            rows = np.clip(y.astype(int), 0, size[0] - 1)
            columns = np.clip(x.astype(int), 0, size[1] - 1)
            mask[rows, columns] = True
    return mask


def _fill(mask, x, y):
    """Sets the pixels of a polygon, and returns their number."""
    from skimage import draw

    # They are listed to be set, at 16 bytes each: not all of them at once.
    height = max(1, _PIXELS_AT_A_TIME // mask.shape[1])
    number = 0
    for top in range(0, len(mask), height):
        part = mask[top : top + height]
        # Pixel i reaches from i to i + 1.
        pixels = draw.polygon(y - top - 0.5, x - 0.5, part.shape)
        part[pixels] = True
        number += len(pixels[0])
    return number
