"""Masks as bits, eight to a byte, row by row."""

import zlib

import numpy as np

from keras_xmap._checks import is_integer

_NUM_SET_BITS = np.asarray([bin(byte).count("1") for byte in range(256)])


def check_mask(mask):
    """Returns `mask` as an array, which must be boolean, of two axes."""
    mask = _as_array(mask)
    if mask.dtype != bool:
        raise TypeError(
            f"Masks must be boolean. Received: dtype={mask.dtype}. Compare "
            "a map with its threshold first."
        )
    if mask.ndim != 2 or not mask.size:
        raise ValueError(
            "A mask must have the axes (height, width), and a pixel. Received: "
            f"mask.shape={mask.shape}."
        )
    return mask


def check_masks(masks):
    """Returns masks as a list of arrays, each of them checked."""
    if not isinstance(masks, (list, tuple)):
        masks = _as_array(masks)
        if masks.ndim != 3:
            raise ValueError(
                "`masks` must have the axes (regions, height, width), or be a "
                f"sequence of masks. Received: masks.shape={masks.shape}."
            )
    return [check_mask(mask) for mask in masks]


def check_size(size, known):
    """Returns the size of masks: `size`, or the only one of `known`."""
    if size is None:
        if len(known) != 1:
            raise ValueError(
                "`size` must be given unless the images have one and the same "
                "size in the store. Received: size=None for sizes "
                f"{sorted(known)}."
            )
        return next(iter(known))
    sides = np.asarray(size).tolist() if hasattr(size, "shape") else size
    if (
        not isinstance(sides, (list, tuple))
        or len(sides) != 2
        or not all(is_integer(side) and 1 <= side < 2**31 for side in sides)
    ):
        raise ValueError(
            "`size` must be a height and a width, integers >= 1. Received: "
            f"size={size!r}."
        )
    return tuple(int(side) for side in sides)


def pack(mask):
    """Returns the record of a boolean mask."""
    return to_record(np.packbits(mask) if mask.any() else None)


def to_record(bits):
    """Returns the record of packed bits, or of `None` for no pixels."""
    return b"" if bits is None else zlib.compress(bits, 1)


def unpack(record):
    """Returns the packed bits of a record, or `None` for no pixels."""
    return np.frombuffer(zlib.decompress(record), "uint8") if record else None


def to_mask(bits, size):
    """Returns the mask of packed bits, or of `None` for no pixels."""
    if bits is None:
        return np.zeros(size, "bool")
    pixels = np.unpackbits(bits, count=size[0] * size[1])
    return pixels.view("bool").reshape(size)


def to_masks(rows, size):
    """Returns masks `(batch, height, width)` of packed bits as bytes."""
    packed = np.frombuffer(b"".join(rows), "uint8")
    packed = packed.reshape((len(rows), num_bytes(size)))
    pixels = np.unpackbits(packed, axis=1, count=size[0] * size[1])
    return pixels.view("bool").reshape((len(rows), *size))


def num_bytes(size):
    """Returns how many bytes the packed bits of a mask take."""
    return -(-size[0] * size[1] // 8)


def count_pixels(bits):
    """Returns how many of packed bits are set."""
    return int(_NUM_SET_BITS[bits].sum())


def _as_array(values):
    try:
        return np.asarray(values)
    except Exception as error:
        # Each library that makes tensors has errors of its own.
        raise TypeError(
            "Masks must be boolean arrays (height, width). Received: "
            f"{type(values).__name__}: {error}."
        ) from error


def nearest(mask, size):
    """Returns a mask at another size, as `ops.resize` has it."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(mask.shape, size, strict=True)
    )
    return mask[rows[:, None], columns]
