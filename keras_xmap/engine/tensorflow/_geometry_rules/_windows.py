"""Operations that look through windows: convolutions, pooling, padding."""

import numpy as np

from keras_xmap.engine import _places
from keras_xmap.engine._places import Unknown
from keras_xmap.engine.tensorflow._geometry_rules._rules import Rules

rule = Rules()


@rule("Conv2D", "Conv3D", "DepthwiseConv2dNative", "Dilation2D")
def _convolution(op, operands, walk):
    source, kernel = operands[0], op.inputs[1].shape.as_list()
    if operands[1] is not None or source is None:
        return Unknown("its kernel is computed from the input")
    axes, channels = _layout(op, len(source.shape))
    source = _windows(op, source, axes, kernel[: len(axes)])
    if isinstance(source, Unknown):
        return source
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
    return _places.with_length(found, channels, kernel[-1])


@rule("MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D", "MaxPoolWithArgmax")
def _pooling(op, operands, walk):
    source, sizes = operands[0], op.get_attr("ksize")
    axes = _layout(op, len(source.shape))[0]
    source = _windows(op, source, axes, [sizes[axis] for axis in axes])
    beside = Unknown("positions are counted")
    return [source, beside][: len(op.outputs)]


@rule("Conv2DBackpropInput", "Conv3DBackpropInputV2")
def _transposed_convolution(op, operands, walk):
    source, kernel = operands[2], op.inputs[1].shape.as_list()
    if operands[1] is not None or source is None:
        return Unknown("its kernel is computed from the input")
    axes, channels = _layout(op, len(source.shape))
    sizes = walk.value(op.inputs[0])
    windows = []
    for number, axis in enumerate(axes):
        length, size = source.shape[axis], kernel[number]
        stride, dilation = _steps(op, axis)
        new = int(sizes[axis] if len(sizes) > len(axes) else sizes[number])
        before = _before(op, axis, new, length, size, stride, dilation)
        middle, taps = _places.window_transposed(
            length, new, size, stride, dilation, before
        )
        windows.append((axis, middle, taps))
    source = _places.sampled(source, windows)
    found = _places.reduced(source, {channels}, keepdims=True)
    return _places.with_length(found, channels, kernel[-2])


@rule("Pad", "PadV2", "MirrorPad")
def _padding(op, operands, walk):
    source, windows = operands[0], []
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
            windows.append((axis, middle, taps))
    return _places.sampled(source, windows)


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


def _windows(op, source, axes, sizes):
    """Returns the places of windows of these sizes along these axes."""
    windows = []
    for axis, size in zip(axes, sizes, strict=True):
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
        found = _places.window(length, count, size, stride, dilation, before)
        windows.append((axis, *found))
    return _places.sampled(source, windows)


def _before(op, axis, length, count, size, stride, dilation):
    """Returns how many positions of padding stand before an axis."""
    padding = op.get_attr("padding")
    if padding == b"VALID":
        return 0
    if padding == b"SAME":
        needed = (count - 1) * stride + (size - 1) * dilation + 1 - length
        return max(needed, 0) // 2
    return op.get_attr("explicit_paddings")[2 * axis]
