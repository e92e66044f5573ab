"""Functions that a user gives, which are called when much is done already."""

import inspect

from keras_xmap._checks import check_callable


def check_function(name, value, num_arguments, remedy=""):
    """Returns `value`, a function that can be called with arguments.

    Args:
        name: Text, the name of the argument.
        value: What was given.
        num_arguments: Integer, with how many arguments it is called.
        remedy: Text for the message. Defaults to `""`.
    """
    check_callable(name, value, remedy)
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # written in another language
        return value
    try:
        signature.bind(*[None] * num_arguments)
    except TypeError as error:
        raise TypeError(
            f"`{name}` must be a function of {num_arguments} argument"
            f"{'' if num_arguments == 1 else 's'}. Received: {name}={value!r} "
            f"with the signature {signature}. {remedy}".rstrip()
        ) from error
    return value


def check_explainer(name, value):
    """Returns `value`, a function of a model that returns an explainer."""
    remedy = "Give `GradCAM`, or `lambda model: GradCAM(model, ...)`."
    if hasattr(value, "explain_batches") and not isinstance(value, type):
        raise TypeError(
            f"`{name}` must be a function that makes an explainer. Received: "
            f"{name}={value!r}, which is one. {remedy}"
        )
    return check_function(name, value, 1, remedy)


def check_rule(name, value):
    """Returns `value`, a function of the records of rounds, made already."""
    if isinstance(value, type):
        raise TypeError(
            f"`{name}` must be a function of the records of rounds. Received: "
            f"{name}={value!r}, a class. Call it: {value.__name__}()."
        )
    return check_function(name, value, 1)
