import numpy as np
from keras import ops


def counts_above(shares, masks, thresholds):
    """Counts the pixels that exceed each of some thresholds, and the object's.

    Args:
        shares: Tensor `(batch, height, width)`, maps divided by their maxima.
        masks: Tensor of the same shape and dtype, 0 or 1.
        thresholds: Array `(num_thresholds,)`, rising.

    Returns:
        Tensor `(batch, 1 + num_thresholds, 2)`: of all pixels, then of those
        whose share is above each threshold, how many there are and how many
        of them are on the object. What is 0 or less exceeds none.
    """
    num_levels = len(thresholds) + 1
    # The level of a pixel is the number of thresholds it exceeds: of the next
    # numbers above them, subnormal ones left out, that it reaches.
    smallest = np.finfo(thresholds.dtype).tiny
    bins = np.maximum(
        np.nextafter(thresholds, thresholds.dtype.type(2)), smallest
    )
    levels = ops.digitize(shares, bins)
    batch = ops.shape(levels)[0]
    first = ops.reshape(ops.arange(batch) * num_levels, (-1, 1, 1))
    bins = ops.reshape(levels + ops.cast(first, levels.dtype), (-1,))
    pixels = ops.stack([ops.ones_like(masks), masks], axis=-1)
    counts = ops.segment_sum(
        ops.reshape(pixels, (-1, 2)), bins, num_segments=batch * num_levels
    )
    counts = ops.reshape(counts, (-1, num_levels, 2))
    return ops.flip(ops.cumsum(ops.flip(counts, 1), axis=1), 1)
