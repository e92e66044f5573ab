"""Conditions on values that are only known while a compiled step runs."""

import re

import tensorflow as tf

from keras_xmap._messages import said_by
from keras_xmap.engine.contract import StepError
from keras_xmap.engine.given import given
from keras_xmap.engine.given import map_given

MARK = "keras_xmap: "
# What belongs to a target is computed in this scope of names.
TARGET_SCOPE = "target"
# What a model or a target may cause by the values that it computes with.
STOPS = (
    tf.errors.FailedPreconditionError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.UnimplementedError,
    tf.errors.UnknownError,
)


def require(condition, message, *values):
    """Stops the step with `message` unless the scalar `condition` holds.

    `values` are printed behind the message. Callers outside a compiled
    function see a `ValueError`; inside their own `tf.function`, TensorFlow's
    `InvalidArgumentError` with the same text.
    """
    constant = tf.get_static_value(condition)
    if constant is None:
        data = [MARK + message, *values]
        return tf.debugging.Assert(condition, data, summarize=8)
    if not constant:
        raise ValueError(" ".join([message, *map(str, values)]))
    return tf.no_op()


def raised_by_step(error):
    """Returns what to raise for one of `STOPS`.

    The `ValueError` of a failed `require`, else a `StepError`.
    """
    text = said_by(getattr(error, "message", "") or error)
    if MARK in text:
        return _of_requirement(text)
    # Many lines of Python may come before, which stand in the cause.
    found = re.search(r"([^\n]*)\n\s*\[\[\{\{node ([^}]+)\}\}", text)
    said, node = found.groups() if found else (text, "")
    said = re.sub(r"^\{\{function_node [^}]*\}\}\s*", "", said).strip()
    in_target = re.search(rf"(^|/){TARGET_SCOPE}(_\d+)?/", node)
    return StepError(said, node, in_target is not None)


def _of_requirement(text):
    # TensorFlow prints "assertion failed: [message] [value] [value]".
    text = text[text.index(MARK) + len(MARK) :].split("\n")[0]
    text = text.replace("\\'", "'")
    message, _, values = text.partition("]")
    return ValueError(message + values)


def behind(conditions, structure):
    """Returns a structure behind conditions, see `Backend.behind`."""
    checks = [
        require(condition, message, *values)
        for condition, message, values in conditions
    ]
    with tf.control_dependencies(checks):
        return map_given(tf.identity, structure)


def finite(inputs):
    """Returns `inputs`, behind a check that their values are finite."""
    message = (
        "Images must be finite. Received: an input with NaN or infinite "
        "values. Find them by `numpy.isfinite`."
    )
    conditions = [
        (tf.reduce_all(tf.math.is_finite(x)), message, [])
        for x in given(inputs)
        if x.dtype.is_floating
    ]
    return behind(conditions, inputs)
