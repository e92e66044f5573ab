"""How a gradient passes a ReLU on its way back.

The rule is chosen when the gradient is taken, so one forward pass can serve
several. While it is, the operations of each ReLU have a gradient function of
ours in place of their own. It rests on what is computed, not on the layer:
see `_rectifiers`.

`GradientTape` ignores such functions; gradients must be taken by
`tf.gradients`.
"""

import contextlib

import tensorflow as tf

from keras_xmap._warnings import warn_user
from keras_xmap.engine.contract import RuleError
from keras_xmap.engine.tensorflow import _graph as graph
from keras_xmap.engine.tensorflow._joins import joined_parts
from keras_xmap.engine.tensorflow._joins import of_part
from keras_xmap.engine.tensorflow._joins import spread_over_join
from keras_xmap.engine.tensorflow._linearity import Owners
from keras_xmap.engine.tensorflow._linearity import Way
from keras_xmap.engine.tensorflow._rectifiers import find_rectifiers


@contextlib.contextmanager
def relu_rule(rule, sources, target, calls):
    """Applies `rule` to the gradients of `target` taken in this context.

    Args:
        rule: One of `contract.RELU_RULES`.
        sources: List of tensors the gradients are taken with respect to.
        target: Tensor the gradients are taken of.
        calls: List of `LayerCall`: the layers, for messages.

    Raises:
        RuleError: If no ReLU lies on the way, or one that cannot be reached.

    Warns:
        UserWarning: Names what else is not linear on the way, and therefore
            keeps its ordinary gradient.
    """
    if rule == "standard":
        yield
        return
    owners = Owners(calls)
    rectifiers = _rectifiers_between(sources, target, rule, owners)
    reached = set()
    with contextlib.ExitStack() as stack:
        for rectifier in rectifiers:
            for op, function in _gradient_functions(rectifier, rule, reached):
                stack.enter_context(_gradient_of(op, function))
        yield
    missed = [x.output.op for x in rectifiers if x.output.op not in reached]
    if missed:
        raise RuleError(
            f"The {rule} backward rule did not reach these ReLUs. Received: "
            f"{owners.names(missed)}. They stand in a function that has a "
            "gradient of its own, such as `custom_gradient` or "
            "`recompute_grad`, or before an operation without gradient. Use "
            "an explainer that takes ordinary gradients, such as Saliency or "
            "SmoothGrad."
        )


def _gradient_functions(rectifier, rule, reached):
    """Yields the operations of a ReLU with the gradient they get."""

    def into_relu(op, *above):
        reached.add(op)
        gradient = above[rectifier.output.value_index]
        return to_input(op, _passed(rectifier, rule, gradient))

    def to_input(op, *above):
        # The gradient is that of the whole: it goes up on one way, unchanged.
        (gradient,) = (x for x in above if x is not None)
        inputs = [None] * len(op.inputs)
        number = numbers[op]
        if joined_parts(op) is not None:
            gradient = spread_over_join(op, gradient)
        elif op in joins:
            gradient = of_part(op, number, gradient)
        inputs[number] = tf.cast(gradient, op.inputs[number].dtype)
        return inputs

    numbers = dict(rectifier.path)
    joins = {op.inputs[0].op for op in numbers if joined_parts(op) is not None}
    (first, _), *rest = rectifier.path
    yield first, into_relu
    for op, _ in rest:
        yield op, to_input


def _passed(rectifier, rule, gradient):
    """Returns what a rule lets pass of the gradient from above."""
    passed = rectifier.slope * tf.nn.relu(tf.convert_to_tensor(gradient))
    if rule == "deconvnet":
        return passed
    output = rectifier.output
    is_on_slope = output != 0
    if rectifier.ceiling < float("inf"):
        is_on_slope &= output < tf.cast(rectifier.ceiling, output.dtype)
    return tf.where(is_on_slope, passed, tf.zeros_like(passed))


@contextlib.contextmanager
def _gradient_of(op, function):
    """Gives an operation another gradient function for as long.

    This is where TensorFlow itself looks first for the gradient of a call.
    """
    before = op._gradient_function
    op._gradient_function = function
    try:
        yield
    finally:
        op._gradient_function = before


def _rectifiers_between(sources, target, rule, owners):
    way = Way(sources, target)
    if not way.carries(target):
        return []  # There is no gradient, and taking it says so.
    rectifiers, others = find_rectifiers(way, owners)
    for op in others:
        if graph.is_function_call(op) or graph.is_control_flow(op):
            _refuse_relus_inside(op, rule, owners)
    if not rectifiers:
        found = owners.names(others) or "no activation at all"
        raise RuleError(
            f"The {rule} backward rule needs a ReLU between the input and the "
            f"target. Received: a model with {found} there. Use an explainer "
            "that takes ordinary gradients, such as Saliency or SmoothGrad."
        )
    if others:
        warn_user(
            f"The {rule} backward rule is defined for ReLU. What else is not "
            f"linear keeps its ordinary gradient: {owners.names(others)}."
        )
    return rectifiers


def _refuse_relus_inside(op, rule, owners):
    if graph.operation_types_inside(op) & {"Relu", "Relu6"}:
        raise RuleError(
            f"The {rule} backward rule cannot reach a ReLU inside of a "
            f"compiled function or loop. Received: {owners.names([op])} in "
            "the model. Remove the `tf.function` around it, or use an "
            "explainer that takes ordinary gradients, such as Saliency or "
            "SmoothGrad."
        )
