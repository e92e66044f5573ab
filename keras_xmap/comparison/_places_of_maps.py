"""Where in an image the energy of a map lies."""

import numpy as np

BORDER, CORNER = 0.1, 0.2  # of the width and of the height
GRID = 12  # cells along each axis of what is kept of a map
# Of a map whose pixels are alike it is one half.
FLAT = 0.6


def energy(maps):
    """Returns maps whose values are shares of what speaks for the class.

    Args:
        maps: Array `(batch, ...)`. What is negative counts as zero.

    Returns:
        Float64 array of the shape of `maps`; a map without a positive value
        stays zero.
    """
    maps = np.maximum(np.asarray(maps, "float64"), 0)
    axes = tuple(range(1, maps.ndim))
    # Divided by their peak first: the sum of large values stays finite.
    peak = maps.max(axis=axes, keepdims=True)
    maps = np.divide(maps, peak, out=np.zeros_like(maps), where=peak > 0)
    total = maps.sum(axis=axes, keepdims=True)
    return np.divide(maps, total, out=np.zeros_like(maps), where=total > 0)


def border(sizes, width):
    """Returns a boolean array: what is less than `width` from an edge.

    Args:
        sizes: Tuple of the sizes of a map.
        width: Float: share of each axis at either end.
    """
    return _near_ends(sizes, width).any(axis=0)


def corners(sizes, width):
    """Returns a boolean array: what is less than `width` from a corner."""
    return _near_ends(sizes, width).all(axis=0)


def _near_ends(sizes, width):
    near = []
    for axis, size in enumerate(sizes):
        middles = (np.arange(size) + 0.5) / size
        is_near = np.minimum(middles, 1 - middles) < width
        shape = [1] * len(sizes)
        shape[axis] = size
        near.append(np.broadcast_to(is_near.reshape(shape), sizes))
    return np.stack(near)


def share_in(maps, where):
    """Returns the share of each map that lies in a region, and its area.

    Args:
        maps: Array `(batch, ...)` as of `energy`.
        where: Array that broadcasts to it, 1 or true in the region.

    Returns:
        Two arrays `(batch,)`: the energy, and the part of the pixels, which
        is the energy that a flat map has.
    """
    where = np.broadcast_to(np.asarray(where, "float64"), maps.shape)
    axes = tuple(range(1, maps.ndim))
    return (maps * where).sum(axis=axes), where.mean(axis=axes)


def strongest_half(maps):
    """Returns the share of each map that its strongest half of pixels holds.

    Of a map whose pixels are alike it is one half; of a map of a single
    pixel, or of an object on an empty ground, 1.
    """
    flat = np.sort(maps.reshape(len(maps), -1), axis=1)
    half = flat.shape[1] / 2
    whole = int(half)
    upper = flat[:, flat.shape[1] - whole :].sum(axis=1)
    # Of an odd number of pixels, half of the one in the middle.
    return upper + (half - whole) * flat[:, -whole - 1]


def is_dominated(share, area):
    """Returns whether a region holds most of a map, for its area.

    That is more than half of the way from a flat map's share to all of it.
    """
    return share > (1 + area) / 2


def excess(share, area):
    """Returns 0 for the share that a flat map has, 1 for all of the map."""
    room = np.maximum(1 - area, np.finfo("float64").eps)
    return np.clip((share - area) / room, 0, 1)


def on_grid(maps, cells=GRID):
    """Returns maps as they are on a coarse grid, their energy kept.

    Args:
        maps: Array `(batch, ...)` as of `energy`.
        cells: Integer: cells along each axis.

    Returns:
        Array `(batch, cells, ...)`: of each cell the energy in it; a pixel
        that lies in two cells is split by area.
    """
    for axis in range(1, maps.ndim):
        overlap = _overlaps(maps.shape[axis], cells)
        maps = np.moveaxis(np.tensordot(maps, overlap, (axis, 0)), -1, axis)
    return maps


def _overlaps(size, cells):
    """Returns the part of each pixel that lies in each cell."""
    pixels = np.arange(size)[:, None] / size
    edges = np.arange(cells)[None] / cells
    low = np.maximum(pixels, edges)
    high = np.minimum(pixels + 1 / size, edges + 1 / cells)
    return np.maximum(high - low, 0) * size
