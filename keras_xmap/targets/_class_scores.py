"""How a target becomes one score per image, for each of its classes."""

from keras import ops

from keras_xmap import engine
from keras_xmap._typing import Structure
from keras_xmap._typing import Tensor
from keras_xmap.targets.target import Target


def class_scores(
    evaluation: engine.Evaluation, target: Target, parts: Structure
) -> list[Tensor]:
    """Returns a list with one score tensor of shape `(batch,)` per class.

    Args:
        evaluation: `engine.Evaluation` of the batch.
        target: The `Target`.
        parts: Its parts.
    """

    target = target.for_units(evaluation.units)

    def of_classes(scores):
        scores = target.scores(scores, parts)
        _check_rank(scores, target, parts)
        if len(scores.shape) == 1:
            return scores, [scores]
        columns = [scores[:, k] for k in range(scores.shape[-1])]
        return scores, columns

    scores, columns = evaluation.derive(of_classes, evaluation.scores)
    evaluation.check_depends(scores)
    # Else the maps of the images left out would be 0 without a word.
    num_images = ops.shape(evaluation.given_inputs[0])[0]
    engine.require(
        ops.equal(ops.shape(scores)[0], num_images),
        "A target must return one score per image. Received: (scores, images)",
        ops.shape(scores)[0],
        num_images,
    )
    return columns


def _check_rank(scores, target, parts):
    shape = tuple(scores.shape)
    if len(shape) != (1 if target.is_single(parts) else 2):
        raise ValueError(
            "A target must return shape (batch,), or (batch, classes) where "
            f"its `is_single` is false. Received: shape {shape} from {target}."
        )
    if shape[-1] is None and len(shape) == 2:
        raise unknown_number_of_classes(shape)


def unknown_number_of_classes(shape):
    """Returns the error for classes of which nobody knows how many."""
    return ValueError(
        "The number of classes in `target` must be known. Received: a target "
        f"of shape {shape} inside a tf.function. Set its shape by "
        "`target.set_shape((None, classes))`."
    )
