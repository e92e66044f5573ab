"""Maps as whole numbers of steps, no further off than a bound, and back."""

import numpy as np

# Codes differ by less than half of what an int32 holds.
_MOST_CODES = 2**30
_LARGEST_EXACT = 2**53  # of the integers that a float64 holds


class Scale:
    """What the codes of each plane stand for: `low + code * step`."""

    def __init__(self, low, steps):
        self.low = np.asarray(low, "<f8")
        self.steps = np.asarray(steps, "<f8")

    def codes(self, planes):
        """Returns int32 codes of planes, or `None` where they are too many."""
        places = (planes - self._of(self.low)) / self._of(self.steps)
        if places.max() >= _MOST_CODES:
            return None
        return np.rint(places).astype("int32")

    def values(self, codes, dtype):
        """Returns planes of a dtype that codes stand for."""
        x = self._of(self.low) + codes * self._of(self.steps)
        if dtype.kind != "f":
            x = np.rint(x)
        # A step beyond the last number of the dtype is nearer to that one.
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        return np.clip(x, limits.min, limits.max).astype(dtype)

    def _of(self, of_each):
        return of_each[:, None, None]


def bounds(planes, tolerance, relative):
    """Returns the lowest value of each plane, and how far codes may be off.

    Both are `None` where the values are to be kept as they are: what is lost
    when a value is rounded to the dtype leaves too little of the tolerance.
    """
    dtype = planes.dtype
    if not tolerance or dtype.kind == "b" or not planes.size:
        return None, None
    low, high = (
        f(planes, axis=(1, 2)).astype("float64") for f in (np.min, np.max)
    )
    largest = np.maximum(np.abs(low), np.abs(high))
    if largest.max() >= np.finfo("float64").max / 4:
        return None, None
    wanted = tolerance * (high - low) if relative else tolerance
    if dtype.kind != "f":
        if largest.max() >= _LARGEST_EXACT:
            return None, None
        wanted = np.floor(wanted)
    info = np.finfo(dtype if dtype.kind == "f" else "float64")
    epsilon = float(info.eps)
    lost = 4 * epsilon * largest + float(info.smallest_subnormal)
    # Also when the difference is taken in the dtype, it is within the bound.
    allowed = wanted * (1 - max(4 * epsilon, 2.0**-20)) - lost
    is_flat = low == high
    if not np.all(is_flat | (allowed > wanted / 2)):
        return None, None
    return low, np.where(is_flat, 1.0, allowed)


def as_integers(planes):
    """Returns the bits of planes as integers of their width."""
    return planes.view(f"<i{planes.dtype.itemsize}")


def differences(values):
    """Returns integers >= 0: how each differs from the one before.

    2, 4, 6, ... stand for 1, 2, 3, ... more, 1, 3, 5, ... for that much less.
    """
    steps = np.diff(values, prepend=values.dtype.type(0))
    return np.where(steps < 0, -2 * steps - 1, 2 * steps)


def of_differences(numbers):
    """Returns the values of which `differences` gave the numbers."""
    steps = np.where(numbers % 2, -(numbers + 1) // 2, numbers // 2)
    return np.cumsum(steps, dtype=numbers.dtype)


def to_bytes(values):
    """Returns how many bytes a value takes, and the bytes of values.

    The lowest byte of all comes first, then the next one, up to the last that
    is not 0 everywhere.
    """
    size = values.dtype.itemsize
    rows = values.view("uint8").reshape((-1, size))
    used = np.flatnonzero(rows.any(axis=0))
    width = int(used[-1]) + 1 if used.size else 0
    return width, rows[:, :width].T.tobytes()


def of_bytes(content, width, count, dtype):
    """Returns the values of which `to_bytes` gave the bytes."""
    rows = np.zeros((count, np.dtype(dtype).itemsize), "uint8")
    columns = np.frombuffer(content, "uint8", width * count)
    rows[:, :width] = columns.reshape((width, count)).T
    return rows.view(dtype)[:, 0]
