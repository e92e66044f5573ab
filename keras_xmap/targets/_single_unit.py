"""A single unit as the scores of two classes, or of the one number it is."""

from keras import ops

from keras_xmap import engine

_REMEDY = (
    "For the classes pass {binary}: 1 for what raises the unit, 0 for what "
    "lowers it; for the number itself "
    "`keras_xmap.targets.Component()`; or compile the model with the loss it "
    "was trained with."
)
_MAP_REMEDY = (
    "Compile the model with the loss it was trained with, or pass a callable: "
    "`lambda outputs: keras.ops.mean(outputs, axis=(1, 2, 3))` for what raises "
    "the unit, with a minus for what lowers it."
)


def scores_of_classes(output, unit, axis=-1, of_output=False):
    """Returns an output with one score per class along an axis.

    A unit that is one of two classes becomes two scores, `2 * threshold - s`
    of class 0 and `s` of class 1: of a logit `-s` and `s`, of a probability
    `1 - s` and `s`. An output of several units, or of a number, stays as it
    is.

    Args:
        output: Tensor with an axis of classes.
        unit: `engine.Unit` of this output.
        axis: Integer: which axis that is.
        of_output: Boolean: whether `output` is what the model put out, rather
            than the score that is explained.

    Raises:
        ValueError: If there is one unit, and nothing tells how to read it.
    """
    if output.shape[axis] is None:
        engine.require(
            ops.shape(output)[axis] != 1,
            "How an output is read must be known before it is computed. "
            "Received: one unit, of an output of unknown shape. Give the "
            "output a shape, by `keras.ops.reshape(outputs, (-1, 1))`. Units",
            ops.shape(output)[axis],
        )
        return output
    if output.shape[axis] != 1 or unit.meaning == "number":
        return output
    check_readable(unit, is_map=len(output.shape) > 2)
    threshold = unit.output_threshold if of_output else unit.threshold
    return two_classes(output, threshold, axis)


def two_classes(output, threshold, axis=-1):
    return ops.concatenate([2 * threshold - output, output], axis=axis)


def check_readable(unit, is_map=False):
    """Raises unless a single unit is that of two classes."""
    if unit.meaning == "constant":
        raise ValueError(
            "A softmax over a single unit is 1 for every image, so that there "
            f"is no class to explain. Received: {unit.found}. End the model in "
            "a sigmoid, or explain the unit before the softmax by "
            "`keras_xmap.targets.Component()`."
        )
    if unit.meaning is None:
        binary = "`keras_xmap.targets.Binary(target, threshold=0.5)`"
        if unit.threshold is not None:  # None is behind a sigmoid
            binary = (
                "`keras_xmap.targets.Binary(target)` if it is a logit, or with "
                "`threshold=0.5` if it is a probability"
            )
        remedy = _MAP_REMEDY if is_map else _REMEDY.format(binary=binary)
        raise ValueError(
            "Whether a single unit is that of two classes or a number cannot "
            f"be known. Received: {unit.found}. {remedy}"
        )
