"""Masks as bits, eight to a byte, row by row."""

import zlib

import numpy as np

_NUM_SET_BITS = np.asarray([bin(byte).count("1") for byte in range(256)])


def pack(mask):
    """Returns the record of a boolean mask."""
    return zlib.compress(np.packbits(mask), 1) if mask.any() else b""


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
    num_pixels = size[0] * size[1]
    packed = packed.reshape((len(rows), -(-num_pixels // 8)))
    pixels = np.unpackbits(packed, axis=1, count=num_pixels)
    return pixels.view("bool").reshape((len(rows), *size))


def count_pixels(bits):
    """Returns how many of packed bits are set."""
    return int(_NUM_SET_BITS[bits].sum())


def nearest(mask, size):
    """Returns a mask at another size, as `ops.resize` has it."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(mask.shape, size, strict=True)
    )
    return mask[rows[:, None], columns]
