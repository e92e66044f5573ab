"""Which inputs of a model a tensor is made from, and what they are called."""

import keras


def made_from(evaluation, tensor, inputs=None):
    """Returns those of `inputs` that `tensor` is computed from: a list.

    Args:
        evaluation: `Evaluation`.
        tensor: Tensor of it.
        inputs: List of its inputs. Defaults to `None`: all of them.
    """
    if inputs is None:
        inputs = evaluation.given_inputs
    above = evaluation.ancestors(tensor)
    return [x for x in inputs if x in above]


def input_names(evaluation, inputs):
    """Names inputs as `input_name` does: a string for messages."""
    structure = evaluation.inputs
    if isinstance(structure, dict):
        named = list(structure.items())
    else:
        named = list(enumerate(keras.tree.flatten(structure)))
    if len(named) == 1:
        return "the input"
    known = [repr(name) for name, x in named if any(x is y for y in inputs)]
    if not known:
        return "no input"
    return f"input{'s' if len(known) > 1 else ''} {' and '.join(known)}"
