"""What the operations of a graph do to the places of positions.

A rule takes the operation, the places of its inputs (`None` for what is not
made from the input) and the walk, which knows shapes and numbers. It returns
the places of the first output, or a list for all outputs.
"""

import itertools
import math

import numpy as np

from keras_xmap.engine import _places
from keras_xmap.engine._places import Places
from keras_xmap.engine._places import Unknown
from keras_xmap.engine.tensorflow._constants import execute

RULES: dict = {}


def rule(*kinds):
    """Registers a function as the rule of operations of these types."""

    def register(function):
        for kind in kinds:
            RULES[kind] = function
        return function

    return register


# Position by position -----------------------------------------------------

ELEMENTWISE = frozenset(
    [
        "Abs",
        "Acos",
        "Acosh",
        "Add",
        "AddN",
        "AddV2",
        "Angle",
        "Asin",
        "Asinh",
        "Atan",
        "Atan2",
        "Atanh",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "Bitcast",
        "Bucketize",
        "Cast",
        "Ceil",
        "CheckNumerics",
        "ClipByValue",
        "Complex",
        "ComplexAbs",
        "Conj",
        "Cos",
        "Cosh",
        "Cumprod",
        "Cumsum",
        "Digamma",
        "Div",
        "DivNoNan",
        "Elu",
        "EnsureShape",
        "Equal",
        "Erf",
        "Erfc",
        "Erfinv",
        "Exp",
        "Expm1",
        "FakeQuantWithMinMaxArgs",
        "FakeQuantWithMinMaxVars",
        "FakeQuantWithMinMaxVarsPerChannel",
        "Floor",
        "FloorDiv",
        "FloorMod",
        "Greater",
        "GreaterEqual",
        "Identity",
        "Imag",
        "Inv",
        "Invert",
        "IsFinite",
        "IsInf",
        "IsNan",
        "LRN",
        "LeakyRelu",
        "Less",
        "LessEqual",
        "Lgamma",
        "Log",
        "Log1p",
        "LogSoftmax",
        "LogicalAnd",
        "LogicalNot",
        "LogicalOr",
        "Maximum",
        "Minimum",
        "Mod",
        "Mul",
        "MulNoNan",
        "Ndtri",
        "Neg",
        "NextAfter",
        "NotEqual",
        "Polygamma",
        "Pow",
        "PreventGradient",
        "QuantizeAndDequantizeV2",
        "QuantizeAndDequantizeV3",
        "QuantizeAndDequantizeV4",
        "Real",
        "RealDiv",
        "Reciprocal",
        "Relu",
        "Relu6",
        "Rint",
        "Round",
        "Rsqrt",
        "Select",
        "SelectV2",
        "Selu",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Snapshot",
        "Softmax",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Square",
        "SquaredDifference",
        "StopGradient",
        "Sub",
        "Tan",
        "Tanh",
        "TruncateDiv",
        "TruncateMod",
        "Xdivy",
        "Xlog1py",
        "Xlogy",
        "Zeta",
    ]
)
_ABOUT_SHAPES = ["Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"]
_REDUCTIONS = [
    "All",
    "Any",
    "EuclideanNorm",
    "Max",
    "Mean",
    "Min",
    "Prod",
    "Sum",
]


@rule(*_ABOUT_SHAPES)
def _constant(op, operands, walk):
    return [None] * len(op.outputs)


@rule(*ELEMENTWISE)
def _elementwise(op, operands, walk):
    shapes = [walk.shape(x) for x in op.inputs]
    shape = np.broadcast_shapes(*[x for x in shapes if x is not None])
    return _places.merged([x for x in operands if x is not None], shape)


@rule("IdentityN")
def _each(op, operands, walk):
    return operands


@rule("BiasAdd", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def _first_input(op, operands, walk):
    if operands[0] is None:
        return Unknown("what it adds is computed from the input")
    return operands[0]


@rule("OneHot")
def _one_hot(op, operands, walk):
    source, axis = operands[0], op.get_attr("axis")
    rank = len(source.shape)
    keys = [slice(None)] * rank
    keys.insert(axis if axis >= 0 else rank, None)
    depth = int(walk.value(op.inputs[1]))
    found = _places.indexed(source, keys)
    at = keys.index(None)
    return Places(
        (*found.shape[:at], depth, *found.shape[at + 1 :]), found.readings
    )


# Sums ---------------------------------------------------------------------


@rule(*_REDUCTIONS)
def _reduction(op, operands, walk):
    rank = len(operands[0].shape)
    axes = {int(n) % rank for n in np.ravel(walk.value(op.inputs[1]))}
    return _places.reduced(operands[0], axes, op.get_attr("keep_dims"))


@rule("ArgMax", "ArgMin")
def _argument(op, operands, walk):
    axis = int(walk.value(op.inputs[1])) % len(operands[0].shape)
    return _places.reduced(operands[0], {axis})


@rule("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def _product(op, operands, walk):
    flags = (
        ("transpose_a", "transpose_b")
        if op.type == "MatMul"
        else ("adj_x", "adj_y")
    )
    ranks = [len(walk.shape(x)) for x in op.inputs]
    batch = "".join(chr(ord("A") + n) for n in range(max(ranks) - 2))
    parts = []
    for rank, names, flag in zip(ranks, ("ij", "jk"), flags, strict=True):
        turned = names[::-1] if op.get_attr(flag) else names
        parts.append(batch[len(batch) - (rank - 2) :] + turned)
    return _sum_of_products(op, operands, walk, parts, batch + "ik")


@rule("Einsum")
def _einsum(op, operands, walk):
    equation = op.get_attr("equation").decode()
    left, _, result = equation.partition("->")
    parts = left.split(",")
    ranks = [len(walk.shape(x)) for x in op.inputs]
    missing = [
        rank - len(part.replace("...", ""))
        for part, rank in zip(parts, ranks, strict=True)
    ]
    most = max(
        (n for n, p in zip(missing, parts, strict=True) if "..." in p),
        default=0,
    )
    names = "".join(chr(0x391 + n) for n in range(most))
    parts = [
        part.replace("...", names[len(names) - n :] if n else "")
        for part, n in zip(parts, missing, strict=True)
    ]
    result = result.replace("...", names)
    if any(len(set(part)) < len(part) for part in (*parts, result)):
        return Unknown("it takes a diagonal")
    return _sum_of_products(op, operands, walk, parts, result)


def _sum_of_products(op, operands, walk, parts, result):
    sizes = {}
    for part, tensor in zip(parts, op.inputs, strict=True):
        for name, length in zip(part, walk.shape(tensor), strict=True):
            sizes[name] = max(length, sizes.get(name, 1))
    found = [
        [
            _aligned(_places.reduced_reading(one, gone), part, result)
            for one in operand.readings
        ]
        for part, operand in zip(parts, operands, strict=True)
        if operand is not None
        for gone in [[n for n, name in enumerate(part) if name not in result]]
    ]
    return _places.contracted(found, [sizes[name] for name in result])


def _aligned(reduced, part, result):
    """Brings the axes `part` of a reading to the order of `result`."""
    reading, lost = reduced
    if isinstance(reading, Unknown):
        return reduced
    kept = [n for n, name in enumerate(part) if name in result]
    order = sorted(kept, key=lambda n: result.index(part[n]))
    gone = [n for n in range(len(part)) if n not in kept]

    def aligned(coordinates):
        values = coordinates.values.transpose(
            0, *[n + 1 for n in order], *[n + 1 for n in gone]
        )
        lengths = dict(
            zip([part[n] for n in order], values.shape[1:], strict=False)
        )
        shape = [lengths.get(name, 1) for name in result]
        return coordinates.with_values(values.reshape(3, *shape))

    return tuple(aligned(one) for one in reading), lost


# Windows ------------------------------------------------------------------


@rule("Conv2D", "Conv3D", "DepthwiseConv2dNative", "Dilation2D")
def _convolution(op, operands, walk):
    source, kernel = operands[0], op.inputs[1].shape.as_list()
    if operands[1] is not None or source is None:
        return Unknown("its kernel is computed from the input")
    axes, channels = _layout(op, len(source.shape))
    for number, axis in enumerate(axes):
        source = _windows(op, source, axis, kernel[number])
    if op.type == "DepthwiseConv2dNative":
        # Channels come one behind the other, each so many times.
        index = np.repeat(np.arange(kernel[-2]), kernel[-1])
        keys = [slice(None)] * len(source.shape)
        keys[channels] = index
        return _places.indexed(source, keys)
    if op.type == "Dilation2D":
        return source
    is_grouped = source.shape[channels] != kernel[-2]
    if is_grouped and any(
        channels in c.varies for one in source.readings for c in one
    ):
        return Unknown("it sums groups of channels that lie apart")
    found = _places.reduced(source, {channels}, keepdims=True)
    return with_length(found, channels, kernel[-1])


@rule("MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D", "MaxPoolWithArgmax")
def _pooling(op, operands, walk):
    source, sizes = operands[0], op.get_attr("ksize")
    for axis in _layout(op, len(source.shape))[0]:
        source = _windows(op, source, axis, sizes[axis])
    beside = Unknown("positions are counted")
    return [source, beside][: len(op.outputs)]


@rule("Conv2DBackpropInput", "Conv3DBackpropInputV2")
def _transposed_convolution(op, operands, walk):
    source, kernel = operands[2], op.inputs[1].shape.as_list()
    if operands[1] is not None or source is None:
        return Unknown("its kernel is computed from the input")
    axes, channels = _layout(op, len(source.shape))
    sizes = walk.value(op.inputs[0])
    for number, axis in enumerate(axes):
        length, size = source.shape[axis], kernel[number]
        stride, dilation = _steps(op, axis)
        new = int(sizes[axis] if len(sizes) > len(axes) else sizes[number])
        before = _before(op, axis, new, length, size, stride, dilation)
        middle, taps = _places.window_transposed(
            length, new, size, stride, dilation, before
        )
        source = _places.sampled(source, axis, middle, taps)
    found = _places.reduced(source, {channels}, keepdims=True)
    return with_length(found, channels, kernel[-2])


def _layout(op, rank):
    """Returns the axes of positions, and that of channels."""
    names = (
        "".join(map(chr, op.get_attr("data_format")))
        if ("data_format" in op.node_def.attr)
        else "NDHWC"
        if rank == 5
        else "NHWC"
    )
    axes = [n for n, name in enumerate(names) if name in "DHW"]
    return axes, names.index("C")


def _steps(op, axis):
    attributes = op.node_def.attr
    stride = op.get_attr("strides")[axis]
    for name in ("dilations", "rates"):
        if name in attributes:
            return stride, op.get_attr(name)[axis]
    return stride, 1


def _windows(op, source, axis, size):
    length = source.shape[axis]
    stride, dilation = _steps(op, axis)
    reach = (size - 1) * dilation + 1
    padding = op.get_attr("padding")
    if padding == b"SAME":
        count = -(-length // stride)
    elif padding == b"VALID":
        count = (length - reach) // stride + 1
    else:
        pads = op.get_attr("explicit_paddings")[2 * axis : 2 * axis + 2]
        count = (length + sum(pads) - reach) // stride + 1
    before = _before(op, axis, length, count, size, stride, dilation)
    middle, taps = _places.window(length, count, size, stride, dilation, before)
    return _places.sampled(source, axis, middle, taps)


def _before(op, axis, length, count, size, stride, dilation):
    """Returns how many positions of padding stand before an axis."""
    padding = op.get_attr("padding")
    if padding == b"VALID":
        return 0
    if padding == b"SAME":
        needed = (count - 1) * stride + (size - 1) * dilation + 1 - length
        return max(needed, 0) // 2
    return op.get_attr("explicit_paddings")[2 * axis]


def with_length(places, axis, count):
    """Returns the places with another size of an axis that moves none."""
    if isinstance(places, Unknown):
        return places
    shape = list(places.shape)
    shape[axis] = count
    return Places(shape, places.readings)


@rule("Pad", "PadV2", "MirrorPad")
def _padding(op, operands, walk):
    source = operands[0]
    for axis, (before, after) in enumerate(walk.value(op.inputs[1]).tolist()):
        if before or after:
            length = source.shape[axis]
            count = length + before + after
            middle, taps = _places.window(length, count, 1, 1, 1, before)
            if op.type == "MirrorPad":
                taps = np.pad(
                    np.arange(length)[:, None],
                    ((before, after), (0, 0)),
                    op.get_attr("mode").decode().lower(),
                )
            source = _places.sampled(source, axis, middle, taps)
    return source


@rule("ResizeArea", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor")
def _resizing(op, operands, walk):
    source = operands[0]
    attributes = op.node_def.attr
    for axis, new in zip(
        (1, 2), walk.value(op.inputs[1]).tolist(), strict=True
    ):
        old = source.shape[axis]
        index = np.arange(new)
        if op.get_attr("align_corners"):
            middle = index * ((old - 1) / max(new - 1, 1))
        elif (
            "half_pixel_centers" in attributes
            and op.get_attr("half_pixel_centers")
        ) or op.type == "ResizeArea":
            middle = (index + 0.5) * old / new - 0.5
        else:
            middle = index * (old / new)
        reach = {
            "ResizeArea": old / new / 2 + 0.5,
            "ResizeBicubic": 2.0,
            "ResizeBilinear": 1.0,
            "ResizeNearestNeighbor": 0.5 + 1e-6,
        }[op.type]
        taps = _taps_within(middle, reach, old)
        source = _places.sampled(source, axis, middle, taps)
    return source


@rule("ScaleAndTranslate")
def _scaling(op, operands, walk):
    source = operands[0]
    sizes, scales, shifts = (walk.value(x).tolist() for x in op.inputs[1:])
    reach = {b"lanczos3": 3, b"lanczos5": 5, b"keyscubic": 2}.get(
        op.get_attr("kernel_type"), 1
    )
    for axis, new, scale, shift in zip(
        (1, 2), sizes, scales, shifts, strict=True
    ):
        old = source.shape[axis]
        middle = (np.arange(new) + 0.5 - shift) / scale - 0.5
        wide = reach * max(1 / scale, 1) if op.get_attr("antialias") else reach
        taps = _taps_within(middle, wide, old)
        source = _places.sampled(source, axis, middle, taps)
    return source


def _taps_within(middle, reach, length):
    """Returns the taps nearer than `reach` to each middle, -1 for others."""
    inside = np.clip(middle, 0, length - 1)
    first = np.floor(inside - reach) + 1
    taps = first[:, None] + np.arange(math.ceil(2 * reach) + 1)
    near = np.abs(taps - inside[:, None]) < reach - 1e-9
    return np.where(near & (taps >= 0) & (taps < length), taps, -1).astype(int)


# Rearrangements -----------------------------------------------------------


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


@rule("StridedSlice")
def _strided_slice(op, operands, walk):
    begin, end, strides = (walk.value(x).tolist() for x in op.inputs[1:])
    masks = {
        name: op.get_attr(f"{name}_mask")
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    keys = []
    for n, (first, last, step) in enumerate(
        zip(begin, end, strides, strict=True)
    ):
        is_set = {name: mask >> n & 1 for name, mask in masks.items()}
        if is_set["ellipsis"]:
            named = masks["new_axis"] & ~((1 << (n + 1)) - 1)
            after = len(begin) - n - 1 - bin(named).count("1")
            before = sum(key is not None for key in keys)
            rest = len(operands[0].shape) - before - after
            keys += [slice(None)] * rest
        elif is_set["new_axis"]:
            keys.append(None)
        elif is_set["shrink_axis"]:
            keys.append(first)
        else:
            keys.append(
                slice(
                    None if is_set["begin"] else first,
                    None if is_set["end"] else last,
                    step,
                )
            )
    named = sum(key is not None for key in keys)
    keys += [slice(None)] * (len(operands[0].shape) - named)
    return _places.indexed(operands[0], keys)


@rule("Slice")
def _slice(op, operands, walk):
    begin, size = (walk.value(x).tolist() for x in op.inputs[1:])
    keys = [
        slice(first, None if length == -1 else first + length)
        for first, length in zip(begin, size, strict=True)
    ]
    return _places.indexed(operands[0], keys)


@rule("Split", "SplitV", "Unpack")
def _split(op, operands, walk):
    data = 1 if op.type == "Split" else 0
    source = operands[data]
    rank = len(source.shape)
    if op.type == "Unpack":
        axis = op.get_attr("axis") % rank
        parts = range(len(op.outputs))
    else:
        place = 0 if op.type == "Split" else 2
        axis = int(walk.value(op.inputs[place])) % rank
        length = source.shape[axis]
        sizes = [length // len(op.outputs)] * len(op.outputs)
        if op.type == "SplitV":
            sizes = walk.value(op.inputs[1]).tolist()
            sizes = [length - sum(sizes) - 1 if n < 0 else n for n in sizes]
        ends = np.cumsum([0, *sizes]).tolist()
        parts = [slice(*pair) for pair in itertools.pairwise(ends)]
    keys = [slice(None)] * rank
    return [
        _places.indexed(source, [*keys[:axis], part, *keys[axis + 1 :]])
        for part in parts
    ]


@rule("ConcatV2", "Pack")
def _join(op, operands, walk):
    if op.type == "Pack":
        rank = len(op.inputs[0].shape) + 1
        axis = op.get_attr("axis") % rank
        lengths = [1] * len(operands)
        keys = [slice(None)] * (rank - 1)
        keys.insert(axis, None)
        operands = [
            _places.indexed(x, keys) if isinstance(x, Places) else x
            for x in operands
        ]
    else:
        operands = operands[:-1]
        tensors = list(op.inputs)[:-1]
        rank = len(op.inputs[0].shape)
        axis = int(walk.value(op.inputs[-1])) % rank
        lengths = [walk.shape(x)[axis] for x in tensors]
    return _places.joined(operands, axis, lengths)


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
