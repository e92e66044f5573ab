"""Distinct class saliency maps, written as Shimoda & Yanai state them."""

import numpy as np
from reference import laid


def distinct_maps(
    derivatives,
    size,
    candidates,
    alpha=3,
    normalization="after",
    signed=False,
    windows=None,
    seen=None,
    upsampling="after",
):
    """Returns the map of every candidate of one image, as a dict.

    Args:
        derivatives: List over scales of lists over layers of dicts from
            classes to arrays `(rows, columns, channels)`.
        size: Height and width of the image.
        candidates: List of classes.
        alpha: Number.
        normalization: `"after"`, `"before"` or `None`: see the explainer.
        signed: Whether derivatives keep their sign.
        windows: List of the windows of each layer, see `laid`.
        seen: List of the size of the image at each scale.
        upsampling: `"after"` or `"before"` the maximum over channels.
    """

    def enlarged(heatmap, number, layer):
        window = windows[layer] if windows else [(1, 1)]
        return laid.lay(heatmap, size, window, seen and seen[number])

    def map_of(derivative, number, layer):
        if upsampling == "after":
            return enlarged(strongest(derivative, signed), number, layer)
        channels = np.moveaxis(derivative, -1, 0)
        each = [enlarged(channel, number, layer) for channel in channels]
        return strongest(np.stack(each, -1), signed)

    total = {c: np.zeros(size) for c in candidates}
    count = 0
    for number, of_scale in enumerate(derivatives):
        for layer, of_layer in enumerate(of_scale):
            count += 1
            maps = {c: map_of(of_layer[c], number, layer) for c in candidates}
            if normalization == "before":
                maps = {c: by_maximum(m) for c, m in maps.items()}
            for c in candidates:
                distinct = difference(maps, c)
                if normalization == "after":
                    distinct = by_maximum(distinct)
                total[c] += np.tanh(alpha * distinct)
    return {c: m / count for c, m in total.items()}


def strongest(derivative, signed):
    """The largest (absolute) derivative of each position's channels."""
    rows, columns, _ = derivative.shape
    heatmap = np.zeros((rows, columns))
    for at in np.ndindex(rows, columns):
        values = [float(v) for v in derivative[at]]
        heatmap[at] = (
            max(0, *values) if signed else max(abs(value) for value in values)
        )
    return heatmap


def difference(maps, c):
    """What the map of `c` has more than each of the others, summed."""
    if len(maps) == 1:
        return maps[c]
    result = np.zeros(maps[c].shape)
    for other, heatmap in maps.items():
        if other != c:
            for at in np.ndindex(result.shape):
                result[at] += max(maps[c][at] - heatmap[at], 0)
    return result


def by_maximum(heatmap):
    return (
        heatmap / heatmap.max()
        if heatmap.max() > 0
        else np.zeros(heatmap.shape)
    )
