"""Class activation maps, written as the papers state them.

Activations and gradients have shape `(batch, *spatial, channels)`; every
function computes in float64, one position at a time.
"""

import numpy as np


def cam(activations, weights):
    """Zhou et al. 2015: `M(x, y) = sum_k w_k A_k(x, y)`.

    `weights` has shape `(batch, channels)`: those of each image's class.
    """
    activations = np.asarray(activations, np.float64)
    maps = np.zeros(activations.shape[:-1])
    for position in np.ndindex(maps.shape):
        for k in range(activations.shape[-1]):
            weight = np.float64(weights[position[0]][k])
            maps[position] += weight * activations[(*position, k)]
    return maps


def grad_cam(activations, gradients):
    """Selvaraju et al. 2017: CAM with mean gradients as weights, then ReLU."""
    gradients = np.asarray(gradients, np.float64)
    batch, channels = gradients.shape[0], gradients.shape[-1]
    weights = np.zeros((batch, channels))
    for image in range(batch):
        for k in range(channels):
            weights[image, k] = gradients[image, ..., k].mean()
    return np.maximum(cam(activations, weights), 0)


def hires_cam(activations, gradients):
    """Draelos & Carin 2020: `M(x, y) = sum_k g_k(x, y) A_k(x, y)`."""
    activations = np.asarray(activations, np.float64)
    gradients = np.asarray(gradients, np.float64)
    maps = np.zeros(activations.shape[:-1])
    for position in np.ndindex(maps.shape):
        for k in range(activations.shape[-1]):
            at = (*position, k)
            maps[position] += gradients[at] * activations[at]
    return maps
