"""Where the positions of a tensor lie in an input: coordinates ride along.

For every axis of an input that holds positions, each position of a tensor has
three numbers in pixels of the input: the middle of what it sees, and the
lowest and the highest pixel of it. They are NumPy arrays that broadcast to the
shape of the tensor: where they are the same along an axis, as along channels,
they have size 1 there. NaN stands for no place: a class token has no centre,
a position of mere padding sees no pixel.
"""

import functools

import numpy as np

# Places this many cells of the grid apart still count as one place: what the
# branches of a block, or the taps of a convolution, differ by.
_NEAR = 2.5
# Centres are compared to this fraction of a pixel.
_EQUAL = 1e-4


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


# Windows along one axis ---------------------------------------------------


@functools.lru_cache(maxsize=1024)
def window(length, num_windows, size, stride, dilation, before):
    """Returns where windows lie along an axis: middles and taps.

    Args:
        length: Integer: positions of the axis.
        num_windows: Integer.
        size: Integer: taps of a window.
        stride: Integer: from window to window.
        dilation: Integer: from tap to tap.
        before: Integer: how far the first window begins before the axis.

    Returns:
        Float array `(num_windows,)`, and an integer array `(num_windows,
        size)` with -1 for taps outside of the axis.
    """
    first = np.arange(num_windows) * stride - before
    taps = first[:, None] + dilation * np.arange(size)
    middle = first + dilation * (size - 1) / 2
    return middle, _inside(taps, length)


@functools.lru_cache(maxsize=256)
def window_transposed(length, num_windows, size, stride, dilation, before):
    """Returns `window` of a transposed convolution; see there."""
    place = np.arange(num_windows) + before
    middle = (place - dilation * (size - 1) / 2) / stride
    source = place[:, None] - dilation * np.arange(size)
    taps = np.where(source % stride == 0, source // stride, -1)
    return middle, _inside(taps, length)


def _inside(taps, length):
    return np.where((taps >= 0) & (taps < length), taps, -1)


def sampled(places, axis, middle, taps):
    """Returns the places of windows along an axis of the tensor.

    The centre of a window is the place of its middle, which keeps to one side
    where neighbours of the axis lie far apart; beyond the ends, centres go on
    as they did. Taps of -1 see nothing.
    """
    readings = []
    for reading in places.readings:
        others = [other.varies for other in reading]
        readings.append(
            tuple(
                _sampled(
                    coordinates,
                    axis,
                    middle,
                    taps,
                    is_alone=sum(axis in varies for varies in others) == 1,
                )
                for coordinates in reading
            )
        )
    shape = list(places.shape)
    shape[axis] = len(middle)
    return Places(shape, readings)


def _sampled(coordinates, axis, middle, taps, is_alone):
    values = coordinates.values
    if values.shape[axis + 1] == 1:
        return coordinates
    centre, low, high = np.moveaxis(values, axis + 1, -1)
    centre = _filled(centre)
    if is_alone and centre.ndim and centre.size == centre.shape[-1]:
        centre = spread(centre.ravel()).reshape(centre.shape)
    cell = max(coordinates.cell, _step_along(centre))
    centre = _interpolated(centre, middle, _NEAR * cell)
    low, high = (
        function.reduce(_with_nothing(bound)[..., taps], axis=-1)
        for function, bound in ((np.fmin, low), (np.fmax, high))
    )
    found = np.stack([centre, low, high])
    cell = max(coordinates.cell, _step_along(centre))
    return Coordinates(np.moveaxis(found, -1, axis + 1), cell)


def _step_along(centre):
    """Returns the usual distance of neighbours along the last axis."""
    steps = np.abs(np.diff(centre, axis=-1))
    steps = steps[~np.isnan(steps)]
    return float(np.median(steps)) if steps.size else 0.0


def _with_nothing(bound):
    """Appends NaN to the last axis, where an index of -1 finds it."""
    nothing = np.full((*bound.shape[:-1], 1), np.nan)
    return np.concatenate([bound, nothing], axis=-1)


def _filled(centre):
    """Fills what has no place along the last axis, as its neighbours lie."""
    if not np.isnan(centre).any():
        return centre
    lines = centre.reshape(-1, centre.shape[-1]).copy()
    for line in lines:
        known = np.flatnonzero(~np.isnan(line))
        if len(known) > 1:
            missing = np.flatnonzero(np.isnan(line))
            lower = np.clip(
                np.searchsorted(known, missing) - 1, 0, len(known) - 2
            )
            start, end = known[lower], known[lower + 1]
            slope = (line[end] - line[start]) / (end - start)
            line[missing] = line[start] + (missing - start) * slope
        elif len(known):
            line[:] = line[known]
    return lines.reshape(centre.shape)


def _interpolated(centre, index, far):
    lower = np.clip(np.floor(index), 0, centre.shape[-1] - 2).astype(int)
    start, end = centre[..., lower], centre[..., lower + 1]
    share = index - lower
    between = start + (end - start) * share
    nearest = np.where(share < 0.75, start, end)
    return np.where(np.abs(end - start) > far, nearest, between)


def spread(centre):
    """Spreads places that follow each other repeated: half-pixel enlargement.

    `[4, 4, 8, 8]` becomes `[3, 5, 7, 9]`; what is not repeated evenly stays.
    """
    change = np.flatnonzero(np.abs(np.diff(centre)) > _EQUAL) + 1
    if not len(change) or change[0] == 1:
        return centre
    times = int(change[0])
    if len(centre) % times or not np.array_equal(
        change, np.arange(times, len(centre), times)
    ):
        return centre
    index = (np.arange(len(centre)) + 0.5) / times - 0.5
    return _interpolated(centre[::times], index, np.inf)


def typical_step(centre):
    """Returns the median distance of neighbouring centres; 0 for one."""
    known = np.unique(np.round(centre[~np.isnan(centre)], 4))
    return float(np.median(np.diff(known))) if len(known) > 1 else 0.0


# Reductions and sums ------------------------------------------------------


def reduced(places, axes, keepdims=False):
    """Returns the places of what is left when axes are summed over.

    Where positions differ along other axes too, as those inside of a patch
    do, the middle of what was summed is kept.
    """
    results = [reduced_reading(one, axes) for one in places.readings]
    useful = [one for one, lost in results if not lost and _varies(one)]
    useful = useful or [one for one, _ in results if _varies(one)]
    useful = useful or [results[0][0]]
    shape = places.shape
    kept = [1 if n in axes else length for n, length in enumerate(shape)]
    reason = next((one for one in useful if isinstance(one, Unknown)), None)
    if reason:
        return Unknown(reason.reason, kept)
    result = Places(kept, useful)
    return result if keepdims else without(result, axes)


def without(places, axes):
    """Returns the places with axes of size 1 taken away."""
    shape = [n for axis, n in enumerate(places.shape) if axis not in axes]
    gone = tuple(axis + 1 for axis in axes)
    return places.each(shape, lambda c: c.with_values(c.values.squeeze(gone)))


def _varies(reading):
    return isinstance(reading, Unknown) or any(one.varies for one in reading)


def reduced_reading(reading, axes):
    """Returns a reading of size 1 along `axes`, and whether it lost places.

    The reading is `Unknown` where distant places come together.
    """
    found, lost = [], False
    for coordinates in reading:
        gone = coordinates.varies & set(axes)
        if not gone:
            found.append(coordinates)
            continue
        lost = True
        left = _middle(coordinates, sorted(gone))
        if left is None:
            reason = "places that lie far apart come together"
            return Unknown(reason), True
        found.append(left)
    return tuple(found), lost


def _middle(coordinates, axes):
    values = coordinates.values
    along = tuple(axis + 1 for axis in axes)
    low = np.fmin.reduce(values, axis=along, keepdims=True)
    high = np.fmax.reduce(values, axis=along, keepdims=True)
    found = np.stack([(low[0] + high[0]) / 2, low[1], high[2]])
    step = typical_step(found[0])
    if step:
        last = np.moveaxis(values[0], axes, range(-len(axes), 0))
        last = last.reshape(*last.shape[: last.ndim - len(axes)], -1)
        gaps = np.diff(np.sort(last, axis=-1), axis=-1)
        furthest = np.fmax.reduce(gaps, axis=None, initial=0)
        if furthest > _NEAR * max(coordinates.cell, step):
            return None
    return coordinates.with_values(found)


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
    if furthest > _NEAR * max(a.cell, b.cell):
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


def contracted(operands, shape):
    """Returns the places of a product whose common axes were summed over.

    Args:
        operands: List of lists of `(reading, lost)` as `reduced_reading`
            makes them, with the axes of the result; one list an operand.
        shape: Tuple of integers: the shape of the result.

    What kept its places in the sum tells where the result lies. So the sum of
    values over the keys lies where the query does.
    """
    flat = [pair for operand in operands for pair in operand]
    for may_be_lost in (False, True):
        groups = [
            [
                one
                for one, lost in operand
                if _varies(one) and lost <= may_be_lost
            ]
            for operand in operands
        ]
        groups = [group for group in groups if group]
        if groups:
            break
    else:
        return Places(shape, [flat[0][0]])
    for group in groups:
        for one in group:
            if isinstance(one, Unknown):
                return Unknown(one.reason, shape)
    together = [Places(shape, group) for group in groups]
    return merged(together, shape)


# Rearrangements -----------------------------------------------------------


def transposed(places, order):
    """Returns the places with axes in another order."""
    along = (0, *[axis + 1 for axis in order])
    return places.each(
        [places.shape[axis] for axis in order],
        lambda c: c.with_values(c.values.transpose(along)),
    )


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
        and np.ptp([c.values[0].item() for c in along]) > _EQUAL
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
