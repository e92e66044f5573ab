"""The windows of an input that are covered: where they lie, and their means."""

from keras import ops

from keras_xmap._checks import check_positive_integer


def windows_of(x, layout, patch_size, strides):
    """Returns the `Windows` along each axis of positions of an input.

    Args:
        x: The input.
        layout: `InputLayout` of it.
        patch_size: Integer or tuple, as the user gave it.
        strides: The same, or `None` for windows side by side.
    """
    rank = len(layout.axes)
    patch = _per_axis("patch_size", patch_size, rank, x)
    strides = _per_axis("strides", strides or patch_size, rank, x)
    return [
        Windows(*axis) for axis in zip(layout.size, patch, strides, strict=True)
    ]


def number_of(windows):
    """Returns how many windows there are in all."""
    count = 1
    for along_axis in windows:
        count = count * along_axis.count
    return count


def covered(x, layout, windows, numbers):
    """Returns where windows lie: booleans that broadcast to the input.

    Args:
        x: The input.
        layout: `InputLayout` of it.
        windows: List of `Windows`, one for each axis of positions.
        numbers: Integer tensor `(n,)`: windows, counted row by row.
    """
    result = True
    for axis, along_axis in zip(
        reversed(layout.axes), reversed(windows), strict=True
    ):
        inside = along_axis.contains(numbers % along_axis.count)
        for other in range(1, len(x.shape)):
            if other != axis:
                inside = ops.expand_dims(inside, other)
        result = ops.logical_and(result, inside)
        numbers = numbers // along_axis.count
    return result


def maps_of_effects(effects, windows):
    """Returns the mean effect of the windows over each position.

    Args:
        effects: Tensor `(batch, classes, *windows)`.
        windows: List of `Windows`, one for each axis.
    """
    for axis, along_axis in enumerate(windows, 2):
        effects = along_axis.mean_over_windows(effects, axis)
    return effects


class Windows:
    """The windows along one axis: where they lie, and means over them."""

    def __init__(self, size, width, stride):
        self.size = size
        self.width = width
        self.stride = stride
        if isinstance(size, int):
            beyond = max(size - width, 0)
        else:
            beyond = ops.maximum(size - width, 0)
        self.count = (beyond + stride - 1) // stride + 1

    @property
    def reach(self):
        """How many whole strides a window is long."""
        return self.width // self.stride

    @property
    def per_position(self):
        """How many windows lie over a position that is far from the edges."""
        if isinstance(self.count, int):
            return min(self.width / self.stride, self.count)
        count = ops.cast(self.count, "float32")
        return ops.minimum(self.width / self.stride, count)

    def contains(self, index):
        """Returns which positions windows `(n,)` cover, `(n, size)`."""
        place, start = ops.arange(self.size), index[:, None] * self.stride
        return ops.logical_and(place >= start, place < start + self.width)

    def mean_over_windows(self, x, axis):
        """Turns one value per window into one per position, along `axis`.

        A sum over the few windows that meet at a position, rather than a
        matrix product, which GPUs round to fewer digits.
        """
        place = ops.arange(self.size)
        last = ops.minimum(place // self.stride, self.count - 1)
        shape = [1] * len(x.shape)
        shape[axis] = -1
        total = number = 0.0
        for back in range(-(-self.width // self.stride)):
            window = ops.maximum(last - back, 0)
            covers = ops.logical_and(
                last >= back, place < window * self.stride + self.width
            )
            covers = ops.reshape(ops.cast(covers, x.dtype), shape)
            total = total + covers * ops.take(x, window, axis=axis)
            number = number + covers
        return total / number

    def mean_over_positions(self, x, axis):
        """Turns one value per position into one per window, along `axis`."""
        start = ops.arange(self.count) * self.stride
        stop = ops.minimum(start + self.width, self.size)
        shape = [1] * len(x.shape)
        shape[axis] = -1
        length = ops.reshape(ops.cast(stop - start, x.dtype), shape)
        return _sum_between(x, axis, start, stop) / length

    def sum_around(self, x, axis, reach):
        """Sums the values of windows up to `reach` before and behind each."""
        place = ops.arange(self.count)
        start = ops.maximum(place - reach, 0)
        stop = ops.minimum(place + reach + 1, self.count)
        return _sum_between(x, axis, start, stop)


def _sum_between(x, axis, start, stop):
    """Sums `x` along `axis`, from each of `start` to before that of `stop`."""
    padding = [(0, 0)] * len(x.shape)
    padding[axis] = (1, 0)
    total = ops.pad(ops.cumsum(x, axis=axis), padding)
    return ops.take(total, stop, axis) - ops.take(total, start, axis)


def _per_axis(name, sizes, rank, x):
    if isinstance(sizes, int):
        return (sizes,) * rank
    if len(sizes) != rank:
        raise ValueError(
            f"`{name}` must have one entry per axis of positions. Received: "
            f"{name}={sizes} for an input of shape {tuple(x.shape)}. An "
            "integer serves inputs of every number of axes."
        )
    return sizes


def check_sizes(name, sizes):
    if isinstance(sizes, (list, tuple)):
        for size in sizes:
            check_positive_integer(name, size)
        return tuple(int(size) for size in sizes)
    return check_positive_integer(name, sizes)


def check_no_gaps(patch_size, strides):
    both = (patch_size, strides)
    lengths = {len(sizes) for sizes in both if not isinstance(sizes, int)}
    rank = max(lengths, default=1)
    widths, steps = (
        (sizes,) * rank if isinstance(sizes, int) else sizes for sizes in both
    )
    if len(lengths) > 1 or any(
        step > width for width, step in zip(widths, steps, strict=True)
    ):
        raise ValueError(
            "`strides` must be at most `patch_size`, along each axis, so that "
            f"windows leave no gaps. Received: strides={strides}, "
            f"patch_size={patch_size}."
        )
