"""Numbered slots for the cells of quadtrees, as many for each image.

A cell of level `l` is a square of `2**l` pixels, at a row and a column of the
grid of its level. Those that are listed, the leaves or the divided cells of a
level, are numbered image by image, row by row.
"""

import keras
from keras import ops

from keras_xmap._numeric import known_integer


class Slots:
    """The true entries of a tensor `(batch, rows, columns)`, by number.

    Args:
        listed: Boolean tensor: which entries are listed.
    """

    def __init__(self, listed):
        self._batch, self.rows, self.columns = ops.shape(listed)
        self._listed = listed
        listed = ops.cast(listed, "int32")
        self.counts = ops.sum(ops.sum(listed, axis=2), axis=1)
        # One sum through the batch.
        self._sums = ops.cumsum(ops.reshape(listed, (-1,)))
        self._before = ops.cumsum(self.counts) - self.counts

    def numbers(self):
        """Returns the number of each entry in its image, if it is listed."""
        shape = (self._batch, self.rows, self.columns)
        sums = ops.reshape(self._sums, shape)
        return sums - 1 - self._before[:, None, None]

    def _entries(self):
        """Returns for each entry which one of its image it is."""
        entry = ops.arange(self.rows * self.columns, dtype="int32")
        entry = ops.reshape(entry, (1, self.rows, self.columns))
        return ops.broadcast_to(entry, (self._batch, self.rows, self.columns))

    def places(self, size):
        """Returns what is in each of the first `size` slots of each image.

        Returns:
            Tuple of tensors `(batch, size)`: the row and the column of the
            entry, 0 in slots that are empty, and whether there is one.
        """
        slot = ops.arange(size, dtype="int32")
        filled = slot < self.counts[:, None]
        image = ops.arange(self._batch, dtype="int32")[:, None, None]
        numbers = self.numbers()
        # What is not listed, and what finds no slot, goes behind the last one.
        is_kept = ops.logical_and(self._listed, numbers < size)
        end = self._batch * size
        slots = ops.where(is_kept, image * size + numbers, end)
        # `ops.searchsorted` would find places too, but for the oldest Keras
        # not while sizes are unknown.
        place = ops.scatter_update(
            ops.zeros((end + 1,), "int32"),
            ops.reshape(slots, (-1, 1)),
            ops.reshape(self._entries(), (-1,)),
        )
        place = ops.reshape(place[:-1], (self._batch, size))
        return place // self.columns, place % self.columns, filled


def numbers_of_slots(leaves, divided, capacity):
    """Returns how many slots there are for leaves, and for each of `divided`.

    Args:
        leaves: `Slots` of pixels.
        divided: List of `Slots` of the cells of each level from 1 on.
        capacity: Integer, the slots of leaves, or `None`: what is there.
    """
    slots = [leaves, *divided]
    most = [ops.max(of_level.counts) for of_level in slots]
    if capacity is not None:
        _check_capacity(capacity, leaves, known_integer(most[0]))
        return [capacity, *most_divided(leaves, len(divided), capacity)]
    found = [known_integer(count) for count in most]
    if None not in found:
        return [_bucket(count) for count in found]
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "`capacity` must be an integer where a function is compiled on "
            f"the {keras.backend.backend()} backend, as by `fit`: sizes of "
            "tensors are fixed there. Received: capacity=None. Take some more "
            "than the leaves that `ops.quadtree_leaves` counts in your images."
        )
    return [ops.maximum(count, 1) for count in most]


def most_divided(pixels, num_levels, capacity):
    """Returns how many cells of each level `capacity` leaves can divide.

    One inside the image holds four leaves at least, one that the border cuts
    one at least.

    Args:
        pixels: What has `rows` and `columns`, those of the image.
        num_levels: Integer: how many levels, from 1 on.
        capacity: Integer.
    """
    found = []
    for level in range(1, num_levels + 1):
        side = 1 << level
        rows, columns = (
            (size + side - 1) // side for size in (pixels.rows, pixels.columns)
        )
        whole = (pixels.rows // side) * (pixels.columns // side)
        cells = rows * columns
        cut = cells - whole
        bounds = cells, capacity, capacity // 4 + cut
        if all(isinstance(bound, int) for bound in bounds):
            found.append(min(bounds))
        else:
            least = ops.minimum(ops.minimum(*bounds[:2]), bounds[2])
            found.append(ops.cast(least, "int32"))
    return found


def _check_capacity(capacity, leaves, most):
    if most is not None and most > capacity:
        raise ValueError(
            "`capacity` must be at least the slots that each image takes. "
            f"Received: capacity={capacity} for an image that takes {most}. "
            f"Give {most} or more."
        )


def _bucket(count):
    """Returns an integer from `count` on, of eight in each power of two.

    What was compiled for one image is used again for the next.
    """
    step = max(16, 1 << max(0, count.bit_length() - 4))
    return max(step, -(-count // step) * step)
