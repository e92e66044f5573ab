"""Gradients on the backend that the tests run on, and slow ones to compare."""

import keras
import numpy as np


def gradient(call, x, upstream):
    """The gradient of sum(call(x) * upstream) on the present backend."""
    if keras.backend.backend() == "jax":
        import jax

        _, pull = jax.vjp(call, keras.ops.convert_to_tensor(x))
        return np.asarray(pull(keras.ops.convert_to_tensor(upstream))[0])
    if keras.backend.backend() == "torch":
        x = keras.ops.convert_to_tensor(x).requires_grad_()
        call(x).backward(keras.ops.convert_to_tensor(upstream))
        return keras.ops.convert_to_numpy(x.grad)
    import tensorflow as tf

    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
    return tape.gradient(y, x, output_gradients=upstream).numpy()


def differences(function, x, step=1e-6):
    """The gradient of a NumPy function of float64, entry by entry."""
    found = np.empty(x.shape)
    for position in np.ndindex(*x.shape):
        moved = np.zeros(x.shape)
        moved[position] = step
        found[position] = (function(x + moved) - function(x - moved)) / step / 2
    return found
