"""Where the leaves of quadtrees lie, read from the levels of the pixels."""

import keras
from keras import ops

from keras_xmap._axes import check_data_format
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import DataFormat


def as_pixels(x, data_format: DataFormat | None):
    """Returns `x` as `(batch, height, width, channels)`.

    Half precision becomes float32, and booleans int32.
    """
    data_format = check_data_format(data_format)
    x = as_tensor("x", x)
    if len(x.shape) not in (3, 4):
        raise ValueError(
            "`x` must hold maps (batch, height, width), or images with an "
            f"axis of channels besides. Received: x.shape={tuple(x.shape)}. "
            "One map needs a batch axis: x[None]."
        )
    dtype = keras.backend.standardize_dtype(x.dtype)
    if dtype == "bool":
        x = ops.cast(x, "int32")
    elif keras.backend.is_float_dtype(dtype):
        x = ops.cast(x, keras.backend.result_type(dtype, "float32"))
    if len(x.shape) == 3:
        return x[..., None]
    return ops.moveaxis(x, 1, -1) if data_format == "channels_first" else x


def integers_that_hold(dtype):
    """Returns integers that hold differences of those of `dtype`."""
    dtype = keras.backend.standardize_dtype(dtype)
    return "int64" if dtype in ("int64", "uint32", "uint64") else "int32"


def as_levels(levels, num_levels=31):
    """Returns `levels` as an int32 tensor `(batch, height, width)`."""
    levels = as_tensor("levels", levels)
    if len(levels.shape) != 3 or not keras.backend.is_int_dtype(levels.dtype):
        raise ValueError(
            "`levels` must be integers (batch, height, width), as "
            "`ops.quadtree` returns them. Received: levels.shape="
            f"{tuple(levels.shape)}, levels.dtype="
            f"{keras.backend.standardize_dtype(levels.dtype)}."
        )
    levels = ops.cast(levels, "int32")
    within = ops.logical_and(levels >= 0, levels < num_levels)
    if not may_hold(ops.all(within)):
        raise ValueError(
            f"`levels` must be from 0 to {num_levels - 1}. Received: levels "
            f"from {int(ops.min(levels))} to {int(ops.max(levels))}."
        )
    first = ops.take(ops.reshape(levels, (-1,)), first_pixel(levels))
    # Squares within others would be counted twice.
    area = ops.sum(ops.where(corners(levels), _areas(levels), 0))
    is_tree = ops.logical_and(ops.all(first == levels), area == ops.size(first))
    if not may_hold(is_tree):
        raise ValueError(
            "`levels` must be those of a quadtree: the same in all pixels of "
            "a leaf. Received: levels that differ within a square of 2**level "
            "pixels a side. Make them by `ops.quadtree`, and crop or flip "
            "images before, not the levels."
        )
    return levels


def corners(levels):
    """Returns which pixels are the first of their leaf, by row and column."""
    down, across = _places(levels)
    side = ops.left_shift(ops.ones_like(levels), levels)
    return ops.logical_and(down % side == 0, across % side == 0)


def leaf_numbers(levels):
    """Returns the number of the leaf of each pixel, `(batch, height, width)`.

    Leaves are counted through the batch, row by row of their first pixels.
    """
    first = ops.reshape(corners(levels), (-1,))
    numbers = ops.cumsum(ops.cast(first, "int32")) - 1
    return ops.take(numbers, first_pixel(levels))


def check_number_of_values(values, numbers):
    """Raises, where it can be known, if there is not one value a leaf."""
    found, given = ops.max(numbers) + 1, values.shape[0]
    if given is not None and not may_hold(found == given):
        raise ValueError(
            "`values` must have one row for each leaf of `levels`. Received: "
            f"values.shape={tuple(values.shape)} for {int(found)} leaves."
        )


def first_pixel(levels):
    """Returns the first pixel of each pixel's leaf: its place in the batch."""
    batch, height, width = ops.shape(levels)
    down, across = _places(levels)
    side = ops.left_shift(ops.ones_like(levels), levels)
    image = ops.arange(batch, dtype="int32")[:, None, None]
    row = image * height + down - down % side
    return row * width + across - across % side


def _areas(levels):
    """Returns what the square of each pixel's leaf has on the image.

    That of the first pixels is right.
    """
    _, height, width = ops.shape(levels)
    down, across = _places(levels)
    side = ops.left_shift(ops.ones_like(levels), levels)
    return ops.minimum(side, height - down) * ops.minimum(side, width - across)


def _places(levels):
    _, height, width = ops.shape(levels)
    down = ops.arange(height, dtype="int32")[:, None]
    return down, ops.arange(width, dtype="int32")


def may_hold(condition):
    """Returns whether a scalar is true, or not known while tracing."""
    try:
        return bool(condition)
    except TypeError:
        return True


def divided(x, size):
    """Gives each of the four squares what the whole has, cut to `size`."""
    for axis, length in enumerate(size, 1):
        x = ops.take(x, ops.arange(length) // 2, axis=axis)
    return x


def halves(x, axis, length):
    """Returns the first and the second of each pair along an axis.

    Where there is no second one, the first stands for it.
    """
    first = 2 * ops.arange((length + 1) // 2)
    second = ops.minimum(first + 1, length - 1)
    return ops.take(x, first, axis=axis), ops.take(x, second, axis=axis)
