"""Places that move with their positions: other axes, orders and shapes."""

import numpy as np


def transposed(places, order):
    """Returns the places with axes in another order."""
    along = (0, *[axis + 1 for axis in order])
    return places.each(
        [places.shape[axis] for axis in order],
        lambda c: c.with_values(c.values.transpose(along)),
    )


def without(places, axes):
    """Returns the places with axes of size 1 taken away."""
    shape = [n for axis, n in enumerate(places.shape) if axis not in axes]
    gone = tuple(axis + 1 for axis in axes)
    return places.each(shape, lambda c: c.with_values(c.values.squeeze(gone)))


def indexed(places, keys):
    """Returns `places[keys]`: integers, slices, arrays and `None`, one an axis.

    Arrays count on one axis only.
    """
    axes = [axis for axis, key in enumerate(k for k in keys if k is not None)]
    shape, spots, axis = [], [], 0
    for key in keys:
        if key is None:
            shape.append(1)
            continue
        length = places.shape[axes[axis]]
        spots.append(np.arange(length)[key])
        if not isinstance(key, (int, np.integer)):
            shape.extend(np.shape(spots[-1]))
        axis += 1

    def of_coordinates(coordinates):
        values, at = coordinates.values, 1
        for key, spot in _beside_keys(keys, spots):
            if key is None:
                values = np.expand_dims(values, at)
                at += 1
                continue
            if values.shape[at] == 1:
                spot = np.zeros([1] * np.ndim(spot), int)
            values = values.take(spot, axis=at)
            at += np.ndim(spot)
        return coordinates.with_values(values)

    return places.each(shape, of_coordinates)


def _beside_keys(keys, spots):
    spots = iter(spots)
    return [(key, None if key is None else next(spots)) for key in keys]


def reshaped(places, shape):
    """Returns the places of the tensor in another shape."""
    groups = _matching_axes(places.shape, shape)

    def of_coordinates(coordinates):
        values, full = coordinates.values, [3]
        wanted = [3]
        for old, new in groups:
            lengths = [places.shape[axis] for axis in old]
            if all(values.shape[axis + 1] == 1 for axis in old):
                full += [1] * len(old)
                wanted += [1] * len(new)
            else:
                full += lengths
                wanted += [shape[axis] for axis in new]
        values = np.broadcast_to(values, full)
        return coordinates.with_values(values.reshape(wanted))

    return places.each(shape, of_coordinates)


def _matching_axes(old, new):
    """Returns the shortest runs of axes that hold the same in both shapes."""
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        first = i, j
        one = other = 1
        if i < len(old):
            one, i = old[i], i + 1
        if j < len(new):
            other, j = new[j], j + 1
        while one != other:
            if one < other:
                one, i = one * old[i], i + 1
            else:
                other, j = other * new[j], j + 1
        groups.append((range(first[0], i), range(first[1], j)))
    return groups


def moved(places, index):
    """Returns the places of elements taken from anywhere in a tensor.

    Args:
        places: `Places` before.
        index: Integer array of the new shape: which element of the tensor, as
            it lies in memory, counted from 1; 0 for none.
    """
    spots = np.unravel_index(np.maximum(index - 1, 0), places.shape)

    def of_coordinates(coordinates):
        shape = coordinates.values.shape[1:]
        at = [
            spot if length > 1 else 0
            for spot, length in zip(spots, shape, strict=True)
        ]
        values = coordinates.values[tuple([slice(None)] + at)]
        values = np.broadcast_to(
            values.reshape(3, *(values.shape[1:] or (1,) * index.ndim)),
            (3, *index.shape),
        )
        return coordinates.with_values(np.where(index > 0, values, np.nan))

    return places.each(index.shape, of_coordinates)
