"""The tensor an output's softmax or sigmoid was applied to.

Classes are explained by their score before the softmax or sigmoid, because
probabilities couple the classes and go flat where the network is sure. While
a model is traced, the graph shows where that score is: from the output, walk
back over operations that only move or cast numbers.
"""

import tensorflow as tf

from keras_xmap.engine.tensorflow import _graph as graph

_SQUASHING = ("LogSoftmax", "Sigmoid", "Softmax")
_SUSPECT = (*_SQUASHING, "Exp")
_REMEDY = (
    'Pass score="output" to explain the output as it is, or end the model in '
    "a softmax or sigmoid (layer, activation argument or keras.ops function)."
)

# How to move the numbers of a tensor as a given operation moves its input's.
_MOVES = {
    "Cast": lambda op, x: x,
    "EnsureShape": lambda op, x: x,
    "ExpandDims": lambda op, x: tf.expand_dims(x, _axis(op)),
    "Identity": lambda op, x: x,
    "Reshape": lambda op, x: tf.reshape(x, op.inputs[1]),
    "Squeeze": lambda op, x: tf.squeeze(x, op.get_attr("squeeze_dims")),
    "Transpose": lambda op, x: tf.transpose(x, op.inputs[1]),
}


def _axis(op):
    return int(tf.get_static_value(op.inputs[1]))


def squashing(output):
    """Returns what squashes an output: `"sigmoid"`, `"softmax"` or `None`.

    `"hidden"` where it cannot be told from other arithmetic.
    """
    if not isinstance(output, tf.Tensor) or not output.dtype.is_floating:
        return None
    _, tensor = _before_moves(output)
    if tensor.op.type in _SQUASHING:
        return "sigmoid" if tensor.op.type == "Sigmoid" else "softmax"
    return None if _hidden_squashing(output) is None else "hidden"


def find_logits(output, name):
    """Returns `(logits, description)` for one floating-point output.

    `logits` has the shape of `output`. Where no softmax or sigmoid squashes
    the output, it is the output itself.

    Raises:
        ValueError: If something may squash the output, but not in a way that
            can be undone with certainty.
    """
    moves, tensor = _before_moves(output)
    if tensor.op.type in _SQUASHING:
        logits = tensor.op.inputs[0]
        for op in reversed(moves):
            logits = _MOVES[op.type](op, logits)
        logits.set_shape(output.shape)
        return logits, f"input of {tensor.op.type} {tensor.op.name!r}"
    _refuse_hidden_squashing(output, name)
    return output, f"output of {tensor.op.type} {tensor.op.name!r}"


def _before_moves(output):
    """Returns the operations that only moved numbers, and what they moved."""
    moves, tensor = [], output
    while tensor.op.type in _MOVES:
        moves.append(tensor.op)
        tensor = tensor.op.inputs[0]
    return moves, tensor


def _hidden_squashing(output):
    """Returns what may squash the output, or hide that it is; or `None`."""

    def stop(op):
        return graph.is_parametric(op) or graph.is_function_call(op)

    for op in graph.operations_above([output], stop):
        if graph.is_function_call(op) or op.type in _SUSPECT:
            return op
    return None


def _refuse_hidden_squashing(output, name):
    op = _hidden_squashing(output)
    if op is None:
        return
    if graph.is_function_call(op):
        raise ValueError(
            f"The score before softmax or sigmoid of {name} cannot be "
            "found. Received: an output that is computed inside the "
            f"compiled function {op.name!r}, which cannot be looked into. "
            f"{_REMEDY}"
        )
    raise ValueError(
        f"The score before softmax or sigmoid of {name} cannot be "
        "found with certainty. Received: between the last weights and "
        f"the output {op.type} {op.name!r}, and after it other "
        f"arithmetic ({output.op.type} {output.op.name!r}). {_REMEDY}"
    )
