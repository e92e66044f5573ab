"""Convolution of values on the leaves of quadtrees, and its gradient.

Written out, so that training keeps the values alone: what is gathered around
the leaves, nine times as much, is gathered anew on the way back.
"""

import keras
from keras import ops


def convolve(values, matrix, table):
    """Returns the convolution `(batch, slots, filters)` of leaves.

    Args:
        values: Tensor `(batch, slots, channels)`.
        matrix: Tensor `(cells * channels, filters)`, the kernel row by row.
        table: See `ops.quadtree_table`.
    """
    cells = matrix.shape[0] // values.shape[-1]
    neighbors = _within(table["neighbors"], cells)

    @ops.custom_gradient
    def convolved(values, matrix):
        gathered = _gathered(values, table, neighbors)
        shape = (*ops.shape(values)[:2], matrix.shape[-1])

        # Backends pass the gradient by position or by this name.
        def gradient(*args, upstream=None):
            upstream = args[-1] if upstream is None else upstream
            return _gradients(values, matrix, table, neighbors, upstream)

        return ops.reshape(ops.matmul(gathered, matrix), shape), gradient

    return convolved(values, matrix)


def means_of_leaves(features, table):
    """Returns the means of `(batch, height, width, channels)` over leaves."""
    batch, height, width, channels = ops.shape(features)
    rows = ops.reshape(features, (batch, height * width, channels))
    rows = ops.cast(rows, _wide(rows.dtype))
    numbers = ops.reshape(table["numbers"], (batch, height * width))
    sums = sums_at(rows, numbers, ops.shape(table["filled"])[1])
    return sums / ops.cast(areas(table), sums.dtype)[..., None]


def areas(table):
    """Returns the pixels of each leaf that are on the image, 1 without one."""
    height, width = ops.shape(table["numbers"])[1:]
    row, column, level = (table["leaves"][..., i] for i in range(3))
    side = ops.left_shift(ops.ones_like(level), level)
    return ops.minimum(side, height - row) * ops.minimum(side, width - column)


def place(numbers, length):
    """Returns numbers that count through the batch, not within an image."""
    images = ops.arange(ops.shape(numbers)[0], dtype="int32")
    shape = (-1, *[1] * (len(numbers.shape) - 1))
    return numbers + ops.reshape(images, shape) * length


def rows_at(values, numbers):
    """Returns the rows of `(batch, rows, channels)` at numbers of each image.

    The number after the last row stands for zeros.
    """
    values = ops.pad(values, ((0, 0), (0, 1), (0, 0)))
    length, channels = ops.shape(values)[1], values.shape[-1]
    rows = ops.reshape(values, (-1, channels))
    return ops.take(rows, place(numbers, length), axis=0)


def sums_at(values, numbers, length):
    """Returns the sums of rows that have the same number, `length` of them.

    What has the number after the last is left out. The way back of `rows_at`.
    """
    batch, channels = ops.shape(values)[0], values.shape[-1]
    numbers = ops.reshape(place(numbers, length + 1), (-1,))
    # Many small leaves may lie around a large one.
    rows = ops.cast(ops.reshape(values, (-1, channels)), _wide(values.dtype))
    sums = ops.segment_sum(rows, numbers, batch * (length + 1))
    sums = ops.reshape(sums, (batch, length + 1, channels))
    return ops.cast(sums[:, :length], values.dtype)


def maxima_at(values, numbers, length):
    """Returns the largest of rows that have the same number."""
    batch, channels = ops.shape(values)[0], values.shape[-1]
    numbers = ops.reshape(place(numbers, length + 1), (-1,))
    rows = ops.reshape(values, (-1, channels))
    maxima = ops.segment_max(rows, numbers, batch * (length + 1))
    maxima = ops.reshape(maxima, (batch, length + 1, channels))
    return maxima[:, :length]


def slots_at_half(table, pooled_table):
    """Returns in which slot of the image of half the size each leaf lies."""
    height, width = ops.shape(pooled_table["numbers"])[1:]
    nothing = ops.shape(pooled_table["filled"])[1]
    row, column = (table["leaves"][..., i] // 2 for i in range(2))
    numbers = ops.reshape(pooled_table["numbers"], (-1,))
    found = ops.take(numbers, place(row * width + column, height * width))
    return ops.where(table["filled"], found, nothing)


def _wide(dtype):
    return keras.backend.result_type(dtype, "float32")


def _within(neighbors, cells):
    """Returns the neighbors that a smaller kernel has around the middle."""
    if neighbors.shape[-1] == cells:
        return neighbors
    side, of_kernel = (round(x**0.5) for x in (neighbors.shape[-1], cells))
    first = (side - of_kernel) // 2
    steps = range(first, first + of_kernel)
    picked = [row * side + column for row in steps for column in steps]
    return ops.take(neighbors, ops.convert_to_tensor(picked, "int32"), axis=-1)


def _gathered(values, table, neighbors):
    """Returns the values around each leaf, `(leaves, cells * channels)`."""
    nodes = _with_means(values, table)
    rows = rows_at(nodes, neighbors)
    return ops.reshape(rows, (-1, neighbors.shape[-1] * values.shape[-1]))


def _gradients(values, matrix, table, neighbors, upstream):
    """Returns the gradients in the values and in the kernel."""
    upstream = ops.reshape(upstream, (-1, matrix.shape[-1]))
    gathered = _gathered(values, table, neighbors)
    in_matrix = ops.matmul(ops.transpose(gathered), upstream)
    in_gathered = ops.matmul(upstream, ops.transpose(matrix))
    batch, slots, channels = ops.shape(values)
    rows = slots * neighbors.shape[-1]
    in_nodes = sums_at(
        ops.reshape(in_gathered, (batch, rows, channels)),
        ops.reshape(neighbors, (batch, rows)),
        slots + sum(_divided(table)),
    )
    return _without_means(in_nodes, table, slots), in_matrix


def _divided(table):
    """Returns how many slots there are for divided cells of each level."""
    return [ops.shape(numbers)[1] for numbers in table["parents"][1:]]


def _with_means(values, table):
    """Returns the values with the means over the divided cells behind them.

    From the leaves each goes into the cell around it, and from there, level
    by level, into the larger ones.
    """
    sizes = _divided(table)
    if not sizes:
        return values
    parents, shares = table["parents"], _shares(table, values.dtype)
    sums = sums_at(values * shares[0], parents[0], sum(sizes))
    levels, start = [], 0
    for level, size in enumerate(sizes, 1):
        own = sums[:, start : start + size]
        if levels:
            below = levels[-1] * shares[level - 1]
            own = own + sums_at(below, parents[level - 1], size)
        levels.append(own)
        start += size
    return ops.concatenate([values, *levels], axis=1)


def _without_means(gradient, table, slots):
    """Returns a gradient in what `_with_means` returns as one in values."""
    in_values, sizes = gradient[:, :slots], _divided(table)
    if not sizes:
        return in_values
    parents, shares = table["parents"], _shares(table, gradient.dtype)
    levels, end = [], slots + sum(sizes)
    for level, size in reversed(list(enumerate(sizes, 1))):
        own = gradient[:, end - size : end]
        if levels:
            own = own + rows_at(levels[0], parents[level]) * shares[level]
        levels.insert(0, own)
        end -= size
    above = ops.concatenate(levels, axis=1)
    return in_values + rows_at(above, parents[0]) * shares[0]


def _shares(table, dtype):
    return [ops.cast(x, dtype)[..., None] for x in table["shares"]]
