"""Effects of windows on a grid, of which only a part is found.

Windows are found here and there, evenly at first and then where the map is
undecided, and the rest is taken from those around them. Each window of the grid
holds a number at any time, so that all are looked at by a few operations on
whole grids, whatever the number of axes, in one loop that is compiled once.
"""

from keras import ops

from keras_xmap import engine
from keras_xmap._entries import entries_of_rows

# How many windows over a position are found before anything is known, and the
# largest share of all, where there are few.
_AT_FIRST, _SHARE_AT_FIRST = 12, 0.25
# In so many steps the others follow, each chosen by what is known by then.
_STEPS = 4
# What matters is which positions are among these shares of the highest ones.
_HIGHEST = (0.02, 0.05, 0.15)


class ScatteredWindows:
    """Effects of all windows, found where they matter, else of those around.

    Args:
        windows: List of `Windows`, one for each axis of positions.
        clean: Scores of the images as they are, `(batch, classes)`.
        effects: Function of the numbers of windows and of the images they are
            in, integers `(batch,)` both: one forward pass, which returns
            `(batch, classes)`.

    Attributes:
        num_at_first: Scalar tensor: the windows that are found in any image.
    """

    def __init__(self, windows, clean, effects):
        self._effects = effects
        self._windows = windows
        self._batch, self._classes = ops.shape(clean)
        self._size = tuple(along_axis.count for along_axis in windows)
        self._grid = tuple(range(1, len(windows) + 1))
        self._turn = _turns(windows)
        self._over_position = 1.0  # how many windows lie over a position
        for along_axis in windows:
            self._over_position = self._over_position * along_axis.per_position
        self._first = ops.minimum(
            _AT_FIRST / self._over_position, _SHARE_AT_FIRST
        )
        self.num_at_first = ops.sum(ops.cast(self._turn < self._first, "int32"))

    def found(self, tolerance, max_passes=None):
        """Returns the effects of all windows, `(batch, *windows, classes)`.

        Args:
            tolerance: Float: the error of a position that matters, as a share
                of the standard deviation of the map; 0 to find all windows.
            max_passes: Integer: one more than the windows of each image that
                may be found, or `None` for all.
        """
        shape = (self._batch, *self._size)
        effects = ops.zeros((*shape, self._classes), "float32")

        def step(number, state):
            effects, is_found = state
            wanted = self._wanted(effects, is_found, number, tolerance)
            # Of an even share `s` of all windows, the turn is below `s`.
            worth = wanted / self._turn
            is_new = ops.logical_and(worth > 1, ops.logical_not(is_found))
            if max_passes is not None:
                left = max_passes - 1 - self._sum(ops.cast(is_found, "int32"))
                is_new = self._affordable(worth, is_new, left)
            effects = self._with_found(effects, is_new)
            is_found = ops.logical_or(is_found, is_new)
            return self._with_others(effects, is_found), is_found

        state = effects, ops.zeros(shape, "bool")
        return ops.fori_loop(0, 1 + _STEPS, step, state)[0]

    def _wanted(self, effects, is_found, number, tolerance):
        """Returns the share of the windows around each that should be found.

        The mean of `k` effects is taken to be off by `s / (2 sqrt(k))`, with
        `s` the standard deviation of the map.
        """
        matters = self._matters(effects, is_found)
        if tolerance:
            share = 1 / (4 * tolerance**2 * self._over_position)
            step = ops.cast(number, "float32") / _STEPS
            wanted = matters * share * step
        else:  # all, and first of them those that matter
            wanted = ops.where(number > 0, 1 + matters, 0.0)
        return ops.maximum(wanted, self._first)

    def _matters(self, effects, is_found):
        """Returns how undecided the map is under each window, 0 to 1.

        Undecided is a position that may or may not be among the highest. Of
        several classes one is enough.
        """
        maps = self._maps(effects)
        known = self._maps(ops.cast(is_found, "float32")[..., None])
        error = ops.std(maps, axis=self._grid, keepdims=True) / 2
        error = error / ops.sqrt(ops.maximum(known * self._over_position, 1.0))
        undecided = 0.0
        for limit in self._limits(maps):
            off = ops.divide_no_nan(maps - limit, error)
            undecided = ops.maximum(undecided, ops.exp(-(off**2) / 2))
        undecided = ops.where(error > 0, undecided, 0.0)
        for axis, along_axis in enumerate(self._windows, 1):
            undecided = along_axis.mean_over_positions(undecided, axis)
        undecided = ops.max(undecided, axis=-1)
        most = ops.max(undecided, axis=self._grid, keepdims=True)
        return ops.divide_no_nan(undecided, most)

    def _limits(self, maps):
        """Returns the least of the highest values, of each share of them."""
        values = ops.sort(
            ops.reshape(maps, (self._batch, -1, self._classes)), axis=1
        )
        count = ops.shape(values)[1]
        shape = (self._batch, *[1] * len(self._windows), self._classes)
        for share in _HIGHEST:
            place = ops.cast(share * ops.cast(count, "float32"), "int32")
            least = ops.take(values, count - 1 - place, axis=1)
            yield ops.reshape(least, shape)

    def _maps(self, effects):
        for axis, along_axis in enumerate(self._windows, 1):
            effects = along_axis.mean_over_windows(effects, axis)
        return effects

    def _affordable(self, worth, is_new, left):
        """Returns those of the new windows that are not too many.

        Those worth most come first; of equal ones, all are taken or none.
        """
        wanted = ops.where(is_new, worth, 0.0)
        ranked = ops.reshape(wanted, (self._batch, -1))
        first_too_many = ops.clip(left, 0, ops.shape(ranked)[1])
        ranked = ops.pad(ranked, ((0, 0), (0, 1)))
        ranked = -ops.sort(-ranked, axis=1)
        least = entries_of_rows(ranked, first_too_many)
        return wanted > ops.reshape(least, (-1, *[1] * len(self._windows)))

    def _with_found(self, effects, is_new):
        """Computes the effects of the new windows.

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

    def _with_others(self, effects, is_found):
        """Gives the windows that were not found the mean of those around.

        Those in the smallest box that holds some, as wide as two patches and
        halves of it; beyond, all of the image.
        """
        is_found = is_found[..., None]
        found = ops.cast(is_found, "float32")
        mean = ops.divide_no_nan(
            self._sum(found * effects, True), self._sum(found, True)
        )
        # Sums of what differs from the mean are rounded least.
        differs = found * (effects - mean)

        def smaller(level, values):
            around, count = differs, found
            for axis, along_axis in enumerate(self._windows, 1):
                reach = ops.convert_to_tensor(along_axis.reach, "int32")
                reach = ops.right_shift(reach, level)
                around = along_axis.sum_around(around, axis, reach)
                count = along_axis.sum_around(count, axis, reach)
            return ops.where(count > 0.5, mean + around / count, values)

        reaches = [along_axis.reach for along_axis in self._windows]
        num_levels = max(reaches, default=0).bit_length()
        others = ops.fori_loop(
            0, num_levels, smaller, ops.zeros_like(effects) + mean
        )
        return ops.where(is_found, effects, others)

    def _sum(self, x, keepdims=False):
        return ops.sum(x, axis=self._grid, keepdims=keepdims)


def _turns(windows):
    """Returns when it is the turn of each window, above 0 to below 1.

    All windows before a turn of `s` are about `s` of those in any place, and
    lie on no grid: numbers of an additive recurrence along each axis, of the
    ratio that generalizes the golden one.
    """
    ratio = 2.0
    for _ in range(64):  # x ** (d + 1) = x + 1
        ratio = (1 + ratio) ** (1 / (len(windows) + 1))
    turns = ops.zeros((), "float32")
    for axis, along_axis in enumerate(windows, 1):
        place = ops.cast(ops.arange(along_axis.count), "float32")
        shape = [1] * len(windows)
        shape[axis - 1] = -1
        turns = turns + ops.reshape(place * ratio**-axis, shape)
    return ops.maximum(turns - ops.floor(turns), 1e-6)
