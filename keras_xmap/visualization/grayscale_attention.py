from keras import ops

from keras_xmap.ops import relevance


def grayscale_attention(attention):
    """Draws maps in 256 greys, the object dark, as the source prints them.

    `grey = round(255 * attention)`

    The opposite of `relevance`, and not stretched: black is a pixel that
    takes no noise at all, white one that takes all of it.

    Args:
        attention: Maps in [0, 1], see `relevance`.

    Returns:
        NumPy array `(batch, height, width)` of dtype uint8.

    Raises:
        ValueError: If `attention` is not one map an image.

    References:
        - Li & Shimada, "Discovery of Image Pixels highly Contributing to
          CNN regression".

    Example:

    >>> attention = np.array([[[[0.2], [1.0]]]])
    >>> keras_xmap.visualization.grayscale_attention(attention)
    array([[[ 51, 255]]], dtype=uint8)
    """
    grey = ops.round(255.0 * ops.clip(1 - relevance(attention), 0, 1))
    return ops.convert_to_numpy(ops.cast(grey, "uint8"))
