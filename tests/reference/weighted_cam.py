"""Maps of weighted activations after Grad-CAM, as the papers state them.

Activations and gradients have shape `(batch, *spatial, channels)` and are
computed in float64. Slow and obvious on purpose.
"""

import numpy as np
from reference import laid


def grad_cam_plus_plus(activations, gradients, normalize_alpha=False):
    """Chattopadhay et al. 2017 for `Y = exp(S)`, without the factor `exp(S)`.

    With `normalize_alpha`, what the authors' code does: the alphas of a
    channel are divided by their sum over positions of positive weight.
    """
    activations = np.asarray(activations, np.float64)
    gradients = np.asarray(gradients, np.float64)
    maps = np.zeros(activations.shape[:-1])
    for image in range(activations.shape[0]):
        for k in range(activations.shape[-1]):
            channel = activations[image, ..., k]
            slope = gradients[image, ..., k]
            alpha = np.zeros(channel.shape)
            for at in np.ndindex(channel.shape):
                g = slope[at]
                if g != 0:
                    alpha[at] = g**2 / (2 * g**2 + channel.sum() * g**3)
            if normalize_alpha and alpha[slope > 0].sum() != 0:
                alpha = alpha / alpha[slope > 0].sum()
            weight = (alpha * np.maximum(slope, 0)).sum()
            maps[image] += weight * channel
    return np.maximum(maps, 0)


def layer_cam(activations, gradients, gamma=None):
    """Jiang et al. 2021: `relu(sum_k relu(g_k) A_k)`, scaled by a tanh."""
    activations = np.asarray(activations, np.float64)
    gradients = np.asarray(gradients, np.float64)
    maps = np.zeros(activations.shape[:-1])
    for at in np.ndindex(maps.shape):
        for k in range(activations.shape[-1]):
            maps[at] += max(gradients[(*at, k)], 0) * activations[(*at, k)]
    maps = np.maximum(maps, 0)
    if gamma is not None:
        for image in range(len(maps)):
            if maps[image].max() > 0:
                scaled = gamma * maps[image] / maps[image].max()
                maps[image] = np.tanh(scaled)
    return maps


def eigen_cam(activations, center=False):
    """Muhammad & Yeasin 2020: projection on the first right singular vector.

    Its sign is the one with which its entries have a sum >= 0.
    """
    activations = np.asarray(activations, np.float64)
    maps = []
    for image in activations:
        matrix = image.reshape(-1, image.shape[-1])
        if center:
            matrix = matrix - matrix.mean(axis=0)
        _, _, right = np.linalg.svd(matrix, full_matrices=False)
        vector = right[0] if right[0].sum() >= 0 else -right[0]
        maps.append((matrix @ vector).reshape(image.shape[:-1]))
    return np.array(maps)


def score_cam(activations, image, score_at, weighting="softmax", windows=None):
    """Wang et al. 2019 for one image `(*spatial, channels)` and one class.

    `activations` are those of this image, `score_at(image)` the score of an
    image. Channels whose map is flat are skipped, as in the authors' code.
    `windows` are those of the layer, see `laid`.
    """
    activations = np.asarray(activations, np.float64)
    channels, found = [], []
    for k in range(activations.shape[-1]):
        channel = activations[..., k]
        if channel.max() == channel.min():
            continue
        mask = laid.lay(
            channel - channel.min(), image.shape[:-1], windows or [(1, 1)]
        )
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        channels.append(channel)
        found.append(score_at(image * mask[..., None]))
    found = np.array(found, np.float64)
    if weighting != "score":
        found = found - score_at(np.zeros_like(image))
    if weighting == "softmax":
        found = np.exp(found - found.max())
        found = found / found.sum()
    total = np.zeros(activations.shape[:-1])
    for weight, channel in zip(found, channels, strict=True):
        total += weight * channel
    return np.maximum(total, 0)
