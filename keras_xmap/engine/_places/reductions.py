"""Places that are left when axes are summed over."""

import numpy as np

from keras_xmap.engine._places.merging import merged
from keras_xmap.engine._places.places import NEAR
from keras_xmap.engine._places.places import Places
from keras_xmap.engine._places.places import Unknown
from keras_xmap.engine._places.rearrangements import without
from keras_xmap.engine._places.sampling import typical_step


def reduced(places, axes, keepdims=False):
    """Returns the places of what is left when axes are summed over.

    Where positions differ along other axes too, as those inside of a patch
    do, the middle of what was summed is kept.
    """
    if isinstance(places, Unknown):
        return places
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
    # Of an image beside its mirror image, all middles are the same.
    if step or coordinates.varies - set(axes):
        last = np.moveaxis(values[0], axes, range(-len(axes), 0))
        last = last.reshape(*last.shape[: last.ndim - len(axes)], -1)
        gaps = np.diff(np.sort(last, axis=-1), axis=-1)
        furthest = np.fmax.reduce(gaps, axis=None, initial=0)
        if furthest > NEAR * max(coordinates.cell, step):
            return None
    return coordinates.with_values(found)


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
