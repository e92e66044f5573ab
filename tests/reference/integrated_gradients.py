"""Sundararajan et al. 2017, with many small steps of the midpoint rule."""

import math

import numpy as np


def integrated_gradients(gradient_at, image, baseline, num_steps=2000):
    """`(I - B)` times the mean gradient on the straight way from B to I.

    `gradient_at(images)` returns the gradients of a batch of images.
    """
    image = np.asarray(image, np.float64)
    baseline = np.broadcast_to(np.asarray(baseline, np.float64), image.shape)
    on_the_way = np.stack(
        [
            baseline + (step + 0.5) / num_steps * (image - baseline)
            for step in range(num_steps)
        ]
    )
    gradients = np.asarray(gradient_at(on_the_way), np.float64)
    return (image - baseline) * gradients.mean(axis=0)


def mean_colour(image):
    """`image` has shape `(*spatial, channels)`: one number per channel."""
    colour = np.zeros(image.shape[-1])
    for channel in range(image.shape[-1]):
        colour[channel] = np.float64(image[..., channel]).mean()
    return np.broadcast_to(colour, image.shape)


def blurred(image, share):
    """Gaussian blur with `share` of the size as standard deviation.

    One axis after the other; weights beyond the border are left out and the
    others take their share.
    """
    image = np.asarray(image, np.float64)
    for axis in range(image.ndim - 1):
        size = image.shape[axis]
        rows = []
        for i in range(size):
            weights = [
                math.exp(-((i - j) ** 2) / (2 * (share * size) ** 2))
                for j in range(size)
            ]
            row = sum(
                w * np.take(image, j, axis) for j, w in enumerate(weights)
            )
            rows.append(row / sum(weights))
        image = np.stack(rows, axis)
    return image


def legendre_value(degree, x):
    """Rodrigues' formula by coefficients, exact for small degrees."""
    total = 0.0
    for k in range(degree // 2 + 1):
        total += (
            (-1) ** k
            * math.comb(degree, k)
            * math.comb(2 * degree - 2 * k, degree)
            * x ** (degree - 2 * k)
        )
    return total / 2**degree
