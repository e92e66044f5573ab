"""Mean field of the fully connected CRF, pair by pair, in float64."""

import numpy as np


def softmax(scores):
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return scores / scores.sum(-1, keepdims=True)


def gaussian(features, holds_self=True):
    """Returns the kernel `(pixels, pixels)`, normalised symmetrically."""
    kernel = np.empty((len(features), len(features)))
    for i, feature in enumerate(features):
        kernel[i] = np.exp(-0.5 * ((features - feature) ** 2).sum(-1))
        if not holds_self:
            kernel[i, i] = 0
    norm = 1 / np.sqrt(kernel.sum(-1))
    return kernel * norm[:, None] * norm[None]


def mean_field(kernel, scores, num_iterations):
    """Returns q `(pixels, classes)` for one kernel with its weights."""
    q = softmax(scores)
    for _ in range(num_iterations):
        q = softmax(scores + kernel @ q)
    return q


def dense_crf(image, scores, parameters, num_iterations=10):
    """Refines one image's scores `(height, width, classes)`.

    `parameters` are appearance weight, position stddev, colour stddev,
    smoothness weight and smoothness stddev.
    """
    w_a, s_a, s_c, w_s, s_s = parameters
    height, width = scores.shape[:2]
    position = np.stack(np.mgrid[:height, :width], -1).reshape(-1, 2)
    color = np.asarray(image, "float64").reshape(height * width, -1)
    appearance = gaussian(np.concatenate([position / s_a, color / s_c], -1))
    kernel = w_a * appearance + w_s * gaussian(position / s_s)
    flat = np.asarray(scores, "float64").reshape(height * width, -1)
    return mean_field(kernel, flat, num_iterations).reshape(scores.shape)
