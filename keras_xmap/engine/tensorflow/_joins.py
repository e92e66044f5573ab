"""Tensors that are stacked, and reduced again along the stack.

The maximum over `stack([x, zeros])` is a function of the two, position by
position, as `maximum(x, zeros)` is.
"""

import numpy as np
import tensorflow as tf

_JOINS = ("ConcatV2", "Pack")
_REDUCTIONS = ("Max", "Mean", "Min", "Prod", "Sum")
_PADS = ("Pad", "PadV2")
# These leave the values of a tensor as they are, or turn them all round.
_MOVES = {"ExpandDims", "Identity", "Neg", "Reshape", "Squeeze", "Transpose"}


def joined_parts(op):
    """Returns the tensors that are stacked for a reduction: a list.

    `None` if the operation is no reduction of a stack, along it alone.
    """
    if op.type not in _REDUCTIONS or op.inputs[0].op.type not in _JOINS:
        return None
    join, axes = op.inputs[0].op, tf.get_static_value(op.inputs[1])
    rank = op.inputs[0].shape.rank
    if axes is None or rank is None or np.size(axes) != 1:
        return None
    axis = joined_axis(join) % rank
    if int(np.ravel(axes)[0]) % rank != axis:
        return None
    if join.type == "Pack":
        return list(join.inputs)
    parts = list(join.inputs[:-1])
    is_stack = all(x.shape.rank and x.shape[axis] == 1 for x in parts)
    return parts if is_stack else None


def joined_axis(join):
    """Returns the axis along which tensors are joined."""
    if join.type == "Pack":
        return join.get_attr("axis")
    return int(tf.get_static_value(join.inputs[-1]))


def spread_over_join(op, gradient):
    """Returns the gradient of a reduction in the shape of what it reduces."""
    if not op.get_attr("keep_dims"):
        gradient = tf.expand_dims(gradient, joined_axis(op.inputs[0].op))
    return tf.broadcast_to(gradient, tf.shape(op.inputs[0]))


def of_part(join, number, gradient):
    """Returns the gradient of one of the tensors that are joined."""
    axis = joined_axis(join)
    place = number if join.type == "Pack" else [number]
    return tf.gather(gradient, place, axis=axis)


def picks_among_joined(op):
    """Whether an operation picks among tensors that were joined for it.

    Or among those and the number that they are padded with. What is joined
    along another axis, as the branches of a block are before they are pooled,
    is one tensor. Through a reshape, axes are not followed.
    """
    tensor, kinds = op.inputs[0], set()
    while tensor.op.type in _MOVES:
        kinds.add(tensor.op.type)
        tensor = tensor.op.inputs[0]
    join, rank = tensor.op, tensor.shape.rank
    if join.type not in (*_JOINS, *_PADS):
        return False
    if op.type.startswith("MaxPool"):
        # Windows: side by side in a new axis that was made one of positions.
        return join.type == "Pack" and "Reshape" in kinds
    is_sorted = op.type == "TopKV2"  # along the last axis
    axes = np.array(-1) if is_sorted else tf.get_static_value(op.inputs[1])
    if axes is None or rank is None or kinds - {"Identity", "Neg"}:
        return join.type in _JOINS
    picked = set(np.ravel(axes % rank).tolist())
    return not picked.isdisjoint(axis % rank for axis in _joined_axes(join))


def _joined_axes(join):
    if join.type in _JOINS:
        return [joined_axis(join)]
    paddings = tf.get_static_value(join.inputs[1])
    return [] if paddings is None else np.flatnonzero(paddings.any(axis=1))
