"""What is to be erased from an image: the union of its regions."""

import numpy as np

from keras_xmap.regions._masks import nearest
from keras_xmap.regions._masks import num_bytes
from keras_xmap.regions._masks import to_masks


class Unions:
    """The unions of an index, those last asked for kept in memory.

    They are kept for one choice of rounds at a time: that of the round that
    trains, which asks for every image again and again.

    Args:
        index: `RegionIndex`.
        memory_bytes: Integer, bytes of packed bits to keep at most.
    """

    def __init__(self, index, memory_bytes):
        self._index = index
        self._memory_bytes = memory_bytes
        self._kept = {}  # number of the image: bytes of packed bits
        self._kept_bytes = 0
        self._rounds = None

    def masks(self, numbers, size, rounds):
        """Returns a mask for each number; an empty one for each `None`.

        Args:
            numbers: List of numbers of images, `None` for unknown ones.
            size: `(height, width)`, to which masks are resized.
            rounds: Set of integers, or `None` for all rounds.

        Returns:
            Boolean array `(batch, height, width)`.
        """
        if rounds != self._rounds:
            self.forget()
            self._rounds = rounds
        sizes = [size if n is None else self._index.sizes[n] for n in numbers]
        if set(sizes) <= {size}:
            return to_masks([self._packed(n, size) for n in numbers], size)
        return np.stack(
            [
                nearest(to_masks([self._packed(number, own)], own)[0], size)
                for number, own in zip(numbers, sizes, strict=True)
            ]
        )

    def forget(self):
        """Drops all unions from memory."""
        self._kept, self._kept_bytes = {}, 0

    def change(self, number, round_id):
        """Drops the union of an image if a region of this round is in it."""
        if self._rounds is None or round_id in self._rounds:
            self._kept_bytes -= len(self._kept.pop(number, b""))

    def _packed(self, number, size):
        if number is None:
            return bytes(num_bytes(size))
        packed = self._kept.get(number)
        if packed is None:
            union = self._index.union(number, None, self._rounds)
            packed = b"" if union is None else union.tobytes()
            if self._kept_bytes + len(packed) <= self._memory_bytes:
                self._kept[number] = packed
                self._kept_bytes += len(packed)
        return packed or bytes(num_bytes(size))
