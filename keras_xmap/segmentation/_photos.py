"""What the functions on a photo and its maps share."""

import numpy as np
from skimage.transform import resize


def check_image(image):
    """Returns one image `(height, width, 1 or 3)` of 0 to 255, checked."""
    image = np.asarray(image)
    if image.dtype.kind not in "uif":
        raise TypeError(
            "`image` must hold integers or floats from 0 to 255. Received: "
            f"image.dtype={image.dtype}."
        )
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or not image.size:
        raise ValueError(
            "`image` must be (height, width), (height, width, 1) or (height, "
            f"width, 3). Received: image.shape={image.shape}. For several "
            "images pass a batch (batch, height, width, channels) or a list; "
            "for channels first pass np.moveaxis(image, 0, -1)."
        )
    low, high = float(image.min()), float(image.max())
    if not (low >= 0 and high <= 255):
        raise ValueError(
            "`image` must hold values from 0 to 255. Received: image with "
            f"values from {low:.6g} to {high:.6g}. Pass the photo as it was "
            "read, not as it was prepared for a network."
        )
    if image.dtype.kind == "f" and 0 < high <= 1:
        raise ValueError(
            "`image` must hold values from 0 to 255, and colours of 0 to 1 "
            "would all be alike. Received: image of floats with values from "
            f"{low:.6g} to {high:.6g}. Pass 255 * image."
        )
    return image


def check_map(map):
    """Returns one map `(height, width)` as float64, checked."""
    map = np.asarray(map)
    if map.dtype.kind not in "buif" or map.ndim != 2 or not map.size:
        raise ValueError(
            "`map` must be (height, width) of numbers. Received: "
            f"map.shape={map.shape}, map.dtype={map.dtype}. Index a batch or "
            "a class, map[0]; reduce the channels of an attribution, "
            "np.abs(map).max(axis=-1)."
        )
    map = map.astype("float64")
    if not np.isfinite(map).all():
        raise ValueError(
            "`map` must be finite. Received: map with NaN or infinite values."
        )
    return map


def fit_map(map, size):
    """Returns a map `(height, width)` at another size, linearly."""
    if map.shape == tuple(size):
        return map
    return resize(map, size, order=1, mode="edge", anti_aliasing=False)


def is_batch(image):
    """Returns whether these are several images: a list or an array of 4."""
    return isinstance(image, (list, tuple)) or np.ndim(image) == 4


def for_each(function, image, maps):
    """Returns the results of a batch: a list of a list, an array of arrays."""
    if len(image) != len(maps):
        raise ValueError(
            "There must be as many images as maps. Received: "
            f"len(image)={len(image)}, {len(maps)} entries of maps."
        )
    results = [function(*pair) for pair in zip(image, maps, strict=True)]
    if isinstance(image, (list, tuple)) or isinstance(maps, (list, tuple)):
        return results
    return np.stack(results) if results else np.asarray(maps)
