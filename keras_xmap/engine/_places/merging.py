"""Places that come together position by position, or one behind the other."""

import functools

import numpy as np

from keras_xmap.engine._places.places import EQUAL
from keras_xmap.engine._places.places import NEAR
from keras_xmap.engine._places.places import Coordinates
from keras_xmap.engine._places.places import Places
from keras_xmap.engine._places.places import Unknown


def merged(operands, shape):
    """Returns the places of a sum, product or choice of tensors.

    Args:
        operands: List of `Places` and `Unknown`, one at least.
        shape: Tuple of integers: the shape of the result.
    """
    result = None
    for operand in sorted(operands, key=lambda x: isinstance(x, Unknown)):
        if isinstance(operand, Unknown):
            result = _beside_unknown(result, operand)
        else:
            operand = at_rank(operand, len(shape))
            result = operand if result is None else _merged(result, operand)
        if isinstance(result, Unknown):
            return Unknown(result.reason, shape)
    return Places(shape, result.readings)


def at_rank(places, rank):
    """Returns places of more axes, in front, as in broadcasting."""
    missing = rank - len(places.shape)
    if not missing:
        return places
    return places.each(
        (1,) * missing + places.shape,
        lambda c: c.with_values(
            c.values.reshape(3, *(1,) * missing, *c.values.shape[1:])
        ),
    )


def _beside_unknown(places, unknown):
    """What is the same for all positions of a tensor moves none of them."""
    if places is None or unknown.shape is None:
        return unknown
    missing = len(places.shape) - len(unknown.shape)
    shape = (1,) * missing + tuple(unknown.shape)
    varies = {a for one in places.readings for c in one for a in c.varies}
    if varies and all(shape[axis] == 1 for axis in varies):
        return places
    return unknown


def _merged(one, other):
    if one.is_everywhere or other.is_everywhere:
        return other if one.is_everywhere else one
    readings = []
    for a in one.readings:
        for b in other.readings:
            readings += merged_readings(a, b)
    if not readings:
        return Unknown("places that lie far apart come together")
    return Places(one.shape, readings)


def merged_readings(a, b):
    """Returns the readings of two tensors together: none if they disagree."""
    pairs = list(zip(a, b, strict=True))
    if any(x.varies - y.varies and y.varies - x.varies for x, y in pairs):
        return [a, b]
    both = tuple(merged_coordinates(x, y) for x, y in pairs)
    return [] if None in both else [both]


def merged_coordinates(a, b):
    """Returns the `Coordinates` of two tensors together, `None` if far apart.

    One that varies along fewer axes says less, and gives way.
    """
    if a.varies != b.varies:
        return a if b.varies < a.varies else b
    if not a.varies or a.values is b.values:
        return a
    difference = np.abs(a.values[0] - b.values[0])
    furthest = np.fmax.reduce(difference, axis=None, initial=0)
    if furthest > NEAR * max(a.cell, b.cell):
        return None
    low = np.fmin(a.values[1], b.values[1])
    high = np.fmax(a.values[2], b.values[2])
    centre = _common_centre(a, b)
    return Coordinates(np.stack([centre, low, high]), min(a.cell, b.cell))


def _common_centre(a, b):
    """The finer grid tells where a position lies; equal ones their mean."""
    if a.cell * 1.5 < b.cell:
        middle = a.values[0]
    elif b.cell * 1.5 < a.cell:
        middle = b.values[0]
    else:
        middle = (a.values[0] + b.values[0]) / 2
    known = np.where(np.isnan(a.values[0]), b.values[0], a.values[0])
    return np.where(np.isnan(middle), known, middle)


def joined(operands, axis, lengths):
    """Returns the places of tensors laid one behind the other.

    Args:
        operands: List of `Places`, `Unknown`, or `None` for what is not made
            from the input; one `Places` at least.
        axis: Integer.
        lengths: List of integers: the size of each along `axis`.
    """
    unknown = [x for x in operands if isinstance(x, Unknown)]
    placed = [x for x in operands if isinstance(x, Places)]
    if unknown or not placed:
        return Unknown(unknown[0].reason)
    shape = list(placed[0].shape)
    shape[axis] = sum(lengths)
    runs_over = any(
        axis in coordinates.varies
        for x in placed
        for reading in x.readings
        for coordinates in reading
    )
    if not runs_over and not _are_apart(placed):
        together = merged(placed, shape)
        if isinstance(together, Places):
            return together
    if any(len(x.readings) > 1 for x in placed):
        return Unknown("tensors that may be read in several ways are joined")
    reading = [
        _joined([x and x.readings[0][k] for x in operands], axis, lengths)
        for k in range(len(placed[0].readings[0]))
    ]
    return Places(shape, [tuple(reading)])


def _are_apart(operands):
    """Whether tensors without positions stand for different places: frames."""
    readings = [x.readings[0] for x in operands]
    return any(
        not any(c.varies for c in along)
        and np.ptp([c.values[0].item() for c in along]) > EQUAL
        for along in zip(*readings, strict=True)
    )


def _joined(parts, axis, lengths):
    known = [part for part in parts if part is not None]
    moving = [part for part in known if part.varies]
    is_still = not moving
    moving = moving or known
    if not is_still and not any(axis in part.varies for part in moving):
        same = functools.reduce(
            lambda a, b: a and merged_coordinates(a, b), known
        )
        if same is not None:
            return same
    rank = known[0].values.ndim
    shape = np.broadcast_shapes(
        *[
            [
                1 if n == axis + 1 else length
                for n, length in enumerate(p.values.shape)
            ]
            for p in known
        ]
    )
    laid = []
    for part, length in zip(parts, lengths, strict=True):
        full = [length if n == axis + 1 else shape[n] for n in range(rank)]
        # What stands beside positions and has none itself has no place.
        values = part.values if part in moving else np.full((), np.nan)
        laid.append(np.broadcast_to(values, full))
    cell = max(part.cell for part in known)
    return Coordinates(np.concatenate(laid, axis + 1), cell)
