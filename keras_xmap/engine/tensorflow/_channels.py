"""Which axis of an input a model takes for channels.

An input `(batch, 28, 28)` may be 28 steps of 28 channels or an image without
channels: its shape does not tell, the model does. The axes of the input are
followed, operation by operation, to the first one that treats an axis as
channels: a convolution, a normalisation, a matrix product with weights. Such a
product may also be one over positions, as of the rows of an image or the steps
of a sequence: it tells only of the axis where channels usually are.
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
_PRODUCTS = ("BatchMatMul", "Einsum", "MatMul")
_ELEMENTWISE = ("Add", "AddV2", "DivNoNan", "Mul", "RealDiv", "Sub")
_REDUCTIONS = ("All", "Any", "Max", "Mean", "Min", "Prod", "Sum")


class Unclear(Exception):
    """The model treats as channels what is several axes of the input."""


class OnlyProducts(Exception):
    """The model takes products over an axis that need not be channels.

    Attributes:
        axis: Integer: this axis.
    """

    def __init__(self, axis):
        super().__init__(axis)
        self.axis = axis


def channel_axis(x, targets, known_axes, by_format):
    """Returns the axis of the channels of `x`, or `None` if it has none.

    Args:
        x: Tensor: an input.
        targets: List of tensors that a model computes from it.
        known_axes: Dict of the axis of channels by references of tensors,
            where a layer tells and its operations do not.
        by_format: Integer: the axis of channels by the data format.

    Raises:
        LookupError: If nothing treats an axis as channels.
        Unclear: If it does so with several axes at once.
        OnlyProducts: If all that does so are products over another axis.
    """
    # For each tensor a list: the axes of `x` that each of its axes holds.
    axes = {x.ref(): [{axis} for axis in range(len(x.shape))]}
    products = []  # what products with weights sum over
    for op in graph.operations_between([x], targets):
        for number, source in enumerate(op.inputs):
            known = axes.get(source.ref())
            if known is None:
                continue
            axis = known_axes.get(source.ref())
            if axis is None:
                axis = _channels_of(op, number, axes)
            if axis is not None and axis < len(known):
                if not _may_be_of_positions(op, products):
                    return _single(_better(known[axis], products))
                products.append(known[axis])
            for output in op.outputs:
                moved = _moved(op, number, axes, output)
                if moved is not None and output.shape.rank == len(moved):
                    axes.setdefault(output.ref(), moved)
    # Sequences have their channels last, whatever the format of images.
    usual = {by_format, len(x.shape) - 1} if len(x.shape) == 3 else {by_format}
    return _of_products(products, usual)


def unknown_channels(x, usual, summed):
    """Returns the error where an input may have its channels in two axes."""
    count = x.shape[usual] or "channels"
    return ValueError(
        "It is not known which axis of an input holds its channels. Expected: "
        f"axis {usual}, by the data format, or one that a convolution or a "
        "normalisation tells. Received: an input of shape "
        f"{tuple(x.shape)} of which products are taken over axis {summed} "
        "alone, which may hold channels or positions. Tell it by a layer in "
        "front of the model that changes nothing, for axis "
        f"{usual} keras.layers.Normalization({usual}, mean=[0.0] * {count}, "
        f"variance=[1.0] * {count}), or take the derivatives of all values, as "
        "in Saliency(model, channel_reduction=None)."
    )


def _may_be_of_positions(op, products):
    """Whether what an operation takes for channels may be positions.

    So it is of a product with weights, and of the bias that is added to it.
    """
    is_bias = products and op.type in (*_ELEMENTWISE, "BiasAdd")
    return op.type.startswith(_PRODUCTS) or is_bias


def _better(held, products):
    """Returns the axes that are channels by what follows products."""
    return held if not products or _is_one(held) else products[0]


def _of_products(products, usual):
    if not products:
        raise LookupError
    clear = [next(iter(held)) for held in products if _is_one(held)]
    for axis in clear:
        if axis in usual:
            return axis
    if not _is_one(products[0]):
        return _single(products[0])
    raise OnlyProducts(clear[0])


def _is_one(held):
    return len(held) == 1 and 0 not in held


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


class _Merged(set):
    """The axes that one axis holds, and what it was merged from.

    Attributes:
        parts: List of pairs: the axes that each of those held, and its size.
    """

    def __init__(self, parts):
        super().__init__(set().union(*(held for held, _ in parts)))
        self.parts = parts


def _together(parts):
    return parts[0][0] if len(parts) == 1 else _Merged(parts)


def _reshaped(axes, before, after):
    """Follows axes that are kept, those of size 1 that are new, and merges.

    A product merges the axes that it keeps and takes them apart again.
    """
    apart = [
        part
        for held, size in zip(axes, before, strict=True)
        for part in getattr(held, "parts", [(held, size)])
    ]
    if len(apart) > len(axes) and _may_be_equal([n for _, n in apart], after):
        return [held for held, _ in apart]
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
    sizes = before[left : len(before) - right]
    merged = _together(list(zip(middle, sizes, strict=True)))
    new = [
        set() if size == 1 else merged
        for size in after[left : len(after) - right]
    ]
    kept = axes[len(axes) - right :] if right else []
    return axes[:left] + new + kept


def _may_be_equal(one, other):
    return len(one) == len(other) and all(
        None in (a, b) or a == b for a, b in zip(one, other, strict=True)
    )


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
        source = taken.inputs[0].op.inputs[0]
        axes, chosen = table.get(source.ref()), _static(taken.inputs[1])
        if axes is None or chosen is None:
            return None
        held.append(_together([(axes[n], source.shape[n]) for n in chosen]))
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
