import math

import keras
from keras import ops

from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_share
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Number
from keras_xmap._typing import Tensor


def global_weighted_rank_pooling(
    maps: Tensor, decay: Number, reference_size: int | None = None
) -> Tensor:
    """Pools each channel by the rank of its values, the highest first.

    With the values of a channel in descending order, `x_0 >= x_1 >= ...`,

    `y = sum_j d^j x_j / sum_j d^j`

    Between the maximum, `d = 0`, and the mean, `d = 1`: how far the weight
    reaches says how much of a map a class is expected to cover. The share
    that it reaches depends on the number of positions, so that a decay is
    told for maps of one size; `reference_size` carries it to any other `n`:

    `d = decay^(reference_size / n)`

    Args:
        maps: Tensor `(batch, height, width, channels)`. Sizes may be unknown
            while a function is traced.
        decay: Float from 0 to 1.
        reference_size: Integer >= 1, the number of positions of the maps that
            `decay` is told for, or `None`, for maps of the size that they
            have. Defaults to `None`.

    Returns:
        Tensor `(batch, channels)` of the float dtype of `maps`, computed in
        float32 at least.

    Raises:
        ValueError: If `maps` does not have four axes, or if an option is out
            of its range.

    References:
        - [Kolesnikov & Lampert, 2016](https://arxiv.org/abs/1603.06098)

    Example:

    >>> x = np.reshape([0.1, 0.4, 0.2, 0.3], (1, 2, 2, 1))
    >>> y = keras_xmap.ops.global_weighted_rank_pooling(x, decay=0.5)
    >>> round(float(y[0, 0]), 4)  # (.4 + .3 / 2 + .2 / 4 + .1 / 8) / 1.875
    0.3267
    """
    decay = check_share("decay", decay, "0 is the maximum, 1 the mean.")
    check_optional(check_positive_integer, "reference_size", reference_size)
    maps = as_tensor("maps", maps)
    if len(maps.shape) != 4:
        raise ValueError(
            "`maps` must be (batch, height, width, channels). Received: "
            f"maps.shape={tuple(maps.shape)}."
        )
    is_float = keras.backend.is_float_dtype(maps.dtype)
    dtype = maps.dtype if is_float else keras.config.floatx()
    maps = ops.cast(maps, keras.backend.result_type(dtype, "float32"))
    if decay == 0:
        pooled = ops.max(maps, axis=(1, 2))
    elif decay == 1:
        pooled = ops.mean(maps, axis=(1, 2))
    else:
        pooled = _by_rank(maps, decay, reference_size)
    return ops.cast(pooled, dtype)


def _by_rank(maps, decay, reference_size):
    batch, height, width, channels = ops.shape(maps)
    num_positions = height * width
    ranks = ops.cast(ops.arange(num_positions), maps.dtype)
    # The logarithm keeps what a decay near 1 would lose in float32.
    log_decay = math.log(decay)
    if reference_size is not None:
        ranks = ranks / ops.cast(num_positions, maps.dtype)
        log_decay *= reference_size
    weights = ops.flip(ops.exp(log_decay * ranks))
    values = ops.reshape(maps, (batch, num_positions, channels))
    values = ops.sort(values, axis=1)
    weights = weights / ops.sum(weights)
    return ops.sum(weights[:, None] * values, axis=1)
