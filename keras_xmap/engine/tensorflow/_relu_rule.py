"""How a gradient passes a ReLU on its way back.

While a model is traced, every ReLU operation is marked with a backward rule
of ours, which by default is the ordinary gradient. The rule is chosen when
the gradient is taken, so one forward pass can serve several. It rests on the
operation, not on the layer: `activation="relu"`, `keras.layers.ReLU`,
`keras.ops.relu` and `tf.nn.relu` are one and the same here.

`GradientTape` ignores such marks; gradients must be taken by `tf.gradients`.
"""

import contextlib
import threading

import tensorflow as tf

from keras_xmap._warnings import warn_user
from keras_xmap.engine.contract import RuleError
from keras_xmap.engine.tensorflow import _graph as graph

_local = threading.local()

# Given the gradient from above, the output, and the ordinary gradient.
_RULES = {
    "standard": lambda above, output, ordinary: ordinary(
        gradients=above, features=output
    ),
    "guided": lambda above, output, ordinary: ordinary(
        gradients=tf.nn.relu(above), features=output
    ),
    "deconvnet": lambda above, output, ordinary: tf.nn.relu(above),
}
_OTHER_ACTIVATIONS = (
    "Elu",
    "Erf",
    "Erfc",
    "LeakyRelu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Tanh",
)


@tf.RegisterGradient("KerasXmapRelu")
def _relu_gradient(op, gradient):
    return _backward(op, gradient, tf.raw_ops.ReluGrad)


@tf.RegisterGradient("KerasXmapRelu6")
def _relu6_gradient(op, gradient):
    return _backward(op, gradient, tf.raw_ops.Relu6Grad)


def _backward(op, gradient, ordinary):
    rule = getattr(_local, "rule", "standard")
    if _is_part_of_another_activation(op):
        rule = "standard"
    if rule != "standard":
        _local.applied_to.add(op)
    return _RULES[rule](gradient, op.outputs[0], ordinary)


def marked_relus():
    """Marks the ReLUs that are traced in this context for `relu_rule`."""
    return tf.compat.v1.get_default_graph().gradient_override_map(
        {"Relu": "KerasXmapRelu", "Relu6": "KerasXmapRelu6"}
    )


@contextlib.contextmanager
def relu_rule(rule, sources, target):
    """Applies `rule` to the gradients of `target` taken in this context.

    Args:
        rule: One of `contract.RELU_RULES`.
        sources: List of tensors the gradients are taken with respect to.
        target: Tensor the gradients are taken of.

    Raises:
        RuleError: If no ReLU lies on the way, or one that cannot be reached.

    Warns:
        UserWarning: Names the activations that are no ReLU and therefore
            keep their ordinary gradient.
    """
    if rule == "standard":
        yield
        return
    relus = _relus_between(sources, target, rule)
    outer = (
        getattr(_local, "rule", "standard"),
        getattr(_local, "applied_to", None),
    )
    _local.rule, _local.applied_to = rule, set()
    try:
        yield
        missed = [op for op in relus if op not in _local.applied_to]
    finally:
        _local.rule, _local.applied_to = outer
    if missed:
        raise RuleError(
            f"The {rule} rule did not reach these ReLUs: {_names(missed)}. "
            "They were traced without their mark; call the explainer outside "
            "of the function that traces the model."
        )


def _relus_between(sources, target, rule):
    relus, others = [], []
    for op in graph.operations_between(sources, [target]):
        if op.type in ("Relu", "Relu6"):
            gate = _is_part_of_another_activation(op)
            (others if gate else relus).append(op)
        elif op.type in _OTHER_ACTIVATIONS:
            others.append(op)
        elif graph.is_function_call(op) or graph.is_control_flow(op):
            _refuse_relus_inside(op, rule)
    if not relus:
        found = _names(others) or "no activation at all"
        raise RuleError(
            f"The {rule} backward rule needs a ReLU between the input and the "
            f"target. Received: a model with {found} there. Use an explainer "
            "that takes ordinary gradients, such as Saliency or SmoothGrad."
        )
    if others:
        warn_user(
            f"The {rule} backward rule is defined for ReLU. These activations "
            f"keep their ordinary gradient: {_names(others)}."
        )
    return relus


def _refuse_relus_inside(op, rule):
    inside = graph.operation_types_inside(op) & {"Relu", "Relu6"}
    if inside:
        raise RuleError(
            f"The {rule} backward rule cannot reach a ReLU inside of a "
            f"compiled function or loop. Received: {op.type} {op.name!r} in "
            "the model. Remove the `tf.function` around it, or use an "
            "explainer that takes ordinary gradients, such as Saliency or "
            "SmoothGrad."
        )


def _is_part_of_another_activation(op):
    """Whether a ReLU is a building block: of PReLU, or of a hard sigmoid."""
    source = op.inputs[0].op
    if source.type == "Neg":
        return True
    return (
        op.type == "Relu6"
        and source.type in ("Add", "AddV2")
        and any(
            value is not None and value.ndim == 0 and float(value) == 3.0
            for value in map(tf.get_static_value, source.inputs)
        )
    )


def _names(ops, most=6):
    names = [f"{op.type} {op.name!r}" for op in ops]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
