"""Pixels that are gone, from their neighbours: the linear system of ROAD."""

from keras import ops

# Of the residual there is at the first guess: far below the noise that is put
# on top, and as far as float32 goes.
_TOLERANCE = 1e-5


def linear_imputation(x, is_gone, axes):
    """Makes each pixel that is gone the weighted mean of its neighbours.

    All at once, so that those inside of a hole are means of one another: the
    solution of a sparse linear system, one for each image and channel, by
    conjugate gradients. Beside a direct neighbour, a diagonal one weighs a
    half; at the border those that there are share the weight.

    Args:
        x: Float tensor `(batch, ...)`.
        is_gone: Boolean tensor that broadcasts to `x`, the same for all
            channels, which leaves at least one pixel of each image.
        axes: Tuple of integers: the axes of the positions.

    Returns:
        Tensor like `x`.
    """
    gone = ops.cast(is_gone, x.dtype)
    kept = 1.0 - gone
    degree = _neighbours(ops.ones_like(x), axes)

    def system(u):
        return gone * (degree * u - _neighbours(u, axes))

    def dot(a, b):
        return ops.sum(a * b, axis=axes, keepdims=True)

    count = ops.sum(kept + ops.zeros_like(x), axis=axes, keepdims=True)
    mean = ops.sum(kept * x, axis=axes, keepdims=True) / count
    # What is solved for is the difference to the mean colour.
    rest = gone * _neighbours(kept * (x - mean), axes)
    u = ops.zeros_like(x)
    towards = rest / degree
    energy = dot(rest, towards)
    enough = _TOLERANCE**2 * energy
    longest = 10 * sum(ops.shape(x)[axis] for axis in axes) + 50

    def goes_on(step, u, rest, towards, energy):
        return ops.logical_and(step < longest, ops.any(energy > enough))

    def improved(step, u, rest, towards, energy):
        moved = system(towards)
        length = ops.divide_no_nan(energy, dot(towards, moved))
        u = u + length * towards
        rest = rest - length * moved
        closer = dot(rest, rest / degree)
        towards = rest / degree + ops.divide_no_nan(closer, energy) * towards
        return step + 1, u, rest, towards, closer

    start = (ops.zeros((), "int32"), u, rest, towards, energy)
    _, u, _, _, _ = ops.while_loop(goes_on, improved, start)
    return ops.where(is_gone, mean + u, x)


def _neighbours(x, axes):
    """Returns the weighted sum over all neighbours of each pixel.

    The weights 1 beside and 1/2 across are, up to the middle, the product of
    (1/2, 1, 1/2) along each axis.
    """
    total = x
    for axis in axes:
        both = _shifted(total, axis, 1) + _shifted(total, axis, -1)
        total = total + 0.5 * both
    return 2.0 * (total - x)


def _shifted(x, axis, by):
    """Moves `x` by one pixel along an axis, zeros follow."""
    size = ops.shape(x)[axis]
    parts = [slice(None)] * len(x.shape)
    parts[axis] = slice(0, size - 1) if by > 0 else slice(1, size)
    widths = [(0, 0)] * len(x.shape)
    widths[axis] = (1, 0) if by > 0 else (0, 1)
    return ops.pad(x[tuple(parts)], widths)
