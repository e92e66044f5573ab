"""What the makers of label maps share: 0 background, class + 1, 255 doubt."""

import numpy as np

from keras_xmap._checks import is_integer
from keras_xmap._numeric import as_array
from keras_xmap.segmentation._images_and_maps import fit_map

IGNORED = 255
# The last class that has a label of its own below 255.
_LAST_CLASS = 253


def check_maps(maps):
    """Returns the maps of one image's classes, or their regions, checked."""
    maps = as_array("maps", maps)
    if maps.dtype.kind not in "buif" or maps.ndim != 3 or 0 in maps.shape[1:]:
        raise ValueError(
            "`maps` must be (classes, height, width) of numbers or booleans, "
            "or several of them in a batch (batch, classes, height, width) or "
            f"a list. Received: maps.shape={maps.shape}, maps.dtype="
            f"{maps.dtype}. For one class pass maps[:, None], for classes "
            "last np.moveaxis(maps, -1, -3)."
        )
    if not np.isfinite(maps).all():
        raise ValueError(
            "`maps` must be finite. Received: maps with NaN or infinite values."
        )
    return maps


def check_saliency(saliency):
    """Returns the saliency of one image, or its mask, checked."""
    saliency = as_array("saliency", saliency)
    is_map = saliency.dtype.kind in "buif" and saliency.ndim == 2
    if not is_map or not saliency.size or not np.isfinite(saliency).all():
        raise ValueError(
            "`saliency` must be (height, width) of finite numbers or "
            "booleans, or several of them in a batch (batch, height, width) "
            f"or a list, as the maps are. Received: saliency.shape="
            f"{saliency.shape}, saliency.dtype={saliency.dtype}."
        )
    return saliency


def check_classes(classes, maps):
    """Returns the labels of maps, 1 more than their classes, as an array."""
    if classes is None:
        classes = range(len(maps))
    several = isinstance(classes, (list, tuple, range, np.ndarray))
    is_scalar = isinstance(classes, np.ndarray) and not classes.ndim
    classes = list(classes) if several and not is_scalar else [classes]
    if (
        len(classes) != len(maps)
        or not all(is_integer(c) and 0 <= c <= _LAST_CLASS for c in classes)
        or len(set(classes)) < len(classes)
    ):
        raise ValueError(
            "`classes` must be a different integer from 0 to "
            f"{_LAST_CLASS} for each map of an image; labels are 1 more. "
            f"Received: classes={classes}, for {len(maps)} maps. A list for "
            "each of several images."
        )
    return np.array(classes, "uint8") + np.uint8(1)


def heights(maps, size):
    """Returns maps at a size, each as a share of its maximum, none below 0.

    A mask is 0 and 1, also where it was resized.
    """
    is_mask = maps.dtype == bool
    fitted = [fit_map(heatmap.astype("float64"), size) for heatmap in maps]
    fitted = np.reshape(fitted, (len(maps), *size))
    if is_mask:
        return (fitted >= 0.5).astype("float64")
    fitted = np.maximum(fitted, 0)
    highest = fitted.max(axis=(1, 2), keepdims=True)
    return fitted / np.where(highest > 0, highest, 1)


def salient(saliency, size, threshold):
    """Returns where the saliency of an image exceeds its threshold."""
    return heights(saliency[None], size)[0] > threshold


def is_batch(maps):
    """Returns whether these are maps of several images."""
    return isinstance(maps, (list, tuple)) or np.ndim(maps) == 4


def for_each_image(function, **values):
    """Calls a function with one entry of each value, `None` for `None`.

    Returns a list, or an array where all that was given are arrays.
    """
    lengths = {
        name: _num_entries(name, v)
        for name, v in values.items()
        if v is not None
    }
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"len({n})={size}" for n, size in lengths.items())
        raise ValueError(
            "There must be one entry for each image of all that is given. "
            f"Received: {received}."
        )
    (length,) = set(lengths.values())
    rows = [
        {name: None if v is None else v[row] for name, v in values.items()}
        for row in range(length)
    ]
    results = [function(**row) for row in rows]
    if all(isinstance(v, np.ndarray) for v in values.values() if v is not None):
        return np.stack(results) if results else np.zeros((0, 0, 0), "uint8")
    return results


def _num_entries(name, values):
    if isinstance(values, (list, tuple, range)):
        return len(values)
    shape = as_array(name, values).shape
    return shape[0] if shape else 1
