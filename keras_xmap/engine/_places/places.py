"""The places of a tensor's positions, and the arrays that hold them."""

import numpy as np

# Places this many cells of the grid apart still count as one place: what the
# branches of a block, or the taps of a convolution, differ by.
NEAR = 2.5
# Centres are compared to this fraction of a pixel.
EQUAL = 1e-4


class Coordinates:
    """The places of a tensor's positions along one axis of an input.

    Args:
        values: Float array `(3, *shape)`: centre, lowest and highest pixel.
        cell: Float: the distance of neighbouring positions, at the coarsest
            grid that they have passed.
    """

    __slots__ = ("cell", "values")

    def __init__(self, values, cell):
        for axis in range(1, values.ndim):
            if values.shape[axis] > 1:
                first = values.take([0], axis)
                same = (values == first) | (np.isnan(values) & np.isnan(first))
                if same.all():
                    values = first
        self.values = values
        self.cell = cell

    @property
    def varies(self):
        """Set of the tensor's axes along which places differ."""
        shape = self.values.shape[1:]
        return {axis for axis, length in enumerate(shape) if length > 1}

    def with_values(self, values):
        return Coordinates(values, self.cell)


class Places:
    """Where the positions of a tensor lie.

    Attributes:
        shape: Tuple of integers: the shape of the tensor.
        readings: List of tuples of `Coordinates`, one an axis of the input.
            There are several where axes of the tensor may be read in several
            ways: the scores of an attention lie where the query does, row by
            row, and where the key does, column by column.
    """

    def __init__(self, shape, readings):
        self.shape = tuple(int(length) for length in shape)
        self.readings = readings

    def each(self, shape, function):
        """Returns the places of `shape` by a function of `Coordinates`."""
        return Places(
            shape,
            [tuple(function(axis) for axis in one) for one in self.readings],
        )

    @property
    def is_everywhere(self):
        """Whether no axis runs over positions any more."""
        return not any(axis.varies for one in self.readings for axis in one)


class Unknown:
    """Stands for places that could not be followed.

    Attributes:
        reason: String: what made them unknown.
        shape: Tuple of integers, or `None`.
    """

    def __init__(self, reason, shape=None):
        self.reason = reason
        self.shape = shape


def places_of_input(shape, axes):
    """Returns the `Places` of an input of this shape, by these of its axes."""
    reading = []
    for axis in axes:
        length = shape[axis]
        line = [-1 if n == axis else 1 for n in range(len(shape))]
        pixel = np.arange(length, dtype="float64").reshape(line)
        reading.append(Coordinates(np.stack([pixel] * 3), 1.0))
    return Places(shape, [tuple(reading)])


def with_length(places, axis, count):
    """Returns the places with another size of an axis that moves none."""
    if isinstance(places, Unknown):
        return places
    shape = list(places.shape)
    shape[axis] = count
    return Places(shape, places.readings)
