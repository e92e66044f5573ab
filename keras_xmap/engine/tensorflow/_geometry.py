"""Follows the positions of an input through the graph of a model.

Operation by operation, from the input on, each tensor gets the places of its
positions (`engine._places`). Nothing is computed but numbers of a few: shapes,
permutations, indices.
"""

import keras
import tensorflow as tf

from keras_xmap.engine import _places
from keras_xmap.engine._places import Places
from keras_xmap.engine._places import Unknown
from keras_xmap.engine.geometry import Geometry
from keras_xmap.engine.geometry import GeometryError
from keras_xmap.engine.tensorflow import _graph as graph
from keras_xmap.engine.tensorflow._constants import Constants
from keras_xmap.engine.tensorflow._geometry_rules import ELEMENTWISE
from keras_xmap.engine.tensorflow._geometry_rules import RULES

# What stands for the number of images where it is not known: more than one,
# so that images that get mixed are seen.
_IMAGES = 2
# What stands for a size that is not known, to tell which axes are positions.
_SIZE = 256


class Walk:
    """Where the tensors of a graph lie in an input.

    Args:
        sources: List of pairs: tensor, and its `Places`, `Unknown` or `None`.
        batch_size: Integer.
        by_layer: Dict of functions by references of tensors: rules of layers
            whose operations cannot be followed. Each takes the walk.
        values: Dict of arrays by references of tensors, known from outside.
        shapes: Dict of shapes, likewise.
    """

    def __init__(self, sources, batch_size, by_layer, values=None, shapes=None):
        self.batch_size = batch_size
        self._places = {x.ref(): at for x, at in sources}
        self._by_layer = by_layer
        self._outer_shapes = shapes or {}
        self._constants = Constants(self._known_shape, batch_size, values)
        self._done = set()

    def places(self, tensor):
        """Returns `Places`, `Unknown`, or `None` if it has no part in it."""
        for op in self._waiting(tensor):
            self._follow(op)
        return self._places.get(tensor.ref())

    def _waiting(self, tensor):
        """Returns the operations to follow up to a tensor, sources first."""
        order, stack = [], [(tensor, False)]
        while stack:
            x, is_seen = stack.pop()
            if is_seen:
                order.append(x.op)
            elif x.ref() not in self._places and x.op not in self._done:
                self._done.add(x.op)
                stack.append((x, True))
                stack.extend((source, False) for source in x.op.inputs)
        return order

    def shape(self, tensor):
        """Returns the shape of a tensor, `None` where it is not known."""
        return self._constants.shape(tensor)

    def value(self, tensor):
        """Returns the value of a tensor, which must be known."""
        value = self._constants.value(tensor)
        if value is None:
            raise _NotKnownError(
                f"{tensor.op.type} {tensor.op.name!r} is not known before it "
                "runs"
            )
        return value

    def known_value(self, tensor):
        return self._constants.value(tensor)

    def _known_shape(self, tensor):
        at = self._places.get(tensor.ref())
        if at is not None and at.shape is not None:
            return at.shape
        return self._outer_shapes.get(tensor.ref())

    def _follow(self, op):
        operands = [self._places.get(x.ref()) for x in op.inputs]
        if all(x is None for x in operands):
            return
        found = self._found(op, operands)
        if not isinstance(found, list):
            found = [found] + [None] * (len(op.outputs) - 1)
        known = {x.reason for x in operands if isinstance(x, Unknown)}
        for output, at in zip(op.outputs, found, strict=True):
            if isinstance(at, Places) and not _fits(at.shape, output.shape):
                at = Unknown("its shape was not foreseen")
            if isinstance(at, Unknown):
                reason = at.reason
                if reason not in known:
                    reason = f"at {op.type} {op.name!r}, {reason}"
                at = Unknown(reason, self._constants.shape(output))
            self._places[output.ref()] = at

    def _found(self, op, operands):
        rules = [self._by_layer.get(x.ref()) for x in op.outputs]
        if any(rules):
            return [rule and rule(self) for rule in rules]
        if graph.is_function_call(op) or op.type in _CHOICES:
            return self._inside(op, operands)
        if op.type not in RULES:
            reason = "an operation stands that cannot be followed"
            return [Unknown(reason)] * len(op.outputs)
        if op.type not in (*ELEMENTWISE, "IdentityN", *_OF_SHAPES):
            for operand in operands:
                if isinstance(operand, Unknown):
                    return [operand] * len(op.outputs)
        try:
            return RULES[op.type](op, operands, self)
        except _NotKnownError as error:
            return [Unknown(str(error))] * len(op.outputs)

    def _inside(self, op, operands):
        """Follows a function that the operation calls."""
        inputs = list(op.inputs)
        name = "f"
        if op.type in _CHOICES:
            which = self.known_value(inputs[0])
            if which is None or operands[0] is not None:
                reason = "what it computes depends on the input"
                return [Unknown(reason)] * len(op.outputs)
            inputs, operands = inputs[1:], operands[1:]
            name = _CHOICES[op.type][0 if which else 1]
        body = _function_graph(op, op.get_attr(name).name)
        if body is None:
            reason = "a function is called that cannot be looked into"
            return [Unknown(reason)] * len(op.outputs)
        pairs = list(zip(body.inputs, inputs, strict=True))
        inner = Walk(
            list(zip(body.inputs, operands, strict=True)),
            self.batch_size,
            self._by_layer,
            {a.ref(): self.known_value(b) for a, b in pairs},
            {a.ref(): self.shape(b) for a, b in pairs},
        )
        return [inner.places(x) for x in body.outputs[: len(op.outputs)]]


_CHOICES = {
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
}
_OF_SHAPES = ("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike")


class _NotKnownError(Exception):
    """A number that a rule asks for is not known while tracing."""


def _function_graph(op, name):
    try:
        return op.graph._get_function(name).graph
    except (AttributeError, KeyError):
        return None


def _fits(shape, static):
    if static.rank is None:
        return True
    return static.rank == len(shape) and all(
        known is None or known == length
        for known, length in zip(static.as_list()[1:], shape[1:], strict=True)
    )


class Tracer:
    """Where the tensors of an evaluation lie in one of its inputs.

    Args:
        source: Tensor: the input.
        axes: Tuple of integers: its axes that hold positions.
        calls: List of `LayerCall`.
    """

    def __init__(self, source, axes, calls):
        self.source = source
        self.axes = axes
        self._by_layer = rules_by_layer(calls)
        shape = source.shape.as_list()
        self.batch_size = shape[0] or _IMAGES
        self._is_static = None not in shape[1:]
        self._walk = self.walk([length or _SIZE for length in shape[1:]])

    def geometry(self, tensor, data_format):
        """Returns the `Geometry` of a tensor."""
        size = [self._walk.shape(self.source)[axis] for axis in self.axes]
        places = self._walk.places(tensor)
        if self._is_static:
            return Geometry(
                places, size, self.axes, self.batch_size, data_format
            )
        return RunningGeometry(self, tensor, places, size, data_format)

    def walk(self, sizes):
        """Returns the `Walk` for an input of these sizes behind the batch."""
        shape = (self.batch_size, *sizes)
        places = _places.places_of_input(shape, self.axes)
        return Walk([(self.source, places)], self.batch_size, self._by_layer)


class RunningGeometry(Geometry):
    """A `Geometry` of sizes that are known only when the step runs.

    Which axes are positions is told from sizes that stand for them; where the
    positions lie is followed anew, on the host, for the sizes that come.
    """

    def __init__(self, tracer, tensor, places, size, data_format):
        super().__init__(
            places, size, tracer.axes, tracer.batch_size, data_format
        )
        if not self.is_of_axes:
            raise GeometryError(
                "its positions are counted by sizes that are not known before "
                "the step runs (`images.set_shape` tells them)",
                True,
            )
        self._tracer = tracer
        self._tensor = tensor
        self._data_format = data_format
        self._last = None, None
        shape = tf.shape(tracer.source)
        self.size = tuple(
            shape[axis]
            if tracer.source.shape[axis] is None
            else tracer.source.shape[axis]
            for axis in tracer.axes
        )

    def taps(self, size):
        dtypes = [tf.int32, tf.float32] * len(size)
        flat = tf.numpy_function(
            self._taps_of_sizes,
            [tf.shape(self._tracer.source), tf.stack(size)],
            dtypes,
            stateful=False,
        )
        for number, tap in enumerate(flat):
            new = size[number // 2]
            tap.set_shape((new if isinstance(new, int) else None, None))
        return list(zip(flat[::2], flat[1::2], strict=True))

    def _taps_of_sizes(self, shape, size):
        key = tuple(shape[1:].tolist())
        if self._last[0] != key:
            walk = self._tracer.walk(key)
            self._last = (
                key,
                Geometry(
                    walk.places(self._tensor),
                    [shape[axis] for axis in self._tracer.axes],
                    self._tracer.axes,
                    self._tracer.batch_size,
                    self._data_format,
                ),
            )
        geometry = self._last[1]
        if geometry.axes != self.axes:
            raise ValueError(
                "Which axes of a layer are positions must not depend on the "
                f"size of the image. Received: size {key}. Pass `resize=False`."
            )
        return [part for pair in geometry.taps(size) for part in pair]


def rules_by_layer(calls):
    """Returns rules of layers whose loops cannot be followed, by output."""
    rules = {}
    for call in calls:
        if not isinstance(call.layer, keras.layers.RNN) or not call.inputs:
            continue
        for number, output in enumerate(keras.tree.flatten(call.outputs)):
            if tf.is_tensor(output):
                is_sequence = number == 0 and call.layer.return_sequences
                rules[output.ref()] = _rule_of_rnn(call, output, is_sequence)
    return rules


def _rule_of_rnn(call, output, is_sequence):
    layer = call.layer

    def rule(walk):
        places = walk.places(call.inputs[0])
        if not isinstance(places, Places):
            return places
        cell = layer.cell
        rank = len(places.shape)
        channels = rank - 1
        if hasattr(cell, "kernel_size"):
            places = _windows_of_cell(places, cell)
            if cell.data_format == "channels_first":
                channels = 2
        places = _places.reduced(places, {channels}, keepdims=True)
        places = _places.with_length(
            places,
            channels,
            output.shape[channels if is_sequence else channels - 1],
        )
        if isinstance(places, Unknown):
            return places
        if not is_sequence:
            return _places.reduced(places, {1})
        if layer.go_backwards:
            keys = [slice(None)] * rank
            keys[1] = slice(None, None, -1)
            places = _places.indexed(places, keys)
        return places

    return rule


def _windows_of_cell(places, cell):
    windows = []
    first = 3 if cell.data_format == "channels_first" else 2
    for number, size in enumerate(cell.kernel_size):
        axis = first + number
        length = places.shape[axis]
        stride = cell.strides[number]
        dilation = cell.dilation_rate[number]
        reach = (size - 1) * dilation + 1
        count, before = (length - reach) // stride + 1, 0
        if cell.padding == "same":
            count = -(-length // stride)
            before = max((count - 1) * stride + reach - length, 0) // 2
        found = _places.window(length, count, size, stride, dilation, before)
        windows.append((axis, *found))
    return _places.sampled(places, windows)
