from collections.abc import Sequence

import numpy as np

from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.visualization._arrays import blocks_of_rows
from keras_xmap.visualization._arrays import check_finite
from keras_xmap.visualization._arrays import quantize

# Rounding leaves values such as 1.0000001 or -1e-9.
_RANGE_TOLERANCE = 1e-3


def to_uint8(
    image: ArrayLike, data_range: Sequence[float] | None = None
) -> np.ndarray:
    """Converts any usual image to RGB of 8 bits per channel.

    The scale of the values is never stretched: a dark image stays dark. It
    is read off the dtype and the values where they leave no doubt, and asked
    for otherwise:

    - bool: `False` is black, `True` white;
    - integers: 0 is black, 255 white; values outside are an error;
    - floats within 0..1: 0 is black, 1 white;
    - floats within 0..255 with a maximum above 2: 0 is black, 255 white;
    - all else, such as images in -1..1, with their mean subtracted, or of 16
      bits, is an error that asks for `data_range`.

    Args:
        image: Array `(height, width)`, `(height, width, 1)` for grayscale,
            `(height, width, 3)` for RGB or `(height, width, 4)` for RGBA,
            which is laid on white. Finite values.
        data_range: Pair `(low, high)` of the values that mean black and
            white, or `None` for the rules above. Values outside are clipped.
            An alpha channel is scaled like the colours. Defaults to `None`.

    Returns:
        A new uint8 array `(height, width, 3)`.

    Raises:
        TypeError: If `image` does not hold real numbers.
        ValueError: If the shape is another, a value is NaN or infinite, or
            the scale of the values is in doubt.

    Example:

    >>> keras_xmap.visualization.to_uint8(np.array([[0.0, 0.5, 1.0]]))[0, :, 0]
    array([  0, 128, 255], dtype=uint8)
    """
    image = _check_image(image)
    low, high = _black_and_white(image, data_range)
    result = np.empty((*image.shape[:2], 3), "uint8")
    for rows in blocks_of_rows(image):
        result[rows] = _scaled(image[rows], low, high)
    return result


def _scaled(image, low, high):
    """Returns the colours of some rows as integers, transparent ones white."""
    values = np.clip((image.astype("float64") - low) / (high - low), 0, 1)
    if values.shape[-1] == 4:
        alpha = values[..., 3:]
        values = alpha * values[..., :3] + (1 - alpha)
    return quantize(values)


def _check_image(image):
    image = as_array("image", image)
    shape = image.shape
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3, 4) or not image.size:
        remedy = ""
        if image.ndim == 4:
            remedy = " Index the batch: image[0]."
        elif image.ndim == 3 and shape[0] in (1, 3, 4):
            remedy = " For channels first pass np.moveaxis(image, 0, -1)."
        raise ValueError(
            "`image` must be one image of shape (height, width) or "
            "(height, width, 1, 3 or 4). "
            f"Received: image.shape={shape}.{remedy}"
        )
    check_finite("image", image)
    return image


def _black_and_white(image, data_range):
    if data_range is not None:
        return _check_range(data_range)
    low, high = float(image.min()), float(image.max())
    if image.dtype.kind == "b":
        return 0, 1
    if image.dtype.kind in "ui":
        if low >= 0 and high <= 255:
            return 0, 255
        expected = "within 0..255"
    else:
        if low >= -_RANGE_TOLERANCE and high <= 1 + _RANGE_TOLERANCE:
            return 0, 1
        slack = 255 * _RANGE_TOLERANCE
        if low >= -slack and 2 < high <= 255 + slack:
            return 0, 255
        expected = "within 0..1, or within 0..255 with a maximum above 2"
    raise ValueError(
        f"`image` of dtype {image.dtype} must hold values {expected}. "
        f"Received: image with values from {low:.6g} to {high:.6g}. "
        "Pass data_range=(low, high), the values that mean black and white."
    )


def _check_range(data_range):
    try:
        low, high = (float(value) for value in data_range)
    except (TypeError, ValueError):
        low = high = 0.0
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(
            "`data_range` must be a pair (low, high) of finite numbers with "
            f"low < high, or None. Received: data_range={data_range!r}."
        )
    return low, high
