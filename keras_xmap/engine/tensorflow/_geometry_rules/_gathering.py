"""Operations that take positions by their numbers."""

import math

import numpy as np

from keras_xmap.engine import _places
from keras_xmap.engine._places import Places
from keras_xmap.engine._places import Unknown
from keras_xmap.engine.tensorflow._constants import execute
from keras_xmap.engine.tensorflow._geometry_rules._rules import Rules

rule = Rules()


@rule("GatherV2")
def _gather(op, operands, walk):
    axis = int(walk.value(op.inputs[2]))
    if operands[1] is None:
        rank = len(operands[0].shape)
        if op.get_attr("batch_dims"):
            return Unknown("it takes other positions of every image")
        keys = [slice(None)] * rank
        keys[axis % rank] = walk.value(op.inputs[1])
        return _places.indexed(operands[0], keys)
    if operands[0] is not None:
        return Unknown("which positions it takes depends on the input")
    # An embedding: rows of a table, one a position.
    table = walk.shape(op.inputs[0])
    keys = [None] * axis + [slice(None)] * len(operands[1].shape)
    keys += [None] * (len(table) - axis - 1)
    found = _places.indexed(operands[1], keys)
    shape = [*table[:axis], *operands[1].shape, *table[axis + 1 :]]
    return Places(shape, found.readings)


@rule("ResourceGather")
def _embedding(op, operands, walk):
    source = operands[1]
    shape = op.outputs[0].shape.as_list()[len(source.shape) :]
    keys = [slice(None)] * len(source.shape) + [None] * len(shape)
    found = _places.indexed(source, keys)
    return Places((*source.shape, *shape), found.readings)


@rule(
    "BatchToSpaceND",
    "DepthToSpace",
    "ExtractImagePatches",
    "ExtractVolumePatches",
    "GatherNd",
    "SpaceToBatchND",
    "SpaceToDepth",
)
def _take(op, operands, walk):
    """Runs the operation on the numbers of the elements."""
    source, *others = operands
    if source is None or any(other is not None for other in others):
        return Unknown("which positions it takes depends on the input")
    shape = list(source.shape)
    moves = any(
        len(shape) - 1 in c.varies for one in source.readings for c in one
    )
    # Channels that all lie in one place are moved as one.
    blocks = 1
    if op.type == "DepthToSpace":
        blocks = op.get_attr("block_size") ** 2
    channels = shape[-1] // blocks
    is_merged = not moves and op.type != "GatherNd"
    if is_merged:
        shape[-1] = blocks
    index = np.arange(1, math.prod(shape) + 1, dtype="int32").reshape(shape)
    numbers = [walk.value(x) for x in list(op.inputs)[1:]]
    (index,) = execute(op, [index, *numbers])
    if is_merged:
        found = _places.moved(Places(shape, source.readings), index)
        keys = [slice(None)] * (index.ndim - 1)
        keys.append(np.repeat(np.arange(index.shape[-1]), channels))
        return _places.indexed(found, keys)
    return _places.moved(source, index)
