"""The classes of an image side by side, and how their maps differ."""

from keras import ops

from keras_xmap._entries import entries_of_rows
from keras_xmap.explainers._candidates import candidate_members
from keras_xmap.explainers._candidates import membership
from keras_xmap.explainers._candidates import num_slots
from keras_xmap.ops import normalize


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
            given = membership(index, ranking.shape[-1])
            member = candidate_members(rule, outputs, ranking) & ~given
            masked = ops.where(member, ranking, -float("inf"))
            values, others = ops.top_k(masked, num_slots(rule, masked))
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
        chosen = entries_of_rows(table, self.index)
        return [chosen[:, slot] for slot in range(len(self))]

    def needed(self, slot):
        """Returns whether any image has this slot; `None` if all have it."""
        if slot < self.num_targets and not self.may_be_empty:
            return None
        return ops.any(self.valid[:, slot])

    def rivals(self, slot):
        """Returns which slots are subtracted from this one, boolean."""
        return self.counts & (self.index != self.index[:, slot : slot + 1])


def distinct(maps, slots, subtract, normalization, alpha):
    """Returns the maps of the target's classes, of one layer and scale.

    Args:
        maps: Float tensor `(batch, *size, slots)` of values >= 0.
        slots: `candidates.Slots`.
        subtract: Boolean: whether other classes are subtracted.
        normalization: See `DistinctClassSaliency`.
        alpha: See `DistinctClassSaliency`.

    Returns:
        Float tensor `(batch, *size, targets)`.
    """
    positions = tuple(range(1, len(maps.shape) - 1))
    if normalization == "before":
        maps = normalize(maps, "max", positions)
    if subtract:
        maps = ops.stack(
            [
                difference(maps, slot, slots.rivals(slot))
                for slot in range(slots.num_targets)
            ],
            axis=-1,
        )
    else:
        maps = maps[..., : slots.num_targets]
    if normalization == "after":
        maps = normalize(maps, "max", positions)
    return ops.tanh(alpha * maps)


def difference(maps, slot, rivals):
    """Returns how much stronger a class is than each of its rivals, summed.

    Args:
        maps: Float tensor `(batch, *size, slots)`.
        slot: Integer: which of them.
        rivals: Boolean tensor `(batch, slots)`.

    Returns:
        Float tensor `(batch, *size)`: the map itself without a rival.
    """
    gaps = ops.relu(maps[..., slot : slot + 1] - maps)
    summed = ops.sum(ops.where(beside(rivals, maps), gaps, 0.0), axis=-1)
    alone = ops.logical_not(ops.any(rivals, axis=-1, keepdims=True))
    return ops.where(beside(alone, maps)[..., 0], maps[..., slot], summed)


def beside(flags, maps):
    """Returns `(batch, slots)` as `(batch, 1, ..., slots)`, to meet maps."""
    positions = (1,) * (len(maps.shape) - 2)
    return ops.reshape(flags, (-1, *positions, flags.shape[-1]))


def _is_repeated(index):
    """Returns where a class stands that stood before in its row."""
    before = [
        ops.any(index[:, :slot] == index[:, slot : slot + 1], axis=-1)
        for slot in range(1, index.shape[-1])
    ]
    first = ops.zeros_like(index[:, 0], dtype="bool")
    return ops.stack([first, *before], axis=-1)
