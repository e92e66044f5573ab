"""What the ways lead through on which a score is computed from the inputs.

A way runs from tensor to tensor where a derivative does: shapes, comparisons
and what stands behind `StopGradient` are not followed, unless a score has no
other way.
"""

import tensorflow as tf

from keras_xmap.engine.tensorflow import _graph as graph

# Behind these, a tensor is the one before it, somewhere else or squashed.
_MOVES = {
    *("BroadcastTo", "Cast", "ConcatV2", "DepthToSpace", "ExpandDims"),
    *("GatherV2", "Identity", "IdentityN", "MirrorPad", "Pack", "Pad", "PadV2"),
    *("Reshape", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor"),
    *("ReverseV2", "ScaleAndTranslate", "Slice", "SpaceToDepth", "Split"),
    *("SplitV", "Squeeze", "StridedSlice", "Tile", "Transpose", "Unpack"),
    *("Abs", "Elu", "Erf", "Exp", "LeakyRelu", "Log", "Log1p", "LogSoftmax"),
    *("Neg", "Reciprocal", "Relu", "Relu6", "Selu", "Sigmoid", "Softmax"),
    *("Softplus", "Softsign", "Sqrt", "Square", "Tanh"),
}
_OF_TWO = {
    *("Add", "AddV2", "DivNoNan", "Maximum", "Minimum", "Mul", "Pow"),
    *("RealDiv", "SelectV2", "Sub"),
}
_PRODUCTS = {"BatchMatMulV2", "BatchMatMulV3", "Einsum", "MatMul", "Mul"}


def nearest(score, stops, sources):
    """Walks back from `score` to `sources`, and not past `stops`.

    Args:
        score: Tensor.
        stops: List of tensors.
        sources: List of tensors.

    Returns:
        Two sets of references: of the `stops` that were met, and of the
        `sources` that were reached past them.
    """
    found = _walk(score, stops, sources, differentiable=True)
    if any(found):
        return found
    return _walk(score, stops, sources, differentiable=False)


def _walk(score, stops, sources, differentiable):
    stops = {x.ref() for x in stops}
    goals = {x.ref() for x in sources}
    between = set(graph.operations_between(sources, [score]))
    waiting, seen, met, reached = [score], set(), set(), set()
    while waiting:
        tensor = waiting.pop()
        reference, op = tensor.ref(), tensor.op
        if reference in seen:
            continue
        seen.add(reference)
        if reference in stops:
            met.add(reference)
        elif reference in goals:
            reached.add(reference)
        elif op in between and not (
            differentiable and op.type == "StopGradient"
        ):
            waiting += [
                x
                for x in _sources(tensor)
                if not differentiable or _has_derivative(x) or x.ref() in goals
            ]
    return met, reached


def predecessors(score, sources):
    """Returns what each tensor on the ways from `sources` is computed from.

    A dict of lists of references, by references.
    """
    goals = {x.ref() for x in sources}
    between = set(graph.operations_between(sources, [score]))
    found, waiting = {}, [score]
    while waiting:
        tensor = waiting.pop()
        if tensor.ref() in found:
            continue
        before = []
        if tensor.ref() not in goals and tensor.op.type != "StopGradient":
            before = [
                x
                for x in _sources(tensor)
                if x.ref() in goals or (x.op in between and _has_derivative(x))
            ]
        found[tensor.ref()] = [x.ref() for x in before]
        waiting += before
    return found


def _sources(tensor):
    """Returns the tensors that one is computed from in a single operation."""
    if tensor.op.type == "IdentityN":
        # What a custom gradient wraps: results and arguments, side by side.
        return [tensor.op.inputs[tensor.value_index]]
    return list(tensor.op.inputs)


def _has_derivative(tensor):
    # A variant is the list of tensors that a loop runs over.
    kind = tensor.dtype
    return kind.is_floating or kind.is_complex or kind == tf.variant


def offspring(tensors, target):
    """Returns references of what is computed from `tensors`, up to `target`.

    `tensors` themselves are included, but for those nothing is made of.
    """
    found = set()
    sources = {x.ref() for x in tensors}
    for op in graph.operations_between(tensors, [target]):
        found.update(x.ref() for x in op.outputs)
        found.update(x.ref() for x in op.inputs if x.ref() in sources)
    return found


def moved(tensors, sources):
    """Returns references of what `tensors` are, moved and squashed.

    From each the walk leads back through operations that only rearrange,
    resize or squash, to what was computed last: the output of a convolution.
    """
    between = graph.operations_between(sources, tensors) if tensors else []
    trail = _Trail(between)
    for tensor in tensors:
        trail.origins(tensor)
    return {x.ref() for x in tensors} | trail.passed


class _Trail:
    """What is passed on the way back to the origins of tensors."""

    def __init__(self, between):
        self.passed = set()
        self._between = set(between)
        self._origins = {}

    def origins(self, tensor):
        """Returns references of the tensors that one is made of by moves."""
        reference = tensor.ref()
        if reference not in self._origins:
            self._origins[reference] = self._found(tensor)
        return self._origins[reference]

    def _found(self, tensor):
        sources = [x for x in _sources(tensor) if x.op in self._between]
        itself = frozenset([tensor.ref()])
        kind = tensor.op.type
        if not sources or kind not in _MOVES | _OF_TWO:
            return itself
        before = set(self.passed)
        origins = [self.origins(x) for x in sources]
        if kind in _OF_TWO and len(set(origins)) > 1:
            # A sum of two features is a feature, not a decoded box.
            self.passed = before
            return itself
        self.passed |= {x.ref() for x in sources}
        return frozenset().union(*origins)


def products(source, target):
    """Returns matrix products of two tensors that are made from `source`."""
    found, moving = [], {source.ref()}
    for op in graph.operations_between([source], [target]):
        if op.type in graph.OF_SHAPES or not _is_moved(op.inputs, moving):
            continue
        moving.update(x.ref() for x in op.outputs)
        is_product = op.type in _PRODUCTS - {"Mul"}
        if is_product and all(x.ref() in moving for x in op.inputs):
            found.append(op.outputs[0])
    return found


def _is_moved(tensors, moving):
    return any(x.ref() in moving for x in tensors)


def stream(tensor):
    """Returns the tensors of the same rank that `tensor` is computed from."""
    return [
        output
        for op in graph.operations_above([tensor])
        for output in op.outputs
        if output.shape.rank == tensor.shape.rank and _has_derivative(output)
    ]


def is_gate(tensor, others, score):
    """Returns whether `tensor` only weighs what is computed from `others`.

    So it is if all ways from it to `score` lead through a product with
    something that `others` have a part in besides it.
    """
    by_tensor = offspring([tensor], score)
    by_others = _offspring_past(others, tensor, score)
    products = [
        output
        for op in graph.operations_between([tensor], [score])
        for output in op.outputs
        if op.type in _PRODUCTS and _is_product(op, by_tensor, by_others)
    ]
    return bool(products) and not nearest(score, products, [tensor])[1]


def _is_product(op, by_tensor, by_others):
    weighs = [x.ref() in by_tensor for x in op.inputs]
    weighed = [x.ref() in by_others for x in op.inputs]
    return any(
        weighs[one] and weighed[1 - one] and not weighs[1 - one]
        for one in (0, 1)
    )


def _offspring_past(sources, stop, target):
    """Returns what is computed from `sources`, not counting past `stop`."""
    found = {x.ref() for x in sources}
    for op in graph.operations_between(sources, [target]):
        if any(x.ref() in found for x in op.inputs):
            found.update(x.ref() for x in op.outputs)
            found.discard(stop.ref())
    return found
