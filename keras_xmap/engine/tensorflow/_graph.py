"""Walks over the operations of a graph under construction.

Everything here runs once, while a step is traced, and looks at operations
only: no value is computed.
"""

import collections

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_LOOPS = ("While", "StatelessWhile", "If", "StatelessIf", "Case")
_AFFINE = (
    "Add",
    "AddN",
    "AddV2",
    "AvgPool",
    "AvgPool3D",
    "Cast",
    "ConcatV2",
    "Identity",
    "Neg",
    "Pack",
    "Sub",
    "Unpack",
)
_BILINEAR = ("Einsum", "MatMul", "Mul", "XlaDotV2")
_BILINEAR_FAMILIES = ("BatchMatMul", "Conv", "Depthwise")
_AFFINE_IN_FIRST = (
    "BiasAdd",
    "BroadcastTo",
    "DivNoNan",
    "EnsureShape",
    "ExpandDims",
    "FusedBatchNormV3",
    "GatherNd",
    "GatherV2",
    "Mean",
    "Pad",
    "RealDiv",
    "Reshape",
    "ResizeBilinear",
    "Squeeze",
    "StridedSlice",
    "Sum",
    "Transpose",
)
_PARAMETRIC = (
    "BiasAdd",
    "Einsum",
    "MatMul",
    "ReadVariableOp",
    "XlaDotV2",
)


def operations_above(tensors, stop=lambda op: False):
    """Returns the operations `tensors` are computed from, nearest first.

    An operation for which `stop` holds is included; what lies above it is
    not followed.
    """
    queue = collections.deque(tensor.op for tensor in tensors)
    seen = {}
    while queue:
        op = queue.popleft()
        if op in seen:
            continue
        seen[op] = None
        if not stop(op):
            queue.extend(source.op for source in op.inputs)
    return list(seen)


def operations_between(sources, targets):
    """Returns the operations on any way from `sources` to `targets`.

    Both are lists of tensors. The operations that make `sources` are left
    out, those that make `targets` are included; in the order they run.
    """
    marked = {tensor.ref() for tensor in sources}
    above = operations_above(targets)
    considered, reached = set(above), {}
    # An operation takes tensors that exist already, so the order in which a
    # graph lists its operations is a topological one.
    for op in targets[0].graph.get_operations():
        if op in considered and any(
            source.ref() in marked or source.op in reached
            for source in op.inputs
        ):
            reached[op] = None
    return list(reached)


def depends_on(tensor, source):
    """Returns whether `tensor` is computed from `source`, or is `source`."""
    return tensor is source or bool(operations_between([source], [tensor]))


def nonlinear_operations(sources, target):
    """Names the operations that keep `target` from being affine in `sources`.

    Returns a list of strings such as `"Relu 'head/Relu'"`.
    """
    moving = {x.ref() for x in sources}  # what changes with the sources
    found = []
    for op in operations_between(sources, [target]):
        moves = [x.ref() in moving for x in op.inputs]
        # Integers and booleans (sizes, indices, comparisons) have no gradient.
        outputs = [x.ref() for x in op.outputs if x.dtype.is_floating]
        if not any(moves) or not outputs or op.type == "StopGradient":
            continue
        moving.update(outputs)
        if not _is_affine(op, moves):
            found.append(f"{op.type} {op.name!r}")
    return found


def _is_affine(op, moves):
    """Whether `op` is affine in the inputs that `moves` marks."""
    kind = op.type
    if kind in _AFFINE:
        return True
    if kind in _BILINEAR or kind.startswith(_BILINEAR_FAMILIES):
        return sum(moves) == 1
    if kind == "SelectV2":
        return not moves[0]
    # A quotient, a batch normalisation or a gather: the data comes first.
    return kind in _AFFINE_IN_FIRST and not any(moves[1:])


def is_parametric(op):
    """Returns whether `op` applies a model's weights to its data."""
    kind = op.type
    return (
        kind in _PARAMETRIC
        or kind.startswith(("Conv", "Depthwise", "BatchMatMul", "FusedBatch"))
        or kind in _LOOPS
    )


def is_function_call(op):
    return op.type in _CALLS


def is_control_flow(op):
    return op.type in _LOOPS


def operation_types_inside(op):
    """Returns the operation types in the functions that `op` calls."""
    library = {
        function.signature.name: function
        for function in op.graph.as_graph_def().library.function
    }
    waiting, seen, types = _functions_named_in(op.node_def), set(), set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in library:
            continue
        seen.add(name)
        for node in library[name].node_def:
            types.add(node.op)
            waiting.extend(_functions_named_in(node))
    return types


def _functions_named_in(node):
    return [
        value.func.name
        for value in node.attr.values()
        if value.WhichOneof("value") == "func"
    ] + [
        function.name
        for value in node.attr.values()
        if value.WhichOneof("value") == "list"
        for function in value.list.func
    ]
