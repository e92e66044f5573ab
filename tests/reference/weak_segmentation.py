"""The losses of SEC and of prohibitive segmentation learning, pixel by pixel.

Maps `(height, width, classes)` are probabilities of one image, the background
first; labels `(height, width)` are classes or 255.
"""

import numpy as np
from reference import dense_crf


def floored(maps, lowest=1e-4):
    maps = np.maximum(np.asarray(maps, "float64"), lowest)
    return maps / maps.sum(-1, keepdims=True)


def rank_pooling(values, decay):
    values = sorted(np.ravel(values), reverse=True)
    weights = [decay**rank for rank in range(len(values))]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(
        weights
    )


def seeding(cues, maps):
    f = floored(maps)
    logs = [
        np.log(f[position][label])
        for position, label in np.ndenumerate(cues)
        if label != 255
    ]
    return -np.mean(logs) if logs else 0.0


def expansion(labels, maps, decays=(0.996, 0, 0.999), reference_size=1681):
    if all(label == 255 for label in labels):
        return 0.0
    f = floored(maps)
    power = reference_size / (f.shape[0] * f.shape[1])
    there, absent, background = (decay**power for decay in decays)
    positive, negative = [], []
    for number, label in enumerate(labels):
        values = f[..., number + 1]
        if label == 1:
            positive.append(np.log(rank_pooling(values, there)))
        if label == 0:
            negative.append(np.log(1 - rank_pooling(values, absent)))
    total = np.log(rank_pooling(f[..., 0], background))
    for logs in (positive, negative):
        total += np.mean(logs) if logs else 0.0
    return -total


def crf_target(image, maps, setting, num_iterations):
    scores = np.log(np.maximum(np.asarray(maps, "float64"), 1e-5))
    return floored(dense_crf.dense_crf(image, scores, setting, num_iterations))


def divergence(q, maps):
    return (q * np.log(q / floored(maps))).sum(-1).mean()


def cross_entropy(labels, maps):
    logs = [
        np.log(max(maps[position][label], 1e-7))
        for position, label in np.ndenumerate(labels)
        if label != 255
    ]
    return -np.mean(logs) if logs else 0.0


def own_labels(maps, classes):
    found = np.empty(maps.shape[:2], int)
    for position in np.ndindex(*found.shape):
        found[position] = np.argmax([1, *classes] * maps[position])
    return found


def prohibitive(labels, maps, classes):
    if (labels == 255).all():
        return 0.0
    own = own_labels(maps, classes)
    return cross_entropy(labels, maps) + cross_entropy(own, maps)
