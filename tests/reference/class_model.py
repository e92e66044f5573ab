"""The image a class scores highest for, by steps written out."""

import numpy as np


def class_model(
    gradient_at,
    start,
    num_steps,
    learning_rate,
    weight_decay,
    total_variation=0.0,
    shifts=None,
    blur=0.0,
):
    """Simonyan et al. 2013, by gradient ascent, with later regularisers.

    Args:
        gradient_at: Function of an image `(*spatial, channels)`.
        start: The image to start from.
        num_steps: Integer.
        learning_rate: Number.
        weight_decay: Number: what the squared norm weighs.
        total_variation: Number: what the sum of squared differences weighs.
        shifts: List with a tuple per step: how far the image is rolled.
        blur: Number: standard deviation of a Gaussian.
    """
    image = np.asarray(start, np.float64)
    axes = tuple(range(image.ndim - 1))
    for number in range(num_steps):
        shift = shifts[number] if shifts else (0,) * len(axes)
        gradient = gradient_at(np.roll(image, shift, axes))
        gradient = np.roll(gradient, [-s for s in shift], axes)
        gradient = gradient - 2 * weight_decay * image
        for axis in axes:
            steps = np.diff(image, axis=axis)
            # Each difference pulls its two pixels together.
            pull = np.zeros_like(image)
            later = [slice(None)] * image.ndim
            earlier = list(later)
            later[axis], earlier[axis] = slice(1, None), slice(None, -1)
            pull[tuple(later)] += 2 * steps
            pull[tuple(earlier)] -= 2 * steps
            gradient = gradient - total_variation * pull
        image = image + learning_rate * gradient
        if blur:
            for axis in axes:
                image = _blurred(image, axis, blur)
    return image


def _blurred(image, axis, stddev):
    """Weighs the pixels of the image by a Gaussian, near the border too."""
    place = np.arange(image.shape[axis])
    weights = np.exp(-0.5 * ((place[:, None] - place) / stddev) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, image, (1, axis)), 0, axis)
