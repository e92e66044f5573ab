import json
import os

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_non_negative
from keras_xmap._files import read_file
from keras_xmap._typing import Path
from keras_xmap.datasets._regions import Regions
from keras_xmap.regions import decode_run_lengths


class COCOInstances(Regions):
    """Objects of photos, read from an annotation file laid out as COCO's.

    The file is JSON with `images` (`id`, `file_name`, `height`, `width`),
    `categories` (`id`, `name`) and `annotations` (`image_id`, `category_id`,
    `segmentation`, and `iscrowd`, `area` where known). A segmentation is a
    list of polygons or run lengths, compressed or not. The annotations are
    held in memory, the photos are not.

    A pixel is inside a polygon if its centre is; a polygon too small for
    that keeps the pixels of its corners.

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
            JSON, or if an annotation is malformed; the message names the
            file and the annotation.

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
        self._directory = os.fspath(directory)
        self._source = os.fspath(annotations)
        self._crowd = check_boolean("crowd", crowd)
        self._min_area = check_non_negative("min_area", min_area)
        content = self._content()
        categories = sorted(content["categories"], key=lambda row: row["id"])
        numbers = {row["id"]: i for i, row in enumerate(categories)}
        images = {row["id"]: row for row in content["images"]}
        entries, labels, areas = [], [], []
        for row in content["annotations"]:
            if row.get("iscrowd", 0) and not crowd:
                continue
            entry = self._entry(row, images, numbers)
            area = row.get("area")
            if area is None:
                area = self._mask(entry, entry[1]).sum()
            if area < self._min_area:
                continue
            entries.append(entry)
            labels.append(numbers[row["category_id"]])
            areas.append(area)
        names = [row["name"] for row in categories]
        super().__init__(names, entries, labels, areas)

    def file(self, index: int) -> str:
        return os.path.join(self._directory, self._entries[index][0])

    def _arguments(self):
        return {
            "annotations": self._source,
            "directory": self._directory,
            "crowd": self._crowd,
            "min_area": self._min_area,
        }

    def _mask(self, entry, size):
        _, size, segmentation = entry
        if isinstance(segmentation, dict):
            return decode_run_lengths(segmentation)
        return _inside(segmentation, size)

    def _content(self):
        try:
            content = json.loads(read_file(self._source))
        except ValueError as error:
            raise ValueError(
                f"`annotations` must be JSON. Received: {self._source!r}: "
                f"{error}."
            ) from error
        keys = ("images", "annotations", "categories")
        if _missing(content, keys):
            raise ValueError(
                f"`annotations` must hold {', '.join(keys)}. Received: "
                f"{self._source!r} without "
                f"{', '.join(_missing(content, keys))}."
            )
        return content

    def _entry(self, row, images, numbers):
        """Returns file name, size and segmentation of an annotation."""
        try:
            image = images[row["image_id"]]
            numbers[row["category_id"]]
            size = (image["height"], image["width"])
            segmentation = row["segmentation"]
            _check_segmentation(segmentation, size)
            return image["file_name"], size, segmentation
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(
                "An annotation must have an image, a category and a "
                "segmentation of polygons or run lengths. Received: "
                f"annotation id={row.get('id')} of image_id="
                f"{row.get('image_id')} in {self._source!r}: {error!r}."
            ) from error


def _missing(content, keys):
    """Returns which of the keys an annotation file lacks."""
    return set(keys) - set(content) if isinstance(content, dict) else keys


def _check_segmentation(segmentation, size):
    if isinstance(segmentation, dict):
        if tuple(segmentation["size"]) != size:
            raise ValueError(
                "Run lengths must be of the size of the image. Received: "
                f"size={segmentation['size']} for {size}."
            )
        decode_run_lengths(segmentation)
        return
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError(
            "`segmentation` must be a list of polygons or run lengths. "
            f"Received: segmentation={segmentation!r}."
        )
    for polygon in segmentation:
        _corners(polygon)


def _corners(polygon):
    """Returns `x` and `y` of the corners, `(2, n)`."""
    corners = np.asarray(polygon, "float64")
    if corners.ndim != 1 or len(corners) % 2 or len(corners) < 2:
        raise ValueError(
            "A polygon must be a list of x and y in turn. Received: a polygon "
            f"of shape {corners.shape}."
        )
    return corners.reshape(-1, 2).T


def _inside(polygons, size):
    """Returns the union of polygons as booleans `(height, width)`."""
    from skimage import draw

    mask = np.zeros(size, bool)
    for polygon in polygons:
        # Pixel i reaches from i to i + 1.
        x, y = _corners(polygon)
        rows, columns = draw.polygon(y - 0.5, x - 0.5, size)
        if not len(rows):
            rows = np.clip(y.astype(int), 0, size[0] - 1)
            columns = np.clip(x.astype(int), 0, size[1] - 1)
        mask[rows, columns] = True
    return mask
