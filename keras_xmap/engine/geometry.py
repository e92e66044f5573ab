"""A layer's positions as a map of the input: what lies where.

`Geometry` is made from the places of a layer's output (`_places`): it brings
the output to `(batch, *positions, channels)`, and lays maps of these positions
on the input.
"""

import itertools
import math

import numpy as np
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap.engine._places import Places
from keras_xmap.engine._places import Unknown
from keras_xmap.engine._places import spread
from keras_xmap.engine._places import typical_step

# Neighbours further apart than this many typical steps leave a gap.
_GAP = 2.5
# Centres nearer than this many steps are of the same place.
_SAME = 0.75


class TooFewSizesError(ValueError):
    """A model has layers of fewer sizes than are asked for."""


class GeometryError(ValueError):
    """A layer's positions cannot be laid where they belong.

    Attributes:
        is_unknown: Boolean: whether they could not be followed; else they
            were, and are no map of the input.
        is_mixed: Boolean: whether they are not those of one image each.
    """

    def __init__(self, message, is_unknown, is_mixed=False):
        super().__init__(message)
        self.is_unknown = is_unknown
        self.is_mixed = is_mixed


class Geometry:
    """How the output of a layer lies in one input.

    Args:
        places: `Places` or `Unknown` of the output, with a batch of
            `batch_size` images.
        size: Tuple of integers: the size of the input, by the axes that hold
            positions.
        input_axes: Tuple of integers: these axes.
        batch_size: Integer.
        data_format: Where channels are where geometry leaves it open.

    Attributes:
        size: See above.
        input_axes: See above.
        axes: List: for each axis of the input the axis of the arranged
            output, counted from 0 behind the batch, that runs over it;
            `None` where a position stands for the whole of it.
        is_as_expected: Boolean: whether its channels are where `data_format`
            says.
        has_prefix: Boolean: whether the output has positions without a place
            in the input, which `arrange` leaves out: class tokens.
        centres: List of float arrays: the places along each axis of the
            input, of the positions of the arranged output that run over it.
        bounds: List of arrays `(2, positions)`: lowest and highest pixel that
            is seen, NaN for none.

    Raises:
        GeometryError: If the output is no map of the input.
    """

    def __init__(self, places, size, input_axes, batch_size, data_format):
        self.size = tuple(size)
        self.input_axes = tuple(input_axes)
        self.has_prefix = False
        self._tokens = None
        places = self._unfolded(_one_reading(places), batch_size)
        self._shape = places.shape
        reading = places.readings[0]
        runs = [sorted(coordinates.varies) for coordinates in reading]
        if not any(runs):
            _refuse("none of its axes runs over positions of the input", False)
        self._channels = self._channel_axis(runs, data_format)
        own = [
            axis
            for axis in range(1, len(places.shape))
            if axis != self._channels
        ]
        self._own = own
        used = [axis for axes in runs for axis in axes]
        if len(used) == len(set(used)) == sum(bool(axes) for axes in runs):
            self._as_axes(reading, runs)
        else:
            self._as_tokens(reading, sorted(set(used)))

    def _unfolded(self, places, batch_size):
        """Takes positions apart that were folded into the batch."""
        rows = places.shape[0] // batch_size
        self._rows = rows
        if rows * batch_size != places.shape[0] or rows < 1:
            _refuse_mixed("its first axis is not that of images")

        def of_coordinates(coordinates):
            values = coordinates.values
            split = (batch_size, rows) if values.shape[1] > 1 else (1, 1)
            return coordinates.with_values(
                values.reshape(3, *split, *values.shape[2:])
            )

        places = places.each(
            (batch_size, rows, *places.shape[1:]), of_coordinates
        )
        if any(0 in coordinates.varies for coordinates in places.readings[0]):
            _refuse_mixed("it mixes the images of a batch")
        return places

    def _channel_axis(self, runs, data_format):
        free = set(range(1, len(self._shape))) - {
            a for axes in runs for a in axes
        }
        wide = [axis for axis in sorted(free) if self._shape[axis] > 1]
        expected = channel_axis(data_format) % (len(self._shape) - 1) + 1
        if data_format == "channels_first":
            expected = 2
        self.is_as_expected = expected in free and set(wide) <= {expected}
        if self.is_as_expected:
            return expected
        if len(wide) == 1:
            return wide[0]
        if wide or not free - {1}:
            _refuse(
                "it has no single axis of channels beside its positions", False
            )
        return max(free - {1})

    def _as_axes(self, reading, runs):
        """Each axis of the input has an axis of its own."""
        # Axes of size 1 that are no positions stay, and are laid nowhere.
        if self._rows == 1:
            self._own = [axis for axis in self._own if axis != 1]
        self.axes = [
            self._own.index(axes[0]) if axes else None for axes in runs
        ]
        self.centres, self.bounds = [], []
        for coordinates, axes in zip(reading, runs, strict=True):
            centre, low, high = coordinates.values.reshape(3, -1)
            self.centres.append(spread(centre) if axes else centre)
            self.bounds.append(np.stack([low, high]))

    def _as_tokens(self, reading, along):
        """The axes `along` hold positions in any order: tokens."""
        lengths = [self._shape[axis] for axis in along]
        full = [
            3,
            *[
                length if axis in along else 1
                for axis, length in enumerate(self._shape)
            ],
        ]
        lines = [
            np.broadcast_to(coordinates.values, full).reshape(3, -1)
            for coordinates in reading
        ]
        has_place = np.all([~np.isnan(line[0]) for line in lines], axis=0)
        kept = np.flatnonzero(has_place)
        self.has_prefix = len(kept) < np.prod(lengths)
        rounded = [np.round(line[0, kept], 4) for line in lines]
        found = [np.unique(values, return_inverse=True) for values in rounded]
        sizes = [len(values) for values, _ in found]
        cell = np.ravel_multi_index([which for _, which in found], sizes)
        if len(kept) != np.prod(sizes) or len(np.unique(cell)) != len(kept):
            _refuse(
                f"its {len(kept)} positions make no grid of the input", False
            )
        order = kept[np.argsort(cell)]
        others = [axis for axis in self._own if axis not in along]
        if any(self._shape[axis] > 1 for axis in others):
            _refuse(
                "it has no single axis of channels beside its positions", False
            )
        self._tokens = (along, order)
        moving = [n for n, c in enumerate(reading) if c.varies]
        self._grid = [sizes[n] for n in moving]
        self.axes = [
            moving.index(n) if n in moving else None for n in range(len(sizes))
        ]
        self.centres = [values for values, _ in found]
        self.bounds = [
            _bounds_of_groups(line[1:, kept], which, len(values))
            for line, (values, which) in zip(lines, found, strict=True)
        ]

    def beside(self, maps, x):
        """Returns laid maps with the axes of the input `x`, to meet it."""
        for axis in range(1, len(x.shape)):
            if axis not in self.input_axes:
                maps = ops.expand_dims(maps, axis)
        return maps

    @property
    def axes_run_over(self):
        """Tuple: those of `input_axes` that an axis of positions runs over."""
        pairs = zip(self.input_axes, self.axes, strict=True)
        return tuple(axis for axis, own in pairs if own is not None)

    @property
    def is_of_axes(self):
        """Whether each axis of positions runs over one axis of the input."""
        return self._tokens is None and self._rows == 1

    @property
    def is_whole(self):
        """Whether it is of images, and each position has a place in them."""
        return self.is_of_images and not self.has_prefix

    @property
    def is_of_images(self):
        """Whether no positions are folded into the first axis, as windows."""
        return self._rows == 1

    @property
    def positions(self):
        """Tuple of integers: how many positions an arranged output has."""
        if self._tokens:
            return tuple(self._grid)
        return tuple(self._shape[axis] for axis in self._own)

    def arrange(self, x):
        """Returns a tensor of the layer as `(batch, *positions, channels)`."""
        if self._rows > 1:
            x = ops.reshape(x, (-1, *self._shape[1:]))
        else:
            x = ops.expand_dims(x, 1)
        if self._tokens is None:
            return self._arranged_axes(x)
        along, order = self._tokens
        rest = [axis for axis in self._own if axis not in along]
        x = ops.transpose(x, (0, *rest, *along, self._channels))
        count = math.prod(self._shape[axis] for axis in along)
        channels = self._shape[self._channels]
        x = ops.reshape(x, (-1, count, channels))
        x = ops.take(x, order, axis=1)
        return ops.reshape(x, (-1, *self._grid, channels))

    def _arranged_axes(self, x):
        order = (*self._own, self._channels)
        if self._rows > 1:
            return ops.transpose(x, (0, *order))
        return ops.squeeze(ops.transpose(x, (0, 1, *order)), 1)

    def lay(self, maps, size=None):
        """Lays maps of the layer's positions on the input.

        Args:
            maps: Float tensor `(batch, *positions)`.
            size: Tuple: the size of the result, which stands for the whole
                input. Defaults to `None`: the size of the input.

        Returns:
            Tensor `(batch, *size)`: linear between the centres of positions,
            constant outside the outermost, 0 where no position sees.
        """
        taps = self.taps(self.size if size is None else tuple(size))
        own, idle = self._order(len(maps.shape) - 1)
        maps = ops.transpose(maps, (0, *[n + 1 for n in (*own, *idle)]))
        for _ in idle:  # of size 1
            maps = maps[..., 0]
        for number, (index, weight) in enumerate(taps, start=1):
            if self.axes[number - 1] is None:
                maps = ops.expand_dims(maps, number)
            maps = ops.take(maps, index, axis=number)
            shape = [1] * len(maps.shape)
            shape[number], shape[number + 1] = ops.shape(weight)
            weight = ops.cast(ops.reshape(weight, shape), maps.dtype)
            maps = ops.sum(maps * weight, axis=number + 1)
        return maps

    def spread(self, maps, size=None):
        """Lays amounts of positions on the input, so that none is lost.

        Args:
            maps: See `lay`.
            size: See `lay`.

        Returns:
            Tensor as of `lay`: each position is divided by the pixels that
            it is laid on, so that the sums are equal.
        """
        taps = self.taps(self.size if size is None else tuple(size))
        pixels = ops.ones((1,) * len(maps.shape), maps.dtype)
        for (index, weight), axis in zip(taps, self.axes, strict=True):
            if axis is None:
                pixels = pixels * ops.sum(ops.cast(weight, maps.dtype))
                continue
            line = ops.segment_sum(
                ops.cast(ops.reshape(weight, (-1,)), maps.dtype),
                ops.reshape(index, (-1,)),
                ops.shape(maps)[axis + 1],
            )
            shape = [1] * len(maps.shape)
            shape[axis + 1] = -1
            pixels = pixels * ops.reshape(line, shape)
        # A position that is laid nowhere, in padding alone, is lost.
        shares = ops.where(pixels > 0, 1 / ops.maximum(pixels, 1e-6), 0)
        return self.lay(maps * shares, size)

    def gather(self, maps):
        """Reads maps of the input at the layer's positions.

        Args:
            maps: Float tensor `(batch, *size)`.

        Returns:
            Tensor `(batch, *positions)`: at each the mean of the pixels that
            it is laid on, weighed as they are in `lay`; 0 where it is laid on
            none.
        """
        own, idle = self._order(len(self.positions))
        for number, (index, weight) in enumerate(self.taps(self.size), start=1):
            axis = self.axes[number - 1]
            count = 1 if axis is None else self.positions[axis]
            maps = _mean_along(maps, number, index, weight, count)
        for number, axis in reversed(list(enumerate(self.axes, start=1))):
            if axis is None:
                maps = ops.squeeze(maps, number)
        for _ in idle:
            maps = maps[..., None]
        order = [*own, *idle]
        back = [order.index(n) + 1 for n in range(len(order))]
        return ops.transpose(maps, (0, *back))

    def _order(self, count):
        """Returns which of so many axes run over the input, and which not."""
        own = [axis for axis in self.axes if axis is not None]
        return own, [n for n in range(count) if n not in own]

    def is_same(self, other):
        """Returns whether positions lie in the same places of an input.

        Places less than a step of the grid apart are the same, as they are
        for the branches of a network.
        """
        return self.axes == other.axes and all(
            len(a) == len(b)
            and np.array_equal(np.isnan(a), np.isnan(b))
            and np.fmax.reduce(np.abs(a - b), initial=0)
            <= max(_SAME * typical_step(a), 1e-3)
            for a, b in zip(self.centres, other.centres, strict=True)
        )

    def taps(self, size):
        """Returns what each pixel is made from, for each axis of the input.

        Args:
            size: Tuple of integers: the size of the map, which stands for
                the whole input.

        Returns:
            List of pairs: integer array `(pixels, taps)` of positions, and
            float32 array of their weights.
        """
        return [
            _taps(centre, bounds, length, new)
            for centre, bounds, length, new in zip(
                self.centres, self.bounds, self.size, size, strict=True
            )
        ]


def _refuse(reason, is_unknown):
    raise GeometryError(reason, is_unknown)


def _refuse_mixed(reason):
    raise GeometryError(reason, is_unknown=False, is_mixed=True)


def _one_reading(places):
    if isinstance(places, Unknown):
        _refuse(places.reason, True)
    if not isinstance(places, Places):
        _refuse("it is not computed from the input", False)
    if len(places.readings) > 1:
        _refuse("its axes may be read as positions in several ways", False)
    return places


def _bounds_of_groups(bounds, which, count):
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    for line, best, function in ((0, low, np.fmin), (1, high, np.fmax)):
        function.at(best, which, bounds[line])
    nothing = np.isinf(low) | np.isinf(high)
    return np.where(nothing, np.nan, np.stack([low, high]))


def _taps(centre, bounds, length, size):
    """Linear between centres, constant outside them, 0 where none sees."""
    pixel = (np.arange(size) + 0.5) * length / size - 0.5
    positions = np.flatnonzero(~np.isnan(bounds[0]) & ~np.isnan(centre))
    weights = np.zeros((size, max(len(centre), 1)))
    if len(positions):
        known, member = np.unique(
            np.round(centre[positions], 4), return_inverse=True
        )
        shares = np.zeros((len(known), len(centre)))
        shares[member, positions] = 1 / np.bincount(member)[member]
        at = np.interp(pixel, known, np.arange(len(known)))
        below = np.floor(at).astype(int)
        above = np.minimum(below + 1, len(known) - 1)
        share = (at - below)[:, None]
        weights = shares[below] * (1 - share) + shares[above] * share
        weights[~_is_seen(pixel, known, bounds[:, positions])] = 0
    count = max(1, int((weights != 0).sum(axis=1).max()))
    index = np.argsort(weights == 0, axis=1, kind="stable")[:, :count]
    weights = np.take_along_axis(weights, index, axis=1)
    return index.astype("int32"), weights.astype("float32")


def _mean_along(maps, axis, index, weight, count):
    """Returns for each position the mean of its pixels along one axis."""
    weight = ops.cast(weight, maps.dtype)
    flat = ops.reshape(index, (-1,))
    maps = ops.moveaxis(maps, axis, 0)
    shape = ops.shape(maps)
    rest = ops.reshape(maps, (shape[0], 1, -1))
    shares = ops.reshape(rest * weight[..., None], (-1, ops.shape(rest)[-1]))
    sums = ops.segment_sum(shares, flat, count)
    total = ops.segment_sum(ops.reshape(weight, (-1, 1)), flat, count)
    means = ops.divide_no_nan(sums, total)
    return ops.moveaxis(ops.reshape(means, (count, *shape[1:])), 0, axis)


def _is_seen(pixel, centre, bounds):
    """Whether each pixel is seen, or lies between positions side by side."""
    low, high = bounds[:, :, None]
    seen = ((low - 0.5 <= pixel) & (pixel <= high + 0.5)).any(axis=0)
    far = _GAP * typical_step(centre)
    for start, end in itertools.pairwise(centre):
        if end - start <= far:
            seen |= (start <= pixel) & (pixel <= end)
    return seen
