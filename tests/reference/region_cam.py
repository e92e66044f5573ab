"""Region-CAM one pair of positions at a time, in float64."""

import numpy as np


def region_cam(layers, lay):
    """Returns the map of one image.

    Args:
        layers: List of pairs `(height, width, channels)`: activations of a
            stage, and derivatives by them.
        lay: Function of a map and the number of its layer, which lays it on
            the input.
    """
    information = np.mean(
        [
            lay(min_max(np.maximum(gradients, 0).sum(-1)), number)
            for number, (_, gradients) in enumerate(layers)
        ],
        axis=0,
    )
    regions = [
        lay(min_max(propagated(activations, information, lay, number)), number)
        for number, (activations, _) in enumerate(layers)
    ]
    return np.mean(regions, axis=0)


def min_max(heatmap):
    span = heatmap.max() - heatmap.min()
    if span <= 1e-5 * heatmap.max():
        return np.zeros_like(heatmap)
    return (heatmap - heatmap.min()) / span


def propagated(activations, information, lay, number):
    size = activations.shape[:-1]
    at_positions = np.zeros(size)
    for p in np.ndindex(*size):
        share = np.zeros(size)
        share[p] = 1
        share = lay(share, number)
        at_positions[p] = (share * information).sum() / share.sum()
    result = np.zeros(size)
    for p in np.ndindex(*size):
        weights = {
            q: cosine(activations[p], activations[q]) for q in np.ndindex(*size)
        }
        total = sum(weights.values())
        if total:
            told = sum(weights[q] * at_positions[q] for q in weights)
            result[p] = told / total
    return result


def cosine(a, b):
    a, b = np.maximum(a, 0), np.maximum(b, 0)
    lengths = np.sqrt((a * a).sum()) * np.sqrt((b * b).sum())
    return (a * b).sum() / lengths if lengths else 0.0
