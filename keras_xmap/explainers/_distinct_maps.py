"""The difference of the maps of several classes, on plain tensors."""

from keras import ops

from keras_xmap.ops import normalize


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
