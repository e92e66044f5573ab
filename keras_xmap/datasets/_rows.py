"""Which of several entries are meant: numbers, or a boolean for each."""

import reprlib

import numpy as np

from keras_xmap._checks import is_integer


def checked_rows(rows, count, what):
    """Returns the numbers of entries that `rows` chooses among `count`."""
    try:
        rows = np.arange(count)[rows]
    except (IndexError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(
            f"`rows` must be numbers of {what}, or a boolean for each. "
            f"Received: {reprlib.repr(rows)} for {count} {what}: {error}."
        ) from error
    if rows.ndim != 1:
        raise ValueError(
            "`rows` must have one axis. Received: rows of shape "
            f"{rows.shape} after indexing."
        )
    return rows


def check_index(index, count, what):
    """Returns `index`, which must be that of one of `count` entries."""
    if not is_integer(index):
        raise TypeError(
            f"`index` must be an integer. Received: index={index!r}. "
            "`subset` takes several."
        )
    if not -count <= index < count:
        # An IndexError ends a loop over the entries.
        raise IndexError(
            f"`index` must be that of one of {count} {what}. "
            f"Received: index={index}."
        )
    return index
