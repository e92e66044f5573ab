"""Places that are taken along one axis: windows, resizing, enlargement."""

import functools

import numpy as np

from keras_xmap.engine._places.places import EQUAL
from keras_xmap.engine._places.places import NEAR
from keras_xmap.engine._places.places import Coordinates
from keras_xmap.engine._places.places import Places
from keras_xmap.engine._places.places import Unknown

# Of the steps along an axis so many, at most, may jump to distant places: a
# row of tokens does where a row of the image ends.
_JUMPS = 0.5
# Jumps that go on in one direction, as in a dilation, turn back at most so
# often.
_TURNS = 0.1


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


def sampled(places, windows):
    """Returns the places of windows along axes of the tensor.

    Args:
        places: `Places` before.
        windows: List of tuples: an axis of the tensor, and the middles and
            the taps of its windows, see `window`. Taps of -1 see nothing.

    Returns:
        `Places`. The centre of a window is the place of its middle, which
        keeps to one side where neighbours of the axis lie far apart; beyond
        the ends, centres go on as they did. `Unknown` where most neighbours
        in windows lie far apart in no order, as shuffled pixels do.
    """
    for axis, middle, taps in windows:
        if _sees_several(taps) and any(
            _is_shuffled(coordinates, axis)
            for reading in places.readings
            for coordinates in reading
        ):
            return Unknown("places that lie far apart come together")
        places = _sampled_along(places, axis, middle, taps)
    return places


def _sees_several(taps):
    return np.count_nonzero(taps >= 0, axis=-1).max(initial=0) > 1


def _is_shuffled(coordinates, axis):
    """Whether neighbours along an axis lie far apart, back and forth."""
    if axis not in coordinates.varies:
        return False
    centre = coordinates.values[0]
    steps = np.diff(centre, axis=axis)
    steps = steps[~np.isnan(steps)]
    cell = max(coordinates.cell, typical_step(centre))
    far = steps[np.abs(steps) > NEAR * cell]
    backwards = np.count_nonzero(far < 0)
    turns = min(backwards, len(far) - backwards)
    return len(far) > _JUMPS * len(steps) and turns > _TURNS * len(steps)


def _sampled_along(places, axis, middle, taps):
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
    centre = _interpolated(centre, middle, NEAR * cell)
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
    change = np.flatnonzero(np.abs(np.diff(centre)) > EQUAL) + 1
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
