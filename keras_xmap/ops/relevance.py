from keras import ops

from keras_xmap._checks import check_single_map
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Tensor


def relevance(noise_mask: Tensor) -> Tensor:
    """Turns a mask of where noise may go into a map of what matters.

    `relevance = 1 - noise_mask`

    Bright means important, as in all maps of this package; the result goes
    into `keras_xmap.metrics` and `keras_xmap.visualization`.

    Args:
        noise_mask: Masks in [0, 1], the output `"noise_mask"` of
            `pixel_attention`: `(batch, height, width)`, `(batch, height,
            width, 1)` or `(batch, 1, height, width)`.

    Returns:
        Tensor `(batch, height, width)`.

    Raises:
        ValueError: If `noise_mask` is not one map an image.

    Example:

    >>> noise_mask = np.array([[[[0.75], [1.0]]]])
    >>> np.asarray(keras_xmap.ops.relevance(noise_mask))
    array([[[0.25, 0.  ]]])
    """
    return 1 - _without_channel(noise_mask)


def _without_channel(noise_mask):
    noise_mask = as_tensor("noise_mask", noise_mask)
    remedy = "Index one channel, such as noise_mask[..., 0]."
    check_single_map("noise_mask", noise_mask.shape, remedy)
    if len(noise_mask.shape) == 3:
        return noise_mask
    return ops.squeeze(noise_mask, -1 if noise_mask.shape[-1] == 1 else 1)
