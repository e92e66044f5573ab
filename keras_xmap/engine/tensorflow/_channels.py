"""Which axis of an input a model takes for channels.

An input `(batch, 28, 28)` may be 28 steps of 28 channels or an image without
channels: its shape does not tell, the model does. The axes of the input are
followed, operation by operation, to the first one that treats an axis as
channels: a convolution, a matrix product with weights, a normalisation. Of an
image the product may be one over its rows, so that a convolution says more.
"""

import math

import keras
import tensorflow as tf

from keras_xmap.engine.tensorflow import _graph as graph

# These take the last axis for channels; the lists of recurrent layers, too.
_LAST = (
    "ExtractImagePatches",
    "ResizeBicubic",
    "ResizeBilinear",
    "ResizeNearestNeighbor",
    "ScaleAndTranslate",
    "TensorListFromTensor",
)
# These have the data format as an attribute.
_FORMATTED = (
    "AvgPool",
    "BiasAdd",
    "Conv",
    "Depthwise",
    "FusedBatch",
    "MaxPool",
)
_ELEMENTWISE = ("Add", "AddV2", "DivNoNan", "Mul", "RealDiv", "Sub")
_REDUCTIONS = ("All", "Any", "Max", "Mean", "Min", "Prod", "Sum")


class Unclear(Exception):
    """The model treats as channels what is several axes of the input."""


def channel_axis(x, targets, known_axes):
    """Returns the axis of the channels of `x`, or `None` if it has none.

    Args:
        x: Tensor: an input.
        targets: List of tensors that a model computes from it.
        known_axes: Dict of the axis of channels by references of tensors,
            where a layer tells and its operations do not.

    Raises:
        LookupError: If nothing treats an axis as channels.
        Unclear: If it does so with several axes at once.
    """
    # For each tensor a list: the axes of `x` that each of its axes holds.
    axes = {x.ref(): [{axis} for axis in range(len(x.shape))]}
    product = None  # what a product with weights sums over
    for op in graph.operations_between([x], targets):
        for number, source in enumerate(op.inputs):
            known = axes.get(source.ref())
            if known is None:
                continue
            axis = known_axes.get(source.ref())
            if axis is None:
                axis = _channels_of(op, number, axes)
            if axis is not None and axis < len(known):
                if not _may_be_rows(op, len(x.shape), product):
                    return _single(_better(known[axis], product))
                product = product or known[axis]
            for output in op.outputs:
                moved = _moved(op, number, axes, output)
                if moved is not None and output.shape.rank == len(moved):
                    axes.setdefault(output.ref(), moved)
    if product is not None:
        return _single(product)
    raise LookupError


def _may_be_rows(op, rank, product):
    """Whether what an operation takes for channels may be positions.

    So it is of a product with weights, and of the bias that is added to it.
    """
    is_bias = product is not None and op.type in (*_ELEMENTWISE, "BiasAdd")
    return rank > 3 and (op.type == "Einsum" or is_bias)


def _better(held, product):
    """Returns the axes that are channels by what follows a product."""
    is_clear = len(held) == 1 and 0 not in held
    return held if product is None or is_clear else product


def _single(held):
    if len(held) > 1 or 0 in held:
        raise Unclear
    return next(iter(held), None)


def _channels_of(op, number, axes):
    """Returns the axis of an input that `op` treats as channels, or `None`."""
    kind, x = op.type, op.inputs[number]
    others = [y for y in op.inputs if y is not x]
    if any(y.ref() in axes for y in others):
        return None
    if kind in _LAST:
        return len(x.shape) - 1
    if kind.startswith(_FORMATTED):
        if number != (2 if kind.endswith("BackpropInput") else 0):
            return None
        is_first = op.get_attr("data_format").decode().startswith("NC")
        return 1 if is_first else len(x.shape) - 1
    if kind == "Einsum":
        return _contracted(op, number)
    if kind == "MatMul" or kind.startswith("BatchMatMul"):
        return len(x.shape) - 1 if number == 0 else None
    if kind in _ELEMENTWISE and others:
        return _axis_of_vector(others[0].shape, x.shape)
    return None


def _contracted(op, number):
    """Returns the one axis over which weights are summed."""
    sources, result = op.get_attr("equation").decode().split("->")
    taken = sources.split(",")
    summed = [
        axis
        for axis, letter in enumerate(taken[number])
        if letter not in result and "." not in taken[number]
    ]
    return summed[0] if len(taken) == 2 and len(summed) == 1 else None


def _multiplied_out(op, number, axes):
    """Follows axes that a product with weights keeps."""
    sources, result = op.get_attr("equation").decode().split("->")
    taken = sources.split(",")[number]
    if "." in taken or len(taken) != len(axes):
        return None
    held = dict(zip(taken, axes, strict=True))
    summed = [held[letter] for letter in taken if letter not in result]
    return [held.get(letter, set().union(*summed)) for letter in result]


def _axis_of_vector(weights, shape):
    """Returns along which axis weights vary, if it is one."""
    if weights.rank is None or weights.rank > len(shape):
        return None
    varying = [
        axis + len(shape) - weights.rank
        for axis, size in enumerate(weights)
        if size != 1
    ]
    return varying[0] if len(varying) == 1 and varying[0] > 0 else None


def _moved(op, number, table, output):
    """Returns the axes that `output` holds, a list, or `None` if unknown."""
    kind, axes = op.type, table[op.inputs[number].ref()]
    if kind in ("Shape", "ShapeN", "Size", "Rank") or output.shape.rank is None:
        return None
    if kind == "Pack":
        axis = op.get_attr("axis") % len(output.shape)
        # Slices of an axis that are stacked again, as to reverse channels.
        whole = set(range(len(next(iter(table.values())))))
        lost = whole.difference(*axes) if len(op.inputs) > 1 else set()
        return [*axes[:axis], lost, *axes[axis:]]
    if number == 0:
        if kind == "Reshape":
            return _multiplied(op.inputs[1].op, table) or _reshaped(
                axes, list(op.inputs[0].shape), list(output.shape)
            )
        if kind == "StridedSlice":
            return _sliced(op, axes)
        if kind in ("ExpandDims", "Squeeze", "Transpose", "Unpack"):
            return _rearranged(op, axes)
        if kind in _REDUCTIONS and not op.get_attr("keep_dims"):
            return _without(axes, _static(op.inputs[1]))
    if kind == "Einsum":
        return _multiplied_out(op, number, axes)
    if kind in _ELEMENTWISE and len(output.shape) > len(axes):
        return [set()] * (len(output.shape) - len(axes)) + axes
    return axes


def _rearranged(op, axes):
    if op.type == "Squeeze":
        return _without(axes, op.get_attr("squeeze_dims"))
    if op.type == "Unpack":
        return _without(axes, [op.get_attr("axis")])
    value = _static(op.inputs[1])
    if value is None:
        return None
    if op.type == "Transpose":
        return [axes[axis] for axis in value]
    axis = value[0] % (len(axes) + 1)
    return [*axes[:axis], set(), *axes[axis:]]


def _static(tensor):
    value = tf.get_static_value(tensor)
    return None if value is None else value.ravel().tolist()


def _without(axes, removed):
    if not removed:
        return None
    removed = {axis % len(axes) for axis in removed}
    return [held for axis, held in enumerate(axes) if axis not in removed]


def _sliced(op, axes):
    """Follows `x[..., None]` and `x[:, 0]`."""

    def is_set(name, place):
        return op.get_attr(name) >> place & 1

    count = op.inputs[1].shape[0]
    if count is None:
        return None
    places = range(count)
    num_taken = sum(
        not is_set("new_axis_mask", p) and not is_set("ellipsis_mask", p)
        for p in places
    )
    rest, moved = list(axes), []
    for place in places:
        if is_set("ellipsis_mask", place):
            skipped = len(axes) - num_taken
            moved, rest = moved + rest[:skipped], rest[skipped:]
        elif is_set("new_axis_mask", place):
            moved.append(set())
        else:
            held = rest.pop(0)
            if not is_set("shrink_axis_mask", place):
                moved.append(held)
    return moved + rest


def _reshaped(axes, before, after):
    """Follows axes that are kept, those of size 1 that are new, and merges."""
    left = 0
    most = min(len(before), len(after))
    while left < most and _is_same(left, left, before, after):
        left += 1
    right = 0
    while right < most - left and _is_same(
        -1 - right, len(before) - 1 - right, before, after
    ):
        right += 1
    middle = axes[left : len(axes) - right]
    merged = set().union(*middle)
    new = [
        set() if size == 1 else merged
        for size in after[left : len(after) - right]
    ]
    kept = axes[len(axes) - right :] if right else []
    return axes[:left] + new + kept


def _is_same(index, place, before, after):
    """Whether an axis is kept: of unknown size, if all others hold as much.

    Of several unknown sizes, the first one is that of the batch.
    """
    if before[index] != after[index]:
        return False
    if before[index] is not None:
        return True
    sizes = [[n for n in shape if n is not None] for shape in (before, after)]
    lengths = len(before) - len(sizes[0]), len(after) - len(sizes[1])
    as_many = lengths[0] == lengths[1]
    if as_many and math.prod(sizes[0]) == math.prod(sizes[1]):
        return True
    return place == 0 and lengths != (1, 1)


def _multiplied(sizes, table):
    """Follows axes whose sizes are multiplied, as `tensordot` does."""
    if sizes.type != "Pack":
        return None
    held = []
    for size in sizes.inputs:
        taken = size.op.inputs[0].op if size.op.type == "Prod" else size.op
        if taken.type != "GatherV2" or taken.inputs[0].op.type != "Shape":
            return None
        axes = table.get(taken.inputs[0].op.inputs[0].ref())
        chosen = _static(taken.inputs[1])
        if axes is None or chosen is None:
            return None
        held.append(set().union(*(axes[axis] for axis in chosen)))
    return held


def axes_of_recurrent_layers(calls):
    """Returns the axes of channels that recurrent layers tell: a dict.

    By references of what they are called on; their loops run over lists,
    which do not tell the axis.
    """
    found = {}
    for call in calls:
        if isinstance(call.layer, keras.layers.RNN) and call.inputs:
            x = call.inputs[0]
            is_first = (
                getattr(call.layer.cell, "data_format", None)
                == "channels_first"
            )
            found[x.ref()] = 2 if is_first else len(x.shape) - 1
    return found


def flat_tensors(structure):
    """Returns the tensors of a structure, a list."""
    return [x for x in keras.tree.flatten(structure) if tf.is_tensor(x)]
