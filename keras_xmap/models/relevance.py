from keras import ops

from keras_xmap.losses.area_ratio import check_single_map


def relevance(attention):
    """Turns a map of where noise may go into one of what carries the answer.

    `relevance = 1 - attention`

    Bright means important, as in all maps of this package; the result goes
    into `keras_xmap.metrics` and `keras_xmap.visualization`.

    Args:
        attention: Maps in [0, 1] as `pixel_attention` makes them,
            `(batch, height, width)`, `(batch, height, width, 1)` or
            `(batch, 1, height, width)`.

    Returns:
        Tensor `(batch, height, width)`.

    Raises:
        ValueError: If `attention` is not one map an image.

    Example:

    >>> attention = np.array([[[[0.75], [1.0]]]])
    >>> keras_xmap.models.relevance(attention).numpy()
    array([[[0.25, 0.  ]]])
    """
    return 1 - _without_channel(attention)


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
    >>> keras_xmap.models.grayscale_attention(attention)
    array([[[ 51, 255]]], dtype=uint8)
    """
    grey = ops.round(255.0 * ops.clip(_without_channel(attention), 0, 1))
    return ops.convert_to_numpy(ops.cast(grey, "uint8"))


def _without_channel(attention):
    attention = ops.convert_to_tensor(attention)
    check_single_map("attention", attention.shape)
    if len(attention.shape) == 3:
        return attention
    return ops.squeeze(attention, -1 if attention.shape[-1] == 1 else 1)
