from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_instance
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import is_number
from keras_xmap._typing import Numbers
from keras_xmap.datasets._loading import import_tensorflow
from keras_xmap.datasets._loading import loaded_batches
from keras_xmap.datasets._regions import Regions
from keras_xmap.datasets._seeds import seed_or_drawn

if TYPE_CHECKING:
    import tensorflow as tf


def region_batches(
    regions: Regions,
    image_size: int | Sequence[int],
    batch_size: int = 32,
    crop: Numbers | None = None,
    training: bool = False,
    seed: int | None = None,
) -> "tf.data.Dataset":
    """Makes a `tf.data.Dataset` of images, masks and labels of regions.

    For `model.evaluate` and `model.predict` every region comes once, in the
    order of `regions`, so that results fit `regions.labels` and
    `regions.areas`. For `model.fit`, with `training=True`, every pass draws
    as many as there are, each class equally often and each region of a class
    before any of it comes again. Files are read as they are needed: a few
    batches are in memory.

    Args:
        regions: `COCOInstances` or `RegionFolders`.
        image_size: Integer or pair of integers >= 1, height and width that
            images are resized to, without regard to their shape.
        batch_size: Integer >= 1. Defaults to `32`.
        crop: `None` for whole images, or the side of a square around the
            region in units of the longer side of its box: a float >= 1, or a
            pair of them to draw from in training, where the place around the
            region is drawn too. Without training a crop is centred, and of
            a pair the geometric mean is taken. A crop ends where the image
            does. Defaults to `None`.
        training: Boolean: whether to draw regions and crops. Defaults to
            `False`.
        seed: Integer >= 0, makes the draws repeatable; or `None`, as in
            Keras. Defaults to `None`.

    Returns:
        A `tf.data.Dataset` of pairs `({"image", "mask"}, label)`: images
        `(batch, height, width, 3)` float32 in 0..255, masks `(batch, height,
        width)` float32, the share of each pixel that lies in the region,
        labels `(batch,)` int32.

    Raises:
        ImportError: If TensorFlow is not installed.
        ValueError: If an argument is not as above. While the dataset is read,
            the error names the file that cannot be.

    Example:

    >>> from PIL import Image
    >>> import pathlib
    >>> for folder in ("photos", "labels"):
    ...     pathlib.Path(folder).mkdir()
    ...
    >>> Image.new("RGB", (8, 8), (9, 9, 9)).save("photos/a.png")
    >>> Image.fromarray(np.eye(8, dtype="uint8")).save("labels/a.png")
    >>> regions = keras_xmap.datasets.RegionFolders(
    ...     "photos", "labels", {1: "line"}
    ... )
    >>> batches = keras_xmap.datasets.region_batches(regions, 4)
    >>> for inputs, label in batches:
    ...     print(inputs["image"].shape, inputs["mask"][0, 0].numpy(), label[0])
    ...
    (1, 4, 4, 3) [0.5 0.  0.  0. ] tf.Tensor(0, shape=(), dtype=int32)
    """
    import_tensorflow("region_batches")
    from PIL import Image

    size = _checked_size(image_size)
    batch_size = check_positive_integer("batch_size", batch_size)
    crop = _checked_crop(crop)
    check_boolean("training", training)
    expected = "COCOInstances or RegionFolders"
    check_instance("regions", regions, Regions, expected)
    if not len(regions):
        raise ValueError(
            f"`regions` must not be empty. Received: regions={regions!r}."
        )
    seeds = np.random.SeedSequence(seed_or_drawn(seed))

    def draw():
        numbers = np.arange(len(regions))
        if not training:
            return numbers, numbers
        generator = np.random.default_rng(seeds.spawn(1)[0])
        drawn = balanced_draw(regions.labels, generator)
        return drawn, generator.integers(2**31, size=len(drawn))

    def load(index, seed):
        image, mask = regions[index]
        generator = np.random.default_rng(seed) if training else None
        box = _crop_box(mask, crop, generator)
        image = Image.fromarray(image).resize(
            size[::-1], Image.Resampling.BILINEAR, box
        )
        mask = Image.fromarray(mask.astype("float32")).resize(
            size[::-1], Image.Resampling.BOX, box
        )
        return (
            np.asarray(image, "float32"),
            np.asarray(mask, "float32"),
            regions.labels[index],
        )

    return loaded_batches(
        draw, len(regions), load, [(*size, 3), size], batch_size
    ).map(lambda image, mask, label: ({"image": image, "mask": mask}, label))


def balanced_draw(labels, generator):
    """Returns as many numbers of `labels` as there are, classes balanced."""
    classes = generator.permutation(np.unique(labels))
    share, rest = divmod(len(labels), len(classes))
    drawn = []
    for position, label in enumerate(classes):
        members = np.flatnonzero(labels == label)
        count = share + (position < rest)
        rounds = -(-count // len(members))
        order = [generator.permutation(members) for _ in range(rounds)]
        drawn.append(np.concatenate(order)[:count] if order else members[:0])
    return generator.permutation(np.concatenate(drawn))


def _crop_box(mask, crop, generator):
    """Returns left, top, right and bottom of a crop, in pixels."""
    height, width = mask.shape
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    if crop is None or not len(rows):
        return 0, 0, width, height
    low, high = np.log(crop)
    box = (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)
    scale = (
        (low + high) / 2 if generator is None else generator.uniform(low, high)
    )
    side = np.exp(scale) * max(last - first for first, last in box)
    corners = []
    for (first, last), length in zip(box, mask.shape, strict=True):
        extent = min(side, length)
        # From where to where the crop may begin, to hold the whole region.
        earliest = max(last - extent, 0)
        latest = min(first, length - extent)
        if generator is None:
            start = np.clip((first + last - extent) / 2, earliest, latest)
        else:
            start = generator.uniform(earliest, latest)
        corners.append((start, start + extent))
    (top, bottom), (left, right) = corners
    return left, top, right, bottom


def _checked_size(size):
    pair = size if isinstance(size, (list, tuple)) else (size, size)
    if len(pair) != 2:
        raise ValueError(
            "`image_size` must be an integer or (height, width). Received: "
            f"image_size={size!r}."
        )
    return tuple(check_positive_integer("image_size", side) for side in pair)


def _checked_crop(crop):
    if crop is None:
        return None
    pair = crop if isinstance(crop, (list, tuple)) else (crop, crop)
    if (
        len(pair) != 2
        or not all(is_number(side) for side in pair)
        or not 1 <= pair[0] <= pair[1] < np.inf
    ):
        raise ValueError(
            "`crop` must be a number >= 1, a pair of them in order, or None. "
            f"Received: crop={crop!r}."
        )
    return pair
