"""Walks over the operations of a graph under construction.

Everything here runs once, while a step is traced, and looks at operations
only: no value is computed.
"""

import collections

import keras
import tensorflow as tf

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# What these put out does not depend on the values of what they take.
OF_SHAPES = ("OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike")
_LOOPS = ("While", "StatelessWhile", "If", "StatelessIf", "Case")
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


def operations_between(sources, targets, apart=False):
    """Returns the operations on any way from `sources` to `targets`.

    Both are lists of tensors. The operations that make `sources` are left
    out, those that make `targets` are included; in the order they run. With
    `apart`, so is what leads from one of the sources to another.
    """
    marked = {tensor.ref() for tensor in sources}
    makers = {tensor.op for tensor in sources} if apart else set()
    above = operations_above(targets, stop=makers.__contains__)
    considered, reached = set(above) - makers, {}
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


def tensors_of(call):
    """Returns the tensors that a `LayerCall` put out: a list."""
    return [x for x in keras.tree.flatten(call.outputs) if tf.is_tensor(x)]


def operations_inside(call):
    """Returns the operations that a `LayerCall` ran, in no order."""
    outputs = tensors_of(call)
    given = {x.op for x in call.inputs if tf.is_symbolic_tensor(x)}
    found = operations_above(outputs, lambda op: op in given)
    return [op for op in found if op not in given]


def is_parametric(op):
    """Returns whether `op` applies a model's weights to its data."""
    kind = op.type
    return (
        kind in _PARAMETRIC
        or kind.startswith(("Conv", "Depthwise", "BatchMatMul", "FusedBatch"))
        or kind in _LOOPS
    )


def is_function_call(op):
    return op.type in CALLS


def is_control_flow(op):
    return op.type in _LOOPS


def functions_by_name(graph):
    """Returns the `FunctionDef`s that a graph may call: a dict."""
    return {
        function.signature.name: function
        for function in graph.as_graph_def().library.function
    }


def operation_types_inside(op):
    """Returns the operation types in the functions that `op` calls."""
    library = functions_by_name(op.graph)
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
