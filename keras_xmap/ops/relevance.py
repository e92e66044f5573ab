from keras import ops

from keras_xmap._checks import check_single_map


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
    >>> keras_xmap.ops.relevance(attention).numpy()
    array([[[0.25, 0.  ]]])
    """
    return 1 - _without_channel(attention)


def _without_channel(attention):
    attention = ops.convert_to_tensor(attention)
    check_single_map("attention", attention.shape)
    if len(attention.shape) == 3:
        return attention
    return ops.squeeze(attention, -1 if attention.shape[-1] == 1 else 1)
