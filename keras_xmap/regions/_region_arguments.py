"""Checks of what a `RegionStore` is given."""

import numpy as np


def as_ids(image_ids):
    """Returns ids as a list of Python integers or text."""
    array = np.asarray(image_ids)
    if array.ndim != 1:
        raise ValueError(
            "`image_ids` must have one axis. Received: image_ids.shape="
            f"{array.shape}."
        )
    ids = [i.decode() if isinstance(i, bytes) else i for i in array.tolist()]
    wrong = [i for i in ids if type(i) not in (int, str)]
    if wrong:
        raise TypeError(
            f"Image ids must be integers or text. Received: {wrong[0]!r}."
        )
    return ids


def as_rounds(rounds):
    """Returns `None` for all rounds, or a set of them."""
    if rounds is None:
        return None
    if isinstance(rounds, (int, np.integer)):
        rounds = (rounds,)
    return frozenset(int(round) for round in rounds)


def check_number(name, value):
    """Returns `value` as an int, which must be an integer >= 0."""
    if not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(
            f"`{name}` must be an integer >= 0. Received: {name}={value!r}."
        )
    return int(value)


def check_mask(mask):
    """Returns `mask` as an array, which must be boolean, of two axes."""
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(
            f"Masks must be boolean. Received: dtype={mask.dtype}. Compare "
            "a map with its threshold first."
        )
    if mask.ndim != 2:
        raise ValueError(
            "A mask must have the axes (height, width). Received: "
            f"mask.shape={mask.shape}."
        )
    return mask


def check_size(size, known):
    """Returns the size of masks: `size`, or the only one of `known`."""
    if size is not None:
        return tuple(int(side) for side in size)
    if len(known) != 1:
        raise ValueError(
            "`size` must be given unless the images have one and the same "
            f"size in the store. Received: size=None for sizes {sorted(known)}."
        )
    return next(iter(known))
