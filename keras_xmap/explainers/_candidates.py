"""Which classes of an image are explained, and which may be in it besides."""

import numbers

from keras import ops

from keras_xmap import engine
from keras_xmap import targets

# How many classes above a threshold may join those of the target. Each has a
# part in the compiled step, which is skipped where no image has it.
MOST_ABOVE_THRESHOLD = 5


class CandidateClasses(targets.Class):
    """Classes to explain, of which images may have different numbers.

    Args:
        index: See `targets.Class`; in an array of shape `(batch, classes)`,
            -1 fills up the rows of images with fewer classes.
        output: See `targets.Class`. The output may also be a score map, of
            shape `(batch, height, width, classes)`.
    """

    def __init__(self, index=None, output=None):
        array = index
        if index is not None and not hasattr(index, "shape"):
            array = ops.convert_to_numpy(index)
        if not _may_be_filled(array):
            super().__init__(index, output)
            return
        if array.size and array.min() < -1:
            raise ValueError(
                "A class must be >= 0, or -1 for none. Received: target="
                f"{array.min()}."
            )
        super().__init__(array.clip(0), output)
        self.index = index
        self._array = array.astype("int32")

    def table(self, outputs, class_axis, reduce, of_output=False):
        """Returns the output that is meant, float32 `(batch, classes)`.

        Args:
            outputs: Structure of the model's outputs, or of their scores.
            class_axis: Integer: the axis of the classes in score maps.
            reduce: How the positions of a score map become one number:
                `ops.max` or `ops.sum`.
            of_output: Boolean: whether these are outputs, not scores.
        """
        output = self._select(outputs)
        rank = len(output.shape)
        if rank == 1:
            output = output[:, None]
        if rank == 0:
            raise ValueError(
                "A class is explained of an output of shape (batch, classes) "
                "or (batch, height, width, classes). Received: an output of "
                f"shape {tuple(output.shape)}."
            )
        axis = class_axis if rank > 2 else -1
        output = self._of_classes(output, axis, of_output)
        if rank > 2:
            positions = set(range(1, rank)) - {class_axis % rank}
            output = reduce(output, axis=tuple(sorted(positions)))
        return ops.cast(output, "float32")

    def indices(self, ranking, parts):
        """Returns the classes `(batch, classes)`, -1 where there is none.

        Args:
            ranking: The table of scores of the images themselves, by which
                the top class is found where none is given.
            parts: The target's parts.
        """
        if not parts:
            return ops.cast(ops.argmax(ranking, axis=-1), "int32")[:, None]
        index = ops.cast(parts["index"], "int32")
        if len(index.shape) == 0:
            index = ops.broadcast_to(index, (ops.shape(ranking)[0],))
        if len(index.shape) == 1:
            index = index[:, None]
        if index.shape[-1] is None:
            raise targets.unknown_number_of_classes(tuple(index.shape))
        is_filled = len(parts["index"].shape) == 2
        lowest = -1 if is_filled else 0
        engine.require(
            ops.all((index >= lowest) & (index < ops.shape(ranking)[-1])),
            "`target` must be a class of the model, from 0 to before the "
            "number of classes. Received: (classes, target)",
            ops.shape(ranking)[-1],
            parts["index"],
        )
        return ops.clip(index, lowest, ops.shape(ranking)[-1] - 1)

    def expects_maps(self):
        # Where there is no class, nobody misses a map.
        if self.is_single(self.parts):
            return None
        return ops.convert_to_numpy(self.parts["index"]) >= 0


class FoundCandidates(CandidateClasses):
    """Stands for the question which classes of an image are candidates."""


class LabelCandidates(targets.Target):
    """Stands for the class that each image of a dataset has by its label."""

    def for_labels(self, labels):
        found = targets.get("labels").for_labels(labels)
        return CandidateClasses(found.index)

    def scores(self, outputs, parts):
        return targets.get("labels").scores(outputs, parts)


def as_candidates(target):
    """Returns the `Target` for what a user gives, classes by their own kind."""
    if target is None or _is_of_classes(target):
        return CandidateClasses(target)
    if target == "labels":
        return LabelCandidates()
    target = targets.get(target)
    if type(target) is targets.Class:
        return CandidateClasses(target.index, target.output)
    return target


def candidate_members(rule, outputs, ranking):
    """Returns which classes a rule names, boolean `(batch, classes)`.

    Args:
        rule: Float: classes whose output exceeds it; integer: as many as
            this, the highest; tuple of integers: these.
        outputs: Float tensor `(batch, classes)`: what the model put out.
        ranking: Float tensor `(batch, classes)`: their scores.
    """
    if isinstance(rule, float):
        return outputs > rule
    num_classes = ranking.shape[-1]
    if isinstance(rule, int):
        _, best = ops.top_k(ranking, num_slots(rule, ranking))
        return membership(best, num_classes)
    if max(rule) >= num_classes:
        raise ValueError(
            "`candidates` must be classes of the model, which has "
            f"{num_classes}. Received: candidates={rule}."
        )
    named = membership(ops.convert_to_tensor([rule], "int32"), num_classes)
    return ops.broadcast_to(named, ops.shape(ranking))


def check_candidates(rule):
    """Returns `rule` as a float, an int, a tuple of ints, a word or None."""
    message = (
        "`candidates` must be a number that the output of a class exceeds "
        "(float), how many of the highest classes (integer >= 1), a list of "
        "classes, 'target' or None. Received: candidates="
        f"{rule!r}."
    )
    if rule is None or (isinstance(rule, str) and rule == "target"):
        return rule
    if isinstance(rule, (bool, str)):
        raise ValueError(message)
    if isinstance(rule, numbers.Integral):
        if rule < 1:
            raise ValueError(message)
        return int(rule)
    if isinstance(rule, numbers.Real) and abs(rule) < float("inf"):
        return float(rule)
    if not isinstance(rule, (list, tuple)) or not rule:
        raise ValueError(message)
    for entry in rule:
        is_class = isinstance(entry, numbers.Integral) and entry >= 0
        if not is_class or isinstance(entry, bool):
            raise ValueError(message)
    return tuple(int(entry) for entry in rule)


def in_columns(member, ranking):
    """Returns the classes that are members, the highest first.

    Args:
        member: Boolean `(n, classes)`.
        ranking: Float `(n, classes)`.

    Returns:
        Int32 array `(n, most)`, at least one column, filled up by -1.
    """
    most = max(1, int(ops.max(ops.sum(ops.cast(member, "int32"), axis=-1))))
    masked = ops.where(member, ranking, -float("inf"))
    values, index = ops.top_k(masked, most)
    index = ops.where(values > -float("inf"), ops.cast(index, "int32"), -1)
    return ops.convert_to_numpy(index)


def num_slots(rule, ranking):
    """Returns how many classes a rule can add to those of a target."""
    if isinstance(rule, float):
        most = MOST_ABOVE_THRESHOLD
    else:
        most = rule if isinstance(rule, int) else len(set(rule))
    return min(most, ranking.shape[-1])


def membership(index, num_classes):
    """Returns which classes occur in a row of `index`, without the -1."""
    classes = ops.arange(num_classes, dtype="int32")
    return ops.any(index[..., None] == classes, axis=-2)


def _may_be_filled(array):
    return (
        array is not None
        and not ops.is_tensor(array)
        and not hasattr(array, "assign")
        and len(array.shape) == 2
        and "int" in str(array.dtype)
    )


def _is_of_classes(target):
    """Whether a target is an array of classes, or looks like one."""
    if isinstance(target, (list, tuple)):
        return not any(
            callable(x) or isinstance(x, targets.Target) for x in target
        )
    return hasattr(target, "shape")
