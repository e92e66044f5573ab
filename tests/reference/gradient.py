"""Maps made of input gradients, written as the papers state them."""

import numpy as np


def reduce_channels(gradients, how):
    """Simonyan et al. 2013 and variants: one number per pixel.

    `gradients` has shape `(batch, *spatial, channels)`; float64.
    """
    gradients = np.asarray(gradients, np.float64)
    maps = np.zeros(gradients.shape[:-1])
    for position in np.ndindex(maps.shape):
        pixel = [float(value) for value in gradients[position]]
        sizes = [abs(value) for value in pixel]
        if how == "max":
            maps[position] = max(sizes)
        elif how == "mean":
            maps[position] = sum(sizes) / len(sizes)
        elif how == "norm":
            maps[position] = sum(size**2 for size in sizes) ** 0.5
        elif how == "sum":
            maps[position] = sum(pixel)
    return maps


def smooth_grad(gradient_at, image, noises, noise_level):
    """Smilkov et al. 2017: the mean gradient at noisy copies of an image.

    `gradient_at(image)` returns the gradient at one image without a batch
    axis; `noises` are the standard normal fields.
    """
    image = np.asarray(image, np.float64)
    stddev = noise_level * (image.max() - image.min())
    total = np.zeros(image.shape)
    for noise in noises:
        total += gradient_at(image + stddev * noise)
    return total / len(noises)


def guided_gradient(x, weights, bias, head):
    """Springenberg et al. 2014 for `head . relu(... relu(x W1 + b1) ...)`.

    Args:
        x: One input, of shape `(features,)`.
        weights: List of matrices; every layer but the head ends in a ReLU.
        bias: List of vectors, one per matrix.
        head: Vector: the derivative of the score by the last ReLU's output.
    """
    before = []
    hidden = np.asarray(x, np.float64)
    for matrix, vector in zip(weights, bias, strict=True):
        before.append(hidden @ matrix + vector)
        hidden = np.maximum(before[-1], 0)
    gradient = np.asarray(head, np.float64)
    for matrix, z in zip(reversed(weights), reversed(before), strict=True):
        passed = [
            g if g > 0 and u > 0 else 0.0
            for g, u in zip(gradient, z, strict=True)
        ]
        gradient = np.asarray(matrix, np.float64) @ passed
    return gradient
