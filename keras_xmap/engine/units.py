"""What a single unit says: which of two classes it is, or just a number.

A classifier of two classes ends, as a rule, in one sigmoid unit, and so does
a network that predicts a share; one linear unit is the logit of a class or the
number of a regression. The squashing at the end of the model tells, or the
loss that the model was compiled with; else nothing does.
"""

import functools

import keras

_OF_PROBABILITIES = (
    keras.losses.binary_crossentropy,
    keras.losses.binary_focal_crossentropy,
)
_OF_MARGINS = (keras.losses.hinge, keras.losses.squared_hinge)
_OF_NUMBERS = (
    keras.losses.huber,
    keras.losses.log_cosh,
    keras.losses.mean_absolute_error,
    keras.losses.mean_absolute_percentage_error,
    keras.losses.mean_squared_error,
    keras.losses.mean_squared_logarithmic_error,
    keras.losses.poisson,
)
_FOUND = {
    "sigmoid": "a sigmoid unit",
    "softmax": "a softmax over a single unit",
    "hidden": "arithmetic on what a softmax or sigmoid gave",
    None: "a unit that neither softmax nor sigmoid squashes",
}


class Unit:
    """How a single unit of an output is read.

    Attributes:
        meaning: `"classes"`: class 1 where it is above a threshold, else class
            0; `"number"`: no class at all; `"constant"`: the same for every
            input; `None`: nothing tells.
        threshold: Float: of the score that is explained; `None` where nothing
            tells.
        output_threshold: The same of the output.
        is_probability: Boolean: whether the score that is explained comes out
            of a softmax or sigmoid.
        found: String: what was found in the model, for messages.
    """

    def __init__(
        self,
        meaning=None,
        threshold=0.0,
        output_threshold=0.0,
        is_probability=False,
        found="an output of no known model",
    ):
        self.meaning = meaning
        self.threshold = threshold
        self.output_threshold = output_threshold
        self.is_probability = is_probability
        self.found = found

    @property
    def remark(self):
        """String: which class is which, of an output of one unit."""
        if self.meaning != "classes":
            return ""
        other = "its negative"
        if self.threshold:
            other = f"{2 * self.threshold:g} minus it"
        return f", for class 1; {other} for class 0"


def units_of(model, outputs, squashing, score):
    """Returns one `Unit` per output, flat, to be read if it has one unit.

    Args:
        model: The model.
        outputs: Structure of its outputs.
        squashing: List, flat, of what squashes each output: `"sigmoid"`,
            `"softmax"`, `"hidden"` where there is other arithmetic behind
            one, or `None`.
        score: `"logits"` or `"output"`: which is explained.
    """
    losses = _losses(model, outputs, len(squashing))
    return [_unit(*pair, score) for pair in zip(squashing, losses, strict=True)]


def _unit(squashing, loss, score):
    kind, from_logits = _kind(loss)
    if squashing == "softmax":
        meaning = "constant"
    elif squashing == "sigmoid":
        meaning = None if kind == "number" else "classes"
    else:
        meaning = kind
    if squashing == "sigmoid" or (kind == "classes" and not from_logits):
        output_threshold = 0.5
    elif squashing == "hidden" and kind != "classes":
        output_threshold = None
    else:
        output_threshold = 0.0
    is_undone = score == "logits" and squashing == "sigmoid"
    compiled = "no loss that tells" if kind is None else _name(loss)
    return Unit(
        meaning,
        0.0 if is_undone else output_threshold,
        output_threshold,
        score == "output" and squashing is not None,
        f"{_FOUND[squashing]}, in a model compiled with {compiled}",
    )


def _losses(model, outputs, count):
    """Returns the loss of each output, flat; `None` where none is known."""
    loss = model.loss if getattr(model, "compiled", False) else None
    if not isinstance(loss, (dict, list, tuple)):
        return [loss] * count
    if isinstance(loss, dict):
        names = getattr(model, "output_names", None) or ()
        if isinstance(outputs, dict):
            names = keras.tree.flatten({name: name for name in outputs})
        found = [loss.get(name) for name in names]
    else:
        found = [None] * count if isinstance(outputs, dict) else list(loss)
    return found if len(found) == count else [None] * count


def _kind(loss):
    """Returns what a loss is for, and whether it takes logits."""
    try:
        loss = keras.losses.get(loss)
    except (TypeError, ValueError):
        return None, False
    from_logits = getattr(loss, "from_logits", False)
    if isinstance(loss, functools.partial):
        from_logits = loss.keywords.get("from_logits", False)
        loss = loss.func
    function = getattr(loss, "fn", loss)  # of a class of Keras
    if function in _OF_PROBABILITIES:
        return "classes", bool(from_logits)
    if function in _OF_MARGINS:
        return "classes", True
    return ("number" if function in _OF_NUMBERS else None), False


def _name(loss):
    return f"loss={getattr(loss, 'name', getattr(loss, '__name__', loss))!r}"
