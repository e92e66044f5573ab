"""Photos in files as a data set, and what tables and masks tell of them."""

import csv
import os

import keras
import numpy as np

from keras_xmap._image_files import photo_extensions
from keras_xmap.cli._photo_batches import Sample
from keras_xmap.cli._photo_batches import joined
from keras_xmap.cli._photo_batches import read_image
from keras_xmap.cli._photo_batches import read_mask

_WIDEST = 256  # of a picture in a page


def readable_photos(files, inputs, batch_size):
    """Returns the `Photos` that can be read, and the errors of others."""
    readable, sizes, errors = [], [], {}
    for file in files:
        try:
            sizes.append(read_image(file.path).shape[:2])
            readable.append(file)
        except Exception as error:
            errors[file.path] = error
    if not readable:
        raise next(iter(errors.values()))
    return Photos(readable, sizes, inputs, batch_size), errors


class Photos(keras.utils.PyDataset):
    """Files of photos in batches, as the model takes them.

    Args:
        files: List of `PhotoFile`s.
        sizes: List of their heights and widths in pixels.
        inputs: `ModelInputs`.
        batch_size: Integer; one, where photos keep their own sizes.
    """

    def __init__(self, files, sizes, inputs, batch_size):
        super().__init__()
        self.files, self.sizes, self._inputs = files, sizes, inputs
        self._batch_size = 1 if None in inputs.size else batch_size

    def __len__(self):
        return -(-len(self.files) // self._batch_size)

    def __getitem__(self, number):
        start = number * self._batch_size
        samples = [
            Sample(file, photo, self._inputs.make(photo))
            for file in self.files[start : start + self._batch_size]
            for photo in [read_image(file.path)]
        ]
        return joined(samples)

    def photo_of(self, row):
        """Returns a photo as people see it, no larger than a page shows it."""
        photo = read_image(self.files[row].path)
        step = max(1, -(-max(photo.shape[:2]) // _WIDEST))
        return photo[::step, ::step]

    def map_size(self, row):
        """Returns height and width of the map of a photo."""
        pairs = zip(self._inputs.size, self.sizes[row], strict=True)
        return tuple(known or own for known, own in pairs)


class _Masks:
    """Masks in files of the names of the photos, white on the object."""

    def __init__(self, folder, photos):
        self._photos = photos
        self._paths = [_mask_of(file.name, folder) for file in photos.files]

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, rows):
        return np.stack([self._read(row) for row in range(len(self))[rows]])

    def _read(self, row):
        from skimage.transform import resize

        mask = read_mask(self._paths[row])
        size = self._photos.map_size(row)
        found = resize(mask, size, order=0, anti_aliasing=False)
        return found.astype("float32")


class _Boxes:
    """Boxes of the objects in photos, in pixels of the maps."""

    def __init__(self, path, photos):
        self._photos = photos
        self._boxes = _read_boxes(path, photos.files)
        self._most = max(map(len, self._boxes))

    def __len__(self):
        return len(self._boxes)

    def __getitem__(self, rows):
        return np.stack([self._of(row) for row in range(len(self))[rows]])

    def _of(self, row):
        found = np.full((self._most, 4), -1.0)
        if self._boxes[row]:
            height, width = self._photos.sizes[row]
            rows, columns = self._photos.map_size(row)
            scale = np.array([columns / width, rows / height] * 2)
            boxes = np.array(self._boxes[row]) * scale
            # Rounding may lead past the last edge.
            found[: len(boxes)] = boxes.clip(0, [columns, rows] * 2)
        return found


def masks_of(folder, photos):
    """Returns the masks of `--masks`, cut like an array, or `None`."""
    if folder is None:
        return None
    if not os.path.isdir(folder):
        raise ValueError(
            f"`--masks` must be a folder. Received: --masks {folder}, which is "
            "none."
        )
    return _Masks(folder, photos)


def _mask_of(name, folder):
    """Returns the file of a mask of this name, PNG before other formats."""
    stem = os.path.splitext(name)[0]
    for suffix in sorted(photo_extensions(), key=lambda x: (x != ".png", x)):
        found = os.path.join(folder, stem + suffix)
        if os.path.exists(found):
            return found
    raise ValueError(
        "`--masks` must hold a mask of the name of each image. Received: "
        f"--masks {folder} without {stem}.png. Leave the image out, or give "
        "it a black mask: no object."
    )


def boxes_of(path, photos):
    """Returns the boxes of `--boxes`, cut like an array, or `None`."""
    return None if path is None else _Boxes(path, photos)


def _read_boxes(path, files):
    """Returns a list of boxes for each photo, of a table with a line each."""
    if not os.path.isfile(path):
        raise ValueError(
            f"`--boxes` must be a file. Received: --boxes {path}, which is "
            "none."
        )
    columns = ("image", "x0", "y0", "x1", "y1")
    with open(path, encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        if not set(columns) <= set(table.fieldnames or ()):
            raise ValueError(
                f"`--boxes` must have the columns {', '.join(columns)}. "
                f"Received: --boxes {path} with "
                f"{', '.join(table.fieldnames or ()) or 'none'}."
            )
        lines = list(table)
    rows = _rows_by_name(files)
    found = [[] for _ in files]
    for number, line in enumerate(lines, start=2):
        if line["image"] in rows:  # a table may tell of more images
            box = _numbers(line, columns[1:], path, number)
            found[rows[line["image"]]].append(box)
    if not any(found):
        raise ValueError(
            "`--boxes` must name the images. Received: --boxes "
            f"{path} with boxes for none of them, such as "
            f"{os.path.basename(files[0].path)}."
        )
    return found


def _rows_by_name(files):
    """Returns the number of each photo by its names in a table."""
    rows = {file.path: row for row, file in enumerate(files)}
    for row, file in enumerate(files):
        folder = os.path.dirname(file.name)
        name = os.path.join(folder, os.path.basename(file.path))
        rows.setdefault(name, row)
        rows.setdefault(os.path.splitext(name)[0], row)
    return rows


def _numbers(line, names, path, number):
    try:
        x0, y0, x1, y1 = (float(line[name]) for name in names)
    except (TypeError, ValueError):
        x0 = y0 = x1 = y1 = float("nan")
    if not (0 <= x0 < x1 < float("inf") and 0 <= y0 < y1 < float("inf")):
        raise ValueError(
            "A box must be four pixel edges, 0 <= x0 < x1 and 0 <= y0 < y1. "
            f"Received: {', '.join(str(line[n]) for n in names)} in line "
            f"{number} of --boxes {path}."
        )
    return x0, y0, x1, y1
