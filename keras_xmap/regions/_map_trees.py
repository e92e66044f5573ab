"""Quadtrees of maps of integers, as the bits and values a file keeps.

A plane is covered by squares of `2**(num_levels - 1)` pixels from its upper
left corner on, cut at its border. From the largest squares down to those of 2
pixels, each square that is not within one known already has a bit: 1 for a
leaf, whose value follows, 0 for one that is divided in four. What is left at
the end are pixels, each a leaf. Bits and values stand level by level, plane by
plane, row by row.
"""

import numpy as np


def divide(codes, span, num_levels):
    """Returns the bits and the values of the quadtrees of planes.

    Args:
        codes: Integers `(planes, height, width)`.
        span: Integer >= 0: how much the codes of a leaf may differ. Its value
            is the one in the middle.
        num_levels: Integer >= 1: how many sizes of squares there are.

    Returns:
        Booleans, and integers of the dtype of `codes`.
    """
    lows, highs = [codes], [codes]
    for _ in range(num_levels - 1):
        lows.append(_pooled(lows[-1], np.minimum))
        highs.append(_pooled(highs[-1], np.maximum))
    bits, values = [np.zeros(0, bool)], []
    is_open = np.ones(lows[-1].shape, bool)
    for level in reversed(range(num_levels)):
        low, high = lows[level], highs[level]
        # Without a span, codes may be any: their differences could overflow.
        is_leaf = high - low <= span if span else high == low
        middle = low + (high - low) // 2 if span else low
        values.append(middle[is_open & is_leaf])
        if level:
            bits.append(is_leaf[is_open])
            size = lows[level - 1].shape[1:]
            is_open = _spread(is_open & ~is_leaf, size)
    return np.concatenate(bits), np.concatenate(values)


def join(bits, values, shape, num_levels):
    """Returns the planes `shape` that bits and values are of.

    Both may be longer, as bits that fill up a byte are.

    Raises:
        ValueError: If there are too few of them.
    """
    planes, *size = shape
    sizes = [size]
    for _ in range(num_levels - 1):
        sizes.append([-(-side // 2) for side in sizes[-1]])
    codes = np.zeros((planes, *sizes[-1]), values.dtype)
    is_open = np.ones(codes.shape, bool)
    for size in reversed(sizes):
        codes, is_open = _spread(codes, size), _spread(is_open, size)
        is_leaf = is_open.copy()
        if size is not sizes[0]:
            now, bits = _taken(bits, is_open)
            is_leaf[is_open] = now
        now, values = _taken(values, is_leaf)
        codes[is_leaf] = now
        is_open &= ~is_leaf
    return codes


def _pooled(x, reduce):
    """Returns `reduce` of squares of 2 x 2 pixels, cut at the border."""
    for axis in (1, 2):
        x = np.moveaxis(x, axis, 0)
        first, second = x[::2].copy(), x[1::2]
        paired = first[: len(second)]
        reduce(paired, second, out=paired)
        x = np.moveaxis(first, 0, axis)
    return x


def _spread(x, size):
    """Gives each of the four squares what the whole has, cut to `size`."""
    if list(x.shape[1:]) == list(size):
        return x
    return x.repeat(2, axis=1).repeat(2, axis=2)[:, : size[0], : size[1]]


def _taken(entries, where):
    """Returns as many entries as there are places, and the rest."""
    count = int(where.sum())
    if count > len(entries):
        raise ValueError(f"{count} entries expected, {len(entries)} received")
    return entries[:count], entries[count:]
