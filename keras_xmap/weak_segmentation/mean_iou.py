import os

import numpy as np

from keras_xmap._checks import check_instance
from keras_xmap._files import check_path
from keras_xmap._typing import Path
from keras_xmap.datasets import LabelledFolder
from keras_xmap.datasets import VOCFolder
from keras_xmap.datasets import read_label_map

_VOID = 255


def mean_iou(
    images: VOCFolder | LabelledFolder, masks: Path
) -> tuple[float, np.ndarray]:
    """Measures label maps against the true ones, as PASCAL VOC does.

    Over all pixels of all images, those that the truth leaves open left out,
    for each class the background first:

    `IoU_c = |found as c, and c| / |found as c, or c|`

    and their mean over the classes that occur. Two files at a time are in
    memory.

    Args:
        images: `datasets.VOCFolder`, whose label maps are the truth.
        masks: Path of the folder of the label maps to be measured: a PNG of
            the name of each image. A pixel of 255 in them counts as wrong.

    Returns:
        Float, the mean; and array `(1 + classes,)` of the IoU of each class,
        NaN where it occurs in neither.

    Raises:
        ValueError: If a label map is missing, cannot be read, is of another
            size or holds a class out of range; the message names it.

    Example:

    >>> import pathlib
    >>> from PIL import Image
    >>> for name in ("JPEGImages", "ImageSets/Segmentation",
    ...     "SegmentationClass", "found"):
    ...     pathlib.Path(name).mkdir(parents=True)
    ...
    >>> Image.new("RGB", (6, 1)).save("JPEGImages/a.png")
    >>> size = pathlib.Path("ImageSets/Segmentation/val.txt").write_text("a")
    >>> truth, found = [[0, 0, 1, 1, 2, 255]], [[0, 1, 1, 1, 0, 2]]
    >>> write = keras_xmap.datasets.write_label_map
    >>> write("SegmentationClass/a.png", truth), write("found/a.png", found)
    (None, None)
    >>> images = keras_xmap.datasets.VOCFolder(
    ...     ".", "val", labels="masks", class_names=["cat", "dog"])
    >>> mean, each = keras_xmap.weak_segmentation.mean_iou(images, "found")
    >>> round(mean, 4), each.round(2).tolist()
    (0.3333, [0.33, 0.67, 0.0])
    """
    expected = "a VOCFolder or a LabelledFolder"
    check_instance("images", images, (VOCFolder, LabelledFolder), expected)
    masks = check_path("masks", masks)
    count = len(images.class_names) + 1
    # One more column, for what is found to be no class.
    pixels = np.zeros((count, count + 1), "int64")
    for index, name in enumerate(images.names):
        truth = images.mask(index)
        file = os.path.join(masks, f"{name}.png")
        found = read_label_map(file, count - 1)
        if found.shape != truth.shape:
            raise ValueError(
                "A label map must be of the size of its image, "
                f"{truth.shape}. Received: {found.shape} for {file!r}."
            )
        known = truth != _VOID
        column = np.minimum(found[known].astype("int64"), count)
        pair = truth[known] * np.int64(count + 1) + column
        pixels += np.bincount(pair, minlength=pixels.size).reshape(pixels.shape)
    right = np.diagonal(pixels).astype("float64")
    union = pixels.sum(axis=1) + pixels[:, :count].sum(axis=0) - right
    with np.errstate(invalid="ignore"):
        each = np.where(union > 0, right / union, np.nan)
    return float(np.nanmean(each)), each
