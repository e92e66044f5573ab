"""Operations that bring all positions to other axes, orders and shapes."""

import math

import numpy as np

from keras_xmap.engine import _places
from keras_xmap.engine.tensorflow._geometry_rules._rules import Rules

rule = Rules()


@rule("Reshape")
def _reshape(op, operands, walk):
    source = operands[0]
    shape = walk.value(op.inputs[1]).tolist()
    size = math.prod(source.shape)
    if -1 in shape:
        shape[shape.index(-1)] = size // -math.prod(shape)
    return _places.reshaped(source, shape)


@rule("ExpandDims")
def _expand(op, operands, walk):
    rank = len(operands[0].shape)
    keys = [slice(None)] * rank
    keys.insert(int(np.ravel(walk.value(op.inputs[1]))[0]) % (rank + 1), None)
    return _places.indexed(operands[0], keys)


@rule("Squeeze")
def _squeeze(op, operands, walk):
    shape = operands[0].shape
    axes = [n % len(shape) for n in op.get_attr("squeeze_dims")]
    axes = axes or [n for n, length in enumerate(shape) if length == 1]
    return _places.without(operands[0], axes)


@rule("Transpose")
def _transpose(op, operands, walk):
    return _places.transposed(operands[0], walk.value(op.inputs[1]).tolist())


@rule("BroadcastTo")
def _broadcast(op, operands, walk):
    return _places.merged([operands[0]], walk.value(op.inputs[1]).tolist())


@rule("ReverseV2")
def _reverse(op, operands, walk):
    axes = np.ravel(walk.value(op.inputs[1]))
    return _along(operands[0], axes, lambda length, n: np.arange(length)[::-1])


@rule("Roll")
def _roll(op, operands, walk):
    shifts = np.ravel(walk.value(op.inputs[1]))
    axes = np.ravel(walk.value(op.inputs[2]))
    return _along(
        operands[0],
        axes,
        lambda length, n: np.roll(np.arange(length), shifts[n]),
    )


@rule("Tile")
def _tile(op, operands, walk):
    times = walk.value(op.inputs[1])
    return _along(
        operands[0],
        range(len(times)),
        lambda length, n: np.tile(np.arange(length), times[n]),
    )


def _along(source, axes, index):
    """Takes positions along each of `axes`, as `index(length, n)` says."""
    rank = len(source.shape)
    for number, axis in enumerate(axes):
        keys = [slice(None)] * rank
        keys[axis % rank] = index(source.shape[axis % rank], number)
        source = _places.indexed(source, keys)
    return source
