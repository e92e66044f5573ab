"""Effects of windows on a grid, of which only a part is computed.

A quadtree from the top down, without recursion: all cells of one size at a
time, in one loop that is compiled once. Each point of the finest grid holds a
number at any time, found or interpolated, so that all cells of a level are
looked at by a few operations on whole grids, whatever the number of axes.
"""

from keras import ops

from keras_xmap import engine

# The worth of a cell that stays as it is, less than that of any other one.
_NONE = -1.0


class RefinedGrid:
    """Effects of all windows, found where they vary, else interpolated.

    Args:
        windows: List of `Windows`, one for each axis of positions.
        clean: Scores of the images as they are, `(batch, classes)`.
        effects: Function of the numbers of windows and of the images they are
            in, integers `(batch,)` both: one forward pass, which returns
            `(batch, classes)`.

    Attributes:
        num_coarse: Integer or scalar tensor: the windows of the coarse grid.
    """

    def __init__(self, windows, clean, effects):
        self._effects = effects
        self._batch, self._classes = ops.shape(clean)
        self._axes = [
            _Axis(along_axis, number, 1 + len(windows))
            for number, along_axis in enumerate(windows, 1)
        ]
        self._size = tuple(along_axis.count for along_axis in windows)
        self.num_coarse = 1
        for axis in self._axes:
            self.num_coarse = self.num_coarse * axis.num_coarse

    def refined(self, tolerance, max_passes=None):
        """Returns the effects of all windows, `(batch, *windows, classes)`.

        Args:
            tolerance: Float: the `_variation` up to which a cell stays whole;
                0 for no cell.
            max_passes: Integer: one more than the windows of each image that
                may be found, or `None` for all.
        """
        shape = (self._batch, *self._size)
        effects = ops.zeros((*shape, self._classes), "float32")
        # `worth` is that of the cell that is to be divided, at its points.
        state = effects, ops.zeros(shape, "bool"), ops.full(shape, 1e30)

        def step(level, state):
            effects, is_found, worth = state
            is_new = self._new_points(level, is_found, worth)
            if max_passes is not None:
                left = max_passes - 1 - self._sum(ops.cast(is_found, "int32"))
                worth = self._affordable(worth, is_new, left)
                is_new = self._new_points(level, is_found, worth)
            effects = self._with_found(effects, is_new)
            is_found = ops.logical_or(is_found, is_new)
            is_between = ops.logical_and(
                self._around(worth) > _NONE, ops.logical_not(is_found)
            )
            between = self._between(effects, level)
            effects = ops.where(is_between[..., None], between, effects)
            varies = self._variation(effects, level)
            is_divided = worth > _NONE
            if tolerance:
                is_divided = ops.logical_and(is_divided, varies > tolerance)
            return effects, is_found, ops.where(is_divided, varies, _NONE)

        num_levels = max([axis.num_levels for axis in self._axes], default=1)
        return ops.fori_loop(0, num_levels, step, state)[0]

    def _new_points(self, level, is_found, worth):
        """Returns the points of this level's grid that are still to be found.

        They are the corners of the cells that the divided ones are made of.
        """
        is_new = ops.logical_and(
            self._around(worth) > _NONE, ops.logical_not(is_found)
        )
        for axis in self._axes:
            is_new = ops.logical_and(is_new, axis.is_corner(level))
        return is_new

    def _around(self, worth):
        """Returns the largest worth of the cells that a point is part of."""
        for axis in self._axes:
            worth = ops.maximum(worth, axis.one_before(worth))
        return worth

    def _affordable(self, worth, is_new, left):
        """Returns the worth of the cells whose points are not too many.

        Those worth most come first; of equal ones, all are taken or none.
        """
        wanted = ops.where(is_new, self._around(worth), _NONE)
        wanted = ops.reshape(wanted, (self._batch, -1))
        first_too_many = ops.clip(left, 0, ops.shape(wanted)[1])
        wanted = ops.pad(wanted, ((0, 0), (0, 1)), constant_values=_NONE)
        ranked = -ops.sort(-wanted, axis=1)
        least = ops.take_along_axis(ranked, first_too_many[:, None], axis=1)
        least = ops.reshape(least, (-1, *[1] * len(self._axes)))
        return ops.where(worth > least, worth, _NONE)

    def _with_found(self, effects, is_new):
        """Computes the effects of the new points.

        Those of all images stand in one list, window after window, of which a
        pass takes as many as the batch has images.
        """
        size, shape = self._batch, (*self._size, self._batch, self._classes)
        flat = ops.reshape(ops.moveaxis(effects, 0, -2), (-1, self._classes))
        listed = ops.reshape(ops.moveaxis(is_new, 0, -1), (-1,))
        listed = ops.cast(ops.nonzero(listed)[0], "int32")
        last = ops.shape(listed)[0] - 1

        def one_pass(start, flat):
            rows = ops.minimum(start + ops.arange(size, dtype="int32"), last)
            # One pass after the other: one batch is in memory at a time.
            rows = engine.after([flat], ops.take(listed, rows))
            found = self._effects(rows // size, rows % size)
            return start + size, ops.scatter_update(flat, rows[:, None], found)

        start = ops.zeros((), "int32")
        _, flat = ops.while_loop(
            lambda start, flat: start <= last, one_pass, (start, flat)
        )
        return ops.moveaxis(ops.reshape(flat, shape), -2, 0)

    def _between(self, effects, level):
        """Interpolates linearly between the corners of each cell."""
        for axis in self._axes:
            effects = axis.between(effects, level)
        return effects

    def _variation(self, effects, level):
        """Returns how much the corners of each cell differ, or matter.

        As a share of the largest effect in the image, of the class in which
        that is most. Errors of cells are averaged over a patch, to as many of
        them as there are in it, so that small cells count less.
        """
        high = low = effects
        for axis in self._axes:
            high = ops.maximum(*axis.corners(high, level))
            low = ops.minimum(*axis.corners(low, level))
        varies = ops.maximum(high, 0.0) - ops.minimum(low, 0.0)
        grid = tuple(range(1, len(self._axes) + 1))
        largest = ops.max(ops.abs(effects), axis=grid, keepdims=True)
        varies = ops.max(ops.divide_no_nan(varies, largest), axis=-1)
        cells = ops.ones((), "float32")
        for axis in self._axes:
            cells = cells * axis.cells_in_patch(level)
        return varies / ops.sqrt(cells)

    def _sum(self, x):
        return ops.sum(x, axis=tuple(range(1, len(self._axes) + 1)))


class _Axis:
    """The points along one axis, and the cells between them at each level."""

    def __init__(self, windows, axis, rank):
        self._count = windows.count
        self._rank = rank  # of batch and positions
        self._axis = axis
        self._windows_in_patch = windows.width / windows.stride
        self._place = ops.arange(windows.count, dtype="int32")
        # The largest cells are the largest ones without gaps between windows.
        self.num_levels = (windows.width // windows.stride).bit_length()
        self._coarsest = 2 ** (self.num_levels - 1)
        self.num_coarse = (self._count - 2) // self._coarsest + 2

    def one_before(self, x):
        before = ops.maximum(self._place - 1, 0)
        return ops.take(x, before, axis=self._axis)

    def is_corner(self, level):
        """Returns which points are corners, of a shape that broadcasts."""
        is_corner = self._place % self._side(level) == 0
        is_last = self._place == self._count - 1
        return self._along(ops.logical_or(is_corner, is_last))

    def corners(self, x, level):
        """Returns what is before and behind each point, `(batch, ...)`."""
        before, behind = self._neighbours(level)
        return (
            ops.take(x, before, axis=self._axis),
            ops.take(x, behind, axis=self._axis),
        )

    def between(self, x, level):
        before, behind = self._neighbours(level)
        length = ops.cast(ops.maximum(behind - before, 1), x.dtype)
        share = ops.cast(self._place - before, x.dtype) / length
        share = self._along(share)[..., None]
        before, behind = self.corners(x, level)
        return before + (behind - before) * share

    def cells_in_patch(self, level):
        return self._windows_in_patch / ops.cast(self._side(level), "float32")

    def _neighbours(self, level):
        side = self._side(level)
        before = self._place - self._place % side
        return before, ops.minimum(before + side, self._count - 1)

    def _side(self, level):
        """Returns how many points the cells of a level are apart."""
        coarsest = ops.convert_to_tensor(self._coarsest, "int32")
        return ops.maximum(ops.right_shift(coarsest, level), 1)

    def _along(self, values):
        shape = [1] * self._rank
        shape[self._axis] = -1
        return ops.reshape(values, shape)
