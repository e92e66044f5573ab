import numpy as np

from keras_xmap._checks import check_integer
from keras_xmap._checks import check_optional
from keras_xmap._files import check_path
from keras_xmap._typing import Path
from keras_xmap.datasets._regions import stored_values

VOID = 255


def read_label_map(file: Path, num_classes: int | None = None) -> np.ndarray:
    """Reads a label map, as PASCAL VOC has them: an image of class numbers.

    Args:
        file: Path of an image with a palette, whose indices are the classes,
            or of one grey channel of 8 bits, whose values are.
        num_classes: Integer from 1 to 254: what is above it, and not 255, is
            an error. Defaults to `None`: any number may stand there.

    Returns:
        uint8 array `(height, width)`: 0 for the background, 255 where nothing
        is known.

    Raises:
        ValueError: If the file cannot be read, holds colours instead of
            numbers, or a class out of range; the message names it.

    Example:

    >>> labels = np.array([[0, 7, 255]])
    >>> keras_xmap.datasets.write_label_map("labels.png", labels)
    >>> keras_xmap.datasets.read_label_map("labels.png", num_classes=20)
    array([[  0,   7, 255]], dtype=uint8)
    """
    file = check_path("file", file)
    check_optional(check_integer, "num_classes", num_classes, 1, VOID - 1)
    labels = stored_values(file)
    if labels.ndim != 2 or labels.dtype not in ("uint8", "bool"):
        raise ValueError(
            "A label map must have a palette, or one grey channel of 8 bits. "
            f"Received: {file!r} of shape {labels.shape}, dtype "
            f"{labels.dtype}. Write the number of the class in place of its "
            "colour, by `write_label_map`."
        )
    labels = labels.astype("uint8")
    if num_classes is not None:
        _check_classes(file, labels, num_classes)
    return labels


def _check_classes(file, labels, num_classes):
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=VOID + 1))
    wrong = [int(x) for x in present if num_classes < x < VOID]
    if wrong:
        raise ValueError(
            f"A label map must hold 0 for the background, 1 to {num_classes} "
            f"for the classes, and {VOID} where nothing is known. Received: "
            f"{wrong} in {file!r}."
        )
