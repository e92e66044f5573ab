"""Candidate classes: those whose maps are held against each other."""

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

    def table(self, outputs, class_axis, reduce):
        """Returns the output that is meant, float32 `(batch, classes)`.

        Args:
            outputs: Structure of the model's outputs, or of their scores.
            class_axis: Integer: the axis of the classes in score maps.
            reduce: How the positions of a score map become one number:
                `ops.max` or `ops.sum`.
        """
        output = self._select(outputs)
        rank = len(output.shape)
        if rank < 2:
            raise ValueError(
                "A class is explained of an output of shape (batch, classes) "
                "or (batch, height, width, classes). Received: an output of "
                f"shape {tuple(output.shape)}."
            )
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
            raise ValueError(
                "The number of classes in `target` must be known. Received: "
                f"a target of shape {tuple(index.shape)} inside a tf.function. "
                "Set its shape by `target.set_shape((None, classes))`."
            )
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


class FoundCandidates(CandidateClasses):
    """Stands for the question which classes of an image are candidates."""


def as_candidates(target):
    """Returns the `Target` for what a user gives, classes by their own kind."""
    if target is None or _is_of_classes(target):
        return CandidateClasses(target)
    target = targets.get(target)
    if type(target) is targets.Class:
        return CandidateClasses(target.index, target.output)
    return target


class Slots:
    """The classes one backward pass each is made for, in their order.

    First those of the target, then those of the rule that the target does not
    name, the highest first.

    Attributes:
        index: Int32 tensor `(batch, slots)`: classes, 0 where there is none.
        valid: Boolean tensor `(batch, slots)`: whether there is one.
        counts: Boolean tensor `(batch, slots)`: whether it is one that no
            slot before it holds: it may be subtracted.
        num_targets: Integer: how many slots are those of the target.
        may_be_empty: Boolean: whether slots of the target may hold no class.
    """

    def __init__(self, index, rule, outputs, ranking, may_be_empty):
        self.num_targets = index.shape[-1]
        self.may_be_empty = may_be_empty
        valid = index >= 0
        counts = valid & ~_is_repeated(index)
        if rule not in (None, "target") and ranking.shape[-1] > 1:
            given = _membership(index, ranking.shape[-1])
            member = candidate_members(rule, outputs, ranking) & ~given
            masked = ops.where(member, ranking, -float("inf"))
            values, others = ops.top_k(masked, _num_slots(rule, masked))
            is_one = values > -float("inf")
            others = ops.where(is_one, ops.cast(others, "int32"), -1)
            index = ops.concatenate([index, others], axis=-1)
            valid = ops.concatenate([valid, is_one], axis=-1)
            counts = ops.concatenate([counts, is_one], axis=-1)
        self.index = ops.maximum(index, 0)
        self.valid = valid
        self.counts = counts

    def __len__(self):
        return self.index.shape[-1]

    def scores(self, table):
        """Returns a list of one tensor `(batch,)` per slot."""
        chosen = ops.take_along_axis(table, self.index, axis=-1)
        return [chosen[:, slot] for slot in range(len(self))]

    def needed(self, slot):
        """Returns whether any image has this slot; `None` if all have it."""
        if slot < self.num_targets and not self.may_be_empty:
            return None
        return ops.any(self.valid[:, slot])

    def rivals(self, slot):
        """Returns which slots are subtracted from this one, boolean."""
        return self.counts & (self.index != self.index[:, slot : slot + 1])


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
        _, best = ops.top_k(ranking, _num_slots(rule, ranking))
        return _membership(best, num_classes)
    if max(rule) >= num_classes:
        raise ValueError(
            "`candidates` must be classes of the model, which has "
            f"{num_classes}. Received: candidates={rule}."
        )
    named = _membership(ops.convert_to_tensor([rule], "int32"), num_classes)
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


def _num_slots(rule, ranking):
    if isinstance(rule, float):
        most = MOST_ABOVE_THRESHOLD
    else:
        most = rule if isinstance(rule, int) else len(set(rule))
    return min(most, ranking.shape[-1])


def _membership(index, num_classes):
    """Returns which classes occur in a row of `index`, without the -1."""
    classes = ops.arange(num_classes, dtype="int32")
    return ops.any(index[..., None] == classes, axis=-2)


def _is_repeated(index):
    """Returns where a class stands that stood before in its row."""
    before = [
        ops.any(index[:, :slot] == index[:, slot : slot + 1], axis=-1)
        for slot in range(1, index.shape[-1])
    ]
    first = ops.zeros_like(index[:, 0], dtype="bool")
    return ops.stack([first, *before], axis=-1)


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
