"""Which cells of a quadtree lie around each leaf, and which in which."""

import itertools

from keras import ops

from keras_xmap.ops._quadtree_cells import corners
from keras_xmap.ops._quadtree_cells import first_pixel
from keras_xmap.ops._quadtree_slots import Slots
from keras_xmap.ops._quadtree_slots import numbers_of_slots


def table_of(levels, num_levels, kernel_size, capacity):
    """Returns the table of `quadtree_table`, of levels that are a tree's."""
    is_there = levels >= 0
    trees = ops.where(is_there, levels, 0)
    leaves = Slots(ops.logical_and(is_there, corners(trees)))
    divided = [
        Slots(levels[:, :: 1 << level, :: 1 << level] < level)
        for level in range(1, num_levels)
    ]
    sizes = numbers_of_slots(leaves, divided, capacity)
    nothing = sum(sizes)  # after all slots
    numbers = ops.take(ops.reshape(leaves.numbers(), (-1,)), first_pixel(trees))
    found = ops.logical_and(is_there, numbers < sizes[0])
    numbers = ops.where(found, numbers, nothing)
    nodes = _Nodes(numbers, levels, divided, sizes)
    row, column, filled = leaves.places(sizes[0])
    level = _levels_at(trees, row, column)
    middle = ops.right_shift(row, level), ops.right_shift(column, level)
    places = [(level, *middle, filled)]
    for above, slots in enumerate(divided, 1):
        there = slots.places(sizes[above])
        places.append((ops.full_like(there[0], above), *there))
    leaf = ops.stack([row, column, level], axis=-1)
    return {
        "leaves": ops.where(filled[..., None], leaf, 0),
        "filled": filled,
        "numbers": ops.minimum(numbers, sizes[0]),
        "neighbors": nodes.around(*places[0], kernel_size // 2),
        "parents": [nodes.parents(i, *place) for i, place in enumerate(places)],
        "shares": [nodes.shares(*place) for place in places],
        "is_whole": ops.logical_and(
            _fit([leaves, *divided], sizes),
            ops.all(levels < num_levels, axis=(2, 1)),
        ),
    }


class _Nodes:
    """The number of the leaf or divided cell at each place of each level.

    A place that a larger leaf covers has the number of that leaf.
    """

    def __init__(self, numbers, levels, divided, sizes):
        self._sizes, self._nothing = sizes, sum(sizes)
        batch, self._height, self._width = ops.shape(levels)
        grids, before = [numbers], sizes[0]
        for level, slots in enumerate(divided, 1):
            every = (slice(None), *2 * [slice(None, None, 1 << level)])
            of_level = slots.numbers()
            of_level = ops.where(
                of_level < sizes[level], of_level + before, self._nothing
            )
            is_divided = levels[every] < level
            grids.append(ops.where(is_divided, of_level, numbers[every]))
            before += sizes[level]
        shapes = [ops.shape(grid)[1:] for grid in grids]
        self._rows, self._columns = map(_integers, zip(*shapes, strict=True))
        ends = list(itertools.accumulate(a * b for a, b in shapes))
        self._starts, self._length = _integers([0, *ends[:-1]]), ends[-1] + 1
        rows = [ops.reshape(grid, (batch, -1)) for grid in grids]
        last = ops.full((batch, 1), self._nothing, "int32")
        self._numbers = ops.reshape(ops.concatenate([*rows, last], 1), (-1,))
        self._images = ops.arange(batch, dtype="int32")

    def around(self, level, row, column, filled, reach):
        """Returns the numbers of the neighbors, `(batch, slots, cells)`."""
        steps = range(-reach, reach + 1)
        down = _integers([step for step in steps for _ in steps])
        across = _integers([step for _ in steps for step in steps])
        return self._at(
            level[..., None],
            row[..., None] + down,
            column[..., None] + across,
            filled[..., None],
        )

    def parents(self, index, level, row, column, filled):
        """Returns which cell of those divided each cell lies in.

        Leaves lie in cells of any level, numbered through all of them, and
        divided cells in those of the next; the number after them is nothing.
        """
        found = self._at(level + 1, row // 2, column // 2, filled)
        found = found - sum(self._sizes[: index + 1])
        if not index:
            return found
        return ops.minimum(found, sum(self._sizes[index + 1 : index + 2]))

    def shares(self, level, row, column, filled):
        """Returns what part of the cell around it each one is."""
        part = self._area(level, row, column)
        whole = self._area(level + 1, row // 2, column // 2)
        # Where there is nothing, neither has an area.
        share = part / ops.maximum(whole, 1)
        return ops.where(filled, ops.cast(share, "float32"), 0.0)

    def _at(self, level, row, column, filled):
        # A level above the last: all that is outside lies there.
        of = ops.minimum(level, ops.shape(self._rows)[0] - 1)
        columns = ops.take(self._columns, of)
        inside = ops.logical_and(filled, of == level)
        for place, size in (
            (row, ops.take(self._rows, of)),
            (column, columns),
        ):
            within = ops.logical_and(place >= 0, place < size)
            inside = ops.logical_and(inside, within)
        place = ops.take(self._starts, of) + row * columns + column
        place = ops.where(inside, place, self._length - 1)
        shape = (-1, *[1] * (len(place.shape) - 1))
        images = ops.reshape(self._images, shape)
        return ops.take(self._numbers, place + images * self._length)

    def _area(self, level, row, column):
        side = ops.left_shift(ops.ones_like(level), level)
        height = ops.clip(self._height - row * side, 0, side)
        width = ops.clip(self._width - column * side, 0, side)
        return ops.cast(height, "float32") * ops.cast(width, "float32")


def _levels_at(levels, row, column):
    batch, height, width = ops.shape(levels)
    image = ops.arange(batch, dtype="int32")[:, None]
    place = (image * height + row) * width + column
    return ops.take(ops.reshape(levels, (-1,)), place)


def _fit(slots, sizes):
    """Returns of which images all cells have slots."""
    whole = True
    for of_level, size in zip(slots, sizes, strict=True):
        whole = ops.logical_and(whole, of_level.counts <= size)
    return whole


def _integers(values):
    return ops.stack([ops.convert_to_tensor(x, "int32") for x in values])
