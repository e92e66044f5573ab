"""Which operations on the way to a score are linear in the data.

What is known to be affine, or to select, is listed; every other operation
counts as non-linear, so that none passes for linear because nobody thought
of it.
"""

import tensorflow as tf

from keras_xmap.engine.tensorflow import _graph as graph
from keras_xmap.engine.tensorflow._joins import picks_among_joined

# Affine in all inputs together.
_AFFINE = (
    "Add",
    "AddN",
    "AddV2",
    "AvgPool",
    "AvgPool3D",
    "BiasAdd",
    "CheckNumerics",
    "CheckNumericsV2",
    "ConcatV2",
    "Identity",
    "IdentityN",
    "Neg",
    "Pack",
    "PreventGradient",
    "Snapshot",
    "Sub",
    "Unpack",
)
# Linear in either of two factors, as long as the other one is constant.
_BILINEAR = ("Einsum", "MatMul", "Mul", "MulNoNan", "XlaDotV2")
_BILINEAR_FAMILIES = ("BatchMatMul", "Conv", "Depthwise")
# Affine in the input of this number, as long as the others are constant.
_AFFINE_IN_ONE = {
    "BatchToSpaceND": 0,
    "BroadcastTo": 0,
    "CropAndResize": 0,
    "Cumsum": 0,
    "DepthToSpace": 0,
    "Div": 0,
    "DivNoNan": 0,
    "EnsureShape": 0,
    "ExpandDims": 0,
    "ExtractImagePatches": 0,
    "FusedBatchNorm": 0,
    "FusedBatchNormV2": 0,
    "FusedBatchNormV3": 0,
    "GatherNd": 0,
    "GatherV2": 0,
    "ImageProjectiveTransformV3": 0,
    "MatrixBandPart": 0,
    "Mean": 0,
    "MirrorPad": 0,
    "Pad": 0,
    "PadV2": 0,
    "RealDiv": 0,
    "Reshape": 0,
    "ResizeArea": 0,
    "ResizeBicubic": 0,
    "ResizeBilinear": 0,
    "ResizeNearestNeighbor": 0,
    "ReverseV2": 0,
    "Roll": 0,
    "ScaleAndTranslate": 0,
    "ScatterNd": 1,
    "Slice": 0,
    "SpaceToBatchND": 0,
    "SpaceToDepth": 0,
    "Split": 1,
    "SplitV": 0,
    "Squeeze": 0,
    "StridedSlice": 0,
    "Sum": 0,
    "Tile": 0,
    "Transpose": 0,
    "UnsortedSegmentSum": 0,
}
# Not affine, but their gradient only chooses: nothing is bent.
_SELECTIONS = (
    "Max",
    "MaxPool",
    "MaxPool3D",
    "MaxPoolV2",
    "MaxPoolWithArgmax",
    "Min",
    "TopKV2",
)
_STOPS = ("StopGradient",)


class Way:
    """The operations on the way from sources to a target.

    Args:
        sources: List of tensors.
        target: Tensor.
        apart: Boolean: whether what leads from one of the sources to another
            is left out.

    Attributes:
        carrying: Dict of the tensors that carry a gradient from the target
            to the sources, by their references, in the order they are made.
    """

    def __init__(self, sources, target, apart=False):
        self._sources = {x.ref() for x in sources}
        between = graph.operations_between(sources, [target], apart)
        self._places = {op: place for place, op in enumerate(between)}
        self._depending = self._reached(between, ())
        self._moving = self._reached(between, _STOPS)
        self.carrying = self._carrying(between, target)
        self._functions = None

    def place(self, tensor):
        """Returns where a tensor is made on the way; -1 for a source."""
        if tensor.ref() in self._sources:
            return -1
        return self._places.get(tensor.op, -1)

    def depends(self, tensor):
        """Returns whether the values of a tensor depend on the sources."""
        return tensor.ref() in self._depending

    def carries(self, target):
        """Returns whether a gradient of the target reaches a source."""
        return target.ref() in self._sources or target.ref() in self.carrying

    def takers(self, tensor):
        """Returns the operations that pass a gradient to a tensor."""
        return [
            op
            for op in tensor.consumers()
            if any(x.ref() in self.carrying for x in op.outputs)
        ]

    def nonlinear_operations(self):
        """Returns what keeps the target from being affine in the sources."""
        return [
            op
            for op in self._places
            if self._is_of_floats(op)
            and (not self._is_affine(op) or _is_selection(op))
        ]

    def is_bent(self, op):
        """Whether an operation is neither affine nor a selection."""
        return not self._is_affine(op) and not _is_selection(op)

    def _is_of_floats(self, op):
        # Integers and booleans (indices, comparisons) are not what is scored.
        moves = any(x.ref() in self._moving for x in op.inputs)
        return moves and any(
            x.dtype.is_floating and x.ref() in self._moving for x in op.outputs
        )

    def _is_affine(self, op):
        moves = [x.ref() in self._moving for x in op.inputs]
        if graph.is_function_call(op):
            if self._functions is None:
                self._functions = graph.functions_by_name(op.graph)
            return _is_affine_inside(op.node_def, moves, self._functions)
        return _is_affine(op.node_def, moves)

    def _reached(self, between, stops):
        """Returns references of what depends on the sources by its values."""
        reached = set(self._sources)
        for op in between:
            if op.type not in (*graph.OF_SHAPES, *stops) and any(
                x.ref() in reached for x in op.inputs
            ):
                reached.update(x.ref() for x in op.outputs)
        return reached

    def _carrying(self, between, target):
        passing = [
            op for op in between if op.type not in (*graph.OF_SHAPES, *_STOPS)
        ]
        forward, backward = set(self._sources), {target.ref()}
        for op in passing:
            if any(x.ref() in forward for x in op.inputs):
                forward.update(x.ref() for x in op.outputs if _is_float(x))
        for op in reversed(passing):
            if any(x.ref() in backward for x in op.outputs):
                backward.update(x.ref() for x in op.inputs if _is_float(x))
        return {
            x.ref(): x
            for op in passing
            for x in op.outputs
            if x.ref() in forward and x.ref() in backward
        }


def _is_float(tensor):
    # A variant is the list of tensors that a loop runs over.
    kind = tensor.dtype
    return kind.is_floating or kind.is_complex or kind == tf.variant


def _is_affine(node, moves):
    """Whether an operation is affine in the inputs that `moves` marks.

    Args:
        node: Its `NodeDef`.
        moves: List of booleans.
    """
    kind = node.op
    if kind in _AFFINE or not any(moves):
        return True
    if kind == "Cast":
        return tf.as_dtype(node.attr["SrcT"].type).is_floating
    if kind in _BILINEAR or kind.startswith(_BILINEAR_FAMILIES):
        return sum(moves) == 1
    if kind in ("Select", "SelectV2"):
        return not moves[0]
    if kind.startswith("FusedBatchNorm") and node.attr["is_training"].b:
        return False
    number = _AFFINE_IN_ONE.get(kind)
    return number is not None and sum(moves) == int(moves[number])


def _is_affine_inside(node, moves, functions):
    """Whether a call of a compiled function is affine, see `_is_affine`."""
    function = functions[node.attr["f"].func.name]
    names = [argument.name for argument in function.signature.input_arg]
    moving = {name for name, moves_ in zip(names, moves, strict=True) if moves_}
    waiting, ready = list(function.node_def), set(names)
    while waiting:
        node = waiting.pop(0)
        # "node:output:0" or the name of an argument; "^node" is no data.
        sources = [x.split(":")[0] for x in node.input if x[0] != "^"]
        if not ready.issuperset(sources):
            waiting.append(node)
            continue
        ready.add(node.name)
        moves = [source in moving for source in sources]
        if not any(moves) or node.op in (*graph.OF_SHAPES, *_STOPS):
            continue
        moving.add(node.name)
        is_call = node.op in graph.CALLS
        is_affine = _is_affine_inside if is_call else _is_affine
        if not is_affine(node, moves, *([functions] if is_call else [])):
            return False
    return True


def _is_selection(op):
    """Whether an operation picks values of one tensor, as max pooling does.

    Of branches that were joined along the axis of a maximum, it is an
    activation: maxout.
    """
    return op.type in _SELECTIONS and not picks_among_joined(op)


class Owners:
    """The layers that operations belong to, for messages.

    Args:
        calls: List of `LayerCall`, inner layers before outer ones.
    """

    def __init__(self, calls):
        self._layers = [call for call in calls if call.is_layer]
        self._found = None

    def call(self, op):
        """Returns the call of the innermost layer that ran `op`, or `None`."""
        if self._found is None:
            self._found = {}
            for call in self._layers:
                for inner in graph.operations_inside(call):
                    self._found.setdefault(inner, call)
        return self._found.get(op)

    def path(self, op):
        """Returns the path of this layer; `None` if it is the model."""
        call = self.call(op)
        return (call and call.path) or None

    def names(self, operations, most=6):
        """Describes operations by their layers: a string."""
        kinds = {}
        for op in operations:
            path = self.path(op)
            key = f"layer {path!r}" if path else f"operation {op.name!r}"
            kinds.setdefault(key, []).append(op.type)
        names = [
            f"{key} ({', '.join(dict.fromkeys(types))})"
            for key, types in kinds.items()
        ]
        rest = len(names) - most
        more = f" and {rest} more" if rest > 0 else ""
        return ", ".join(names[:most]) + more
