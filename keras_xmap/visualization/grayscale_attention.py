import numpy as np
from keras import ops

from keras_xmap._typing import Tensor
from keras_xmap.ops import relevance


def grayscale_attention(noise_mask: Tensor) -> np.ndarray:
    """Draws noise masks in 256 greys, the object dark, as the source does.

    `grey = round(255 * noise_mask)`

    The opposite of `ops.relevance`, and not stretched: black is a pixel that
    takes no noise at all, white one that takes all of it.

    Args:
        noise_mask: Masks in [0, 1], see `ops.relevance`.

    Returns:
        NumPy array `(batch, height, width)` of dtype uint8.

    Raises:
        ValueError: If `noise_mask` is not one map an image.

    References:
        - Li & Shimada, "Discovery of Image Pixels highly Contributing to
          CNN regression".

    Example:

    >>> noise_mask = np.array([[[[0.2], [1.0]]]])
    >>> keras_xmap.visualization.grayscale_attention(noise_mask)
    array([[[ 51, 255]]], dtype=uint8)
    """
    grey = ops.round(255.0 * ops.clip(1 - relevance(noise_mask), 0, 1))
    return ops.convert_to_numpy(ops.cast(grey, "uint8"))
