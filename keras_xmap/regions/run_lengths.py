"""Masks as run lengths, the way COCO annotations hold them.

A mask is read column by column; its runs are counted in turn, pixels outside
first. COCO writes the counts as a list, or packed into a short string: every
count but the first three less the count two before it, in groups of five bits
from the low end on, each a printable character whose sixth bit says that more
groups follow.
"""

import reprlib
from typing import Any

import numpy as np

from keras_xmap._checks import check_boolean
from keras_xmap._checks import is_integer
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike

_FIRST_CHARACTER = 48
_MORE = 32
_SIGN = 16
_MOST_GROUPS = 12  # of 5 bits: what an integer of 64 bits holds


def encode_run_lengths(
    mask: ArrayLike, compressed: bool = True
) -> dict[str, Any]:
    """Returns the COCO run lengths of a mask.

    Args:
        mask: Array `(height, width)`; what is not 0 is inside.
        compressed: Boolean: the counts as a string instead of a list.
            Defaults to `True`.

    Returns:
        Dictionary `{"size": [height, width], "counts": counts}`, fit for
        JSON.

    Raises:
        ValueError: If `mask` does not have two axes, or `compressed` is no
            boolean.

    Example:

    >>> mask = np.array([[True, False], [True, True]])
    >>> keras_xmap.regions.encode_run_lengths(mask, compressed=False)
    {'size': [2, 2], 'counts': [0, 2, 1, 1]}
    """
    compressed = check_boolean("compressed", compressed)
    mask = as_array("mask", mask)
    if mask.ndim != 2:
        raise ValueError(
            "`mask` must have the axes (height, width). Received: "
            f"mask.shape={mask.shape}."
        )
    pixels = (mask != 0).ravel(order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    first = [0] if pixels.size and pixels[0] else []
    counts = np.diff([*first, 0, *edges, pixels.size]).tolist()
    return {
        "size": [int(side) for side in mask.shape],
        "counts": _to_string(counts) if compressed else counts,
    }


def decode_run_lengths(run_lengths: dict[str, Any]) -> np.ndarray:
    """Returns the mask that COCO run lengths stand for.

    Args:
        run_lengths: Dictionary `{"size": [height, width], "counts": counts}`
            with `counts` a list of integers, or a string or bytes.

    Returns:
        Boolean array `(height, width)`.

    Raises:
        ValueError: If the counts do not add up to the size, or are no string
            as COCO writes it.
        TypeError: If `run_lengths` is not such a dictionary.

    Example:

    >>> runs = {"size": [2, 2], "counts": [0, 2, 1, 1]}
    >>> keras_xmap.regions.decode_run_lengths(runs).tolist()
    [[True, False], [True, True]]
    """
    counts = check_run_lengths(run_lengths)
    height, width = run_lengths["size"]
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape((height, width), order="F")


def check_run_lengths(run_lengths):
    """Returns the counts of COCO run lengths, which must be whole.

    Not in the public interface: checks a mask without making it.
    """
    if not isinstance(run_lengths, dict) or not (
        {"size", "counts"} <= set(run_lengths)
    ):
        raise TypeError(
            "`run_lengths` must be a dictionary of size and counts. Received: "
            f"run_lengths={reprlib.repr(run_lengths)}."
        )
    size = run_lengths["size"]
    if (
        not isinstance(size, (list, tuple))
        or len(size) != 2
        or not all(is_integer(side) and 0 <= side < 2**31 for side in size)
    ):
        raise ValueError(
            "The size of run lengths must be a height and a width. Received: "
            f"size={reprlib.repr(size)}."
        )
    counts = _as_counts(run_lengths["counts"], size[0] * size[1])
    if counts.sum() != size[0] * size[1]:
        raise ValueError(
            "Run lengths must add up to the number of pixels. Received: "
            f"{len(counts)} counts of sum {counts.sum()} for "
            f"size={list(size)}."
        )
    return counts


def _as_counts(counts, num_pixels):
    """Returns counts as int64, each from 0 to the number of pixels."""
    if isinstance(counts, str):
        counts = counts.encode("utf-8", "surrogatepass")
    if isinstance(counts, bytes):
        counts = _from_string(counts)
    if isinstance(counts, np.ndarray) and counts.ndim == 1:
        wrong = [] if counts.dtype.kind in "iu" else [counts.dtype]
        counts = counts.tolist()
    elif isinstance(counts, (list, tuple)):
        wrong = [n for n in counts if not is_integer(n)]
    else:
        wrong = [counts]
    if wrong:
        raise TypeError(
            "Counts of run lengths must be integers, or a string as COCO "
            f"writes it. Received: {reprlib.repr(wrong[0])}."
        )
    low, high = min(counts, default=0), max(counts, default=0)
    if low < 0 or high > num_pixels:
        raise ValueError(
            "Counts of run lengths must be from 0 to the number of pixels. "
            f"Received: {low if low < 0 else high} for {num_pixels} pixels."
        )
    return np.array(counts, "int64")


def _to_string(counts):
    characters = bytearray()
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        while True:
            group, rest = rest & 31, rest >> 5
            # The sign bit of the last group is copied upwards.
            done = rest == (-1 if group & _SIGN else 0)
            characters.append(group + _FIRST_CHARACTER + (0 if done else _MORE))
            if done:
                break
    return characters.decode("ascii")


def _from_string(characters):
    groups = np.frombuffer(characters, "uint8").astype("int64")
    groups -= _FIRST_CHARACTER
    if ((groups < 0) | (groups > 63)).any() or (
        groups.size and groups[-1] & _MORE
    ):
        raise ValueError(
            "Compressed run lengths must be a string as COCO writes it. "
            f"Received: {characters[:40]!r}."
        )
    last = np.flatnonzero(groups & _MORE == 0)
    first = np.concatenate([[0], last[:-1] + 1])[: len(last)]
    if len(last) and (last - first).max() >= _MOST_GROUPS:
        raise ValueError(
            "A count of compressed run lengths must have at most "
            f"{_MOST_GROUPS} characters. Received: {characters[:40]!r}."
        )
    place = 5 * (np.arange(groups.size) - np.repeat(first, last - first + 1))
    values = np.zeros(len(last), "int64")
    number = np.repeat(np.arange(len(last)), last - first + 1)
    np.add.at(values, number, (groups & 31) << place)
    length = 5 * (last - first + 1)
    values -= np.where(groups[last] & _SIGN, np.int64(1) << length, 0)
    # From the fourth count on each is a difference to the one two before.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
