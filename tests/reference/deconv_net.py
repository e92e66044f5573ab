"""Zeiler & Fergus 2014, for perceptrons, one unit at a time."""

import numpy as np


def deconv_gradient(weights, head):
    """The signal that comes back through `head . relu(... relu(x W1) ...)`.

    Whether a unit was active does not matter, so neither does the input.

    Args:
        weights: List of matrices; every layer but the head ends in a ReLU.
        head: Vector: the derivative of the score by the last ReLU's output.
    """
    signal = np.asarray(head, np.float64)
    for matrix in reversed(weights):
        passed = [value if value > 0 else 0.0 for value in signal]
        signal = np.asarray(matrix, np.float64) @ passed
    return signal
