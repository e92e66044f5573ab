"""What the functions on photos and their maps share."""

import numpy as np

from keras_xmap._numeric import as_array


def check_image(image):
    """Returns one image `(height, width, 1 or 3)` of 0 to 255, checked.

    An opaque alpha channel, as files of pictures have one, is left out.
    """
    image = as_array("images", image)
    if image.dtype.kind not in "uif":
        raise TypeError(
            "`images` must hold integers or floats from 0 to 255. Received: "
            f"image.dtype={image.dtype}."
        )
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 2, 3, 4) or not image.size:
        raise ValueError(
            "`images` must be (height, width), (height, width, 1) or (height, "
            "width, 3), also with an opaque alpha channel, or several of them "
            "in a batch (batch, height, width, channels) or a list. Received: "
            f"image.shape={image.shape}. For channels first pass "
            "np.moveaxis(image, 0, -1)."
        )
    low, high = float(image.min()), float(image.max())
    if not (low >= 0 and high <= 255):
        raise ValueError(
            "`images` must hold values from 0 to 255. Received: image with "
            f"values from {low:.6g} to {high:.6g}. Pass the photo as it was "
            "read, not as it was prepared for a network."
        )
    if image.dtype.kind == "f" and 0 < high <= 1:
        raise ValueError(
            "`images` must hold values from 0 to 255, and colours of 0 to 1 "
            "would all be alike. Received: image of floats with values from "
            f"{low:.6g} to {high:.6g}. Pass 255 * image."
        )
    return _without_alpha(image)


def _without_alpha(image):
    """Returns the colours of an image, which must be seen whole."""
    if image.shape[-1] in (1, 3):
        return image
    colors, alpha = image[..., :-1], image[..., -1]
    if not (alpha == 255).all():
        raise ValueError(
            "`images` must be opaque: the colour of a transparent pixel is "
            "that of what lies behind it. Received: image of shape "
            f"{image.shape} with values of alpha from {float(alpha.min()):.6g} "
            f"to {float(alpha.max()):.6g}. Lay it over a background, white for "
            "example, where alpha goes to 255: alpha = image[..., -1:] / 255; "
            "image = alpha * image[..., :-1] + (1 - alpha) * 255."
        )
    return colors


def check_map(heatmap):
    """Returns one map `(height, width)`, checked, booleans as they are."""
    heatmap = as_array("maps", heatmap)
    is_numeric = heatmap.dtype.kind in "buif"
    if not is_numeric or heatmap.ndim != 2 or not heatmap.size:
        raise ValueError(
            "`maps` must be (height, width) of numbers, or several of them in "
            "a batch (batch, height, width) or a list. Received: map.shape="
            f"{heatmap.shape}, map.dtype={heatmap.dtype}. Index the classes, "
            "maps[:, 0]; reduce the channels of an attribution, "
            "np.abs(maps).max(axis=-1)."
        )
    if not np.isfinite(heatmap).all():
        raise ValueError(
            "`maps` must be finite. Received: map with NaN or infinite values."
        )
    return heatmap


def check_class_maps(maps):
    """Returns the maps of one image's classes as an array, checked."""
    maps = as_array("maps", maps)
    if maps.dtype.kind not in "buif" or maps.ndim != 3 or not maps.size:
        raise ValueError(
            "`maps` must be (classes, height, width) of numbers, or several "
            "of them in a batch (batch, classes, height, width) or a list. "
            f"Received: maps.shape={maps.shape}, maps.dtype={maps.dtype}. "
            "For one class pass maps[:, None], for classes last "
            "np.moveaxis(maps, -1, -3)."
        )
    low = float(maps.min())  # NaN if one is
    if not (low >= 0 and np.isfinite(maps).all()):
        raise ValueError(
            "`maps` must hold finite values >= 0. Received: maps with values "
            f"from {low:.6g} to {float(maps.max()):.6g}. Explanation maps "
            "become probabilities by `segmentation.to_probabilities`, logits "
            "by `keras.ops.softmax`."
        )
    return maps


def fit_map(heatmap, size):
    """Returns a map `(height, width)` at another size, linearly."""
    from skimage.transform import resize

    if heatmap.shape == tuple(size):
        return heatmap
    return resize(heatmap, size, order=1, mode="edge", anti_aliasing=False)


def is_batch(images):
    """Returns whether these are several images: a list or an array of 4."""
    return isinstance(images, (list, tuple)) or np.ndim(images) == 4


def entries(name, values):
    """Returns several images or maps: a list, or an array of them."""
    if isinstance(values, (list, tuple)):
        return values
    values = as_array(name, values)
    return values if values.ndim else values.reshape(1)


def for_each(function, images, maps):
    """Returns the results of a batch: a list of a list, an array of arrays."""
    images, maps = entries("images", images), entries("maps", maps)
    if len(images) != len(maps):
        raise ValueError(
            "There must be as many images as maps. Received: "
            f"len(images)={len(images)}, len(maps)={len(maps)}."
        )
    results = [function(*pair) for pair in zip(images, maps, strict=True)]
    if isinstance(images, (list, tuple)) or isinstance(maps, (list, tuple)):
        return results
    return np.stack(results) if results else np.asarray(maps)
