"""Statistics of gradients at noisy copies of an image, one copy at a time."""

import numpy as np


def gradients_at_copies(gradient_at, image, noises, noise_level):
    """Returns one gradient per noise field, float64."""
    image = np.asarray(image, np.float64)
    stddev = noise_level * (image.max() - image.min())
    return [
        np.asarray(gradient_at(image + stddev * noise), np.float64)
        for noise in noises
    ]


def var_grad(gradients):
    """Adebayo et al. 2018: the variance of the samples, position by position.

    `gradients` is a list of arrays of one shape.
    """
    variance = np.zeros(gradients[0].shape)
    for at in np.ndindex(variance.shape):
        samples = [gradient[at] for gradient in gradients]
        mean = sum(samples) / len(samples)
        variance[at] = sum((s - mean) ** 2 for s in samples) / len(samples)
    return variance


def square_grad(gradients):
    """Hooker et al. 2019: the mean of the squared samples."""
    total = np.zeros(gradients[0].shape)
    for gradient in gradients:
        total += gradient**2
    return total / len(gradients)
