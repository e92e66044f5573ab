"""Values and shapes that are known while a step is traced.

Sizes, permutations and indices are numbers that a model computes from shapes
alone. They are computed here by the operations themselves, run eagerly.
"""

import inspect

import numpy as np
import tensorflow as tf

_MOST_ELEMENTS = 1 << 22


def execute(op, inputs):
    """Runs an operation eagerly on arrays; returns a list of arrays."""
    function = getattr(tf.raw_ops, op.type)
    known = inspect.signature(function).parameters
    arguments = {
        # Some arguments are called otherwise in Python.
        name if name in known else "axis": value
        for name, value in _arguments(op, list(inputs))
    }
    with tf.init_scope(), tf.device("CPU:0"):
        result = function(**arguments)
        result = result if isinstance(result, (list, tuple)) else [result]
        return [x.numpy() for x in result]


def _arguments(op, waiting):
    """Yields names and values of inputs and attributes."""
    inferred = set()
    for argument in op.op_def.input_arg:
        inferred.update((argument.type_attr, argument.number_attr))
        inferred.add(argument.type_list_attr)
        if argument.number_attr:
            count = op.get_attr(argument.number_attr)
            yield argument.name, waiting[:count]
            del waiting[:count]
        else:
            yield argument.name, waiting.pop(0)
    for attribute in op.op_def.attr:
        if attribute.name not in inferred and attribute.name[0] != "_":
            yield attribute.name, op.get_attr(attribute.name)


class Constants:
    """What is known of the tensors of one graph.

    Args:
        shape_of: Function of a tensor: its shape where it is known otherwise,
            else `None`.
        batch_size: Integer that stands for the number of images.
        values: Dict of arrays by references of tensors: what is known from
            outside.
    """

    def __init__(self, shape_of, batch_size, values=None):
        self._shape_of = shape_of
        self._batch_size = batch_size
        self._values = dict(values or {})

    def shape(self, tensor):
        """Returns the shape of a tensor; `None` where it is not known."""
        known = self._shape_of(tensor)
        if known is not None:
            return tuple(known)
        if tensor.shape.rank is None:
            return None
        shape = tensor.shape.as_list()
        if None not in shape:
            return tuple(shape)
        if tensor.op.type in ("Fill", "BroadcastTo"):
            place = 0 if tensor.op.type == "Fill" else 1
            value = self.value(tensor.op.inputs[place])
            return None if value is None else tuple(value.tolist())
        value = self.value(tensor)
        if value is not None:
            return value.shape
        if None in shape[1:]:
            return None
        return (self._batch_size, *shape[1:])

    def value(self, tensor):
        """Returns the value of a tensor; `None` where it is not known."""
        key = tensor.ref()
        if key not in self._values:
            self._values[key] = None  # as long as it is being found
            for output, value in self._outputs(tensor):
                self._values[output.ref()] = value
        return self._values[key]

    def _outputs(self, tensor):
        op = tensor.op
        if op.type == "Const":
            return [(tensor, tf.get_static_value(tensor))]
        if op.type in ("Shape", "ShapeN", "Size", "Rank"):
            return self._of_shape(op)
        if not op.inputs or op.type == "Placeholder":
            return []
        inputs = []
        for source in op.inputs:
            value = None if _is_data(source) else self.value(source)
            if value is None:
                return []
            inputs.append(value)
        if op.op_def.is_stateful:
            return []
        return zip(op.outputs, execute(op, inputs), strict=True)

    def _of_shape(self, op):
        shapes = [self.shape(source) for source in op.inputs]
        if None in shapes:
            return []
        made = {
            "Size": lambda shape: np.prod(shape, dtype="int64"),
            "Rank": len,
        }.get(op.type, lambda shape: shape)
        return [
            (output, np.asarray(made(shape), output.dtype.as_numpy_dtype))
            for output, shape in zip(op.outputs, shapes, strict=True)
        ]


def _is_data(tensor):
    """Whether a tensor is no number of a few that sizes are made of."""
    if tensor.dtype in (tf.resource, tf.variant, tf.string):
        return True
    size = tensor.shape.num_elements()
    return size is not None and size > _MOST_ELEMENTS
