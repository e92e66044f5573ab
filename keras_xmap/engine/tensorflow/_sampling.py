"""Sums over many perturbed copies of a batch, one copy in memory at a time."""

import keras
import tensorflow as tf


def normal_noise(shape, seed, index):
    """Draws float32 standard normal noise number `index` of `seed`.

    The same numbers come out for every batch, on every replica and in every
    run; only where the caller compiles with XLA are they others. `index` may
    be a tensor.
    """
    # Of one algorithm, which devices would otherwise choose for themselves.
    return tf.random.stateless_normal(shape, _key(seed, index), alg="philox")


def uniform_noise(shape, seed, index):
    """Draws float32 numbers from 0 to below 1: number `index` of `seed`.

    See `normal_noise`.
    """
    return tf.random.stateless_uniform(shape, _key(seed, index), alg="philox")


def _key(seed, index):
    return tf.stack([tf.cast(seed, tf.int32), tf.cast(index, tf.int32)])


def mean_of_samples(function, num_samples, like):
    """Returns the mean of `function(0)` to `function(num_samples - 1)`.

    Args:
        function: Takes the sample's number, a scalar int32 tensor; returns a
            structure of float tensors. It is traced once.
        num_samples: Integer >= 1.
        like: Structure of tensors with the shapes that `function` returns.

    Returns:
        Structure like `like`, float32.
    """
    zeros = keras.tree.map_structure(
        lambda tensor: tf.zeros(tf.shape(tensor), tf.float32), like
    )

    def step(index, total):
        sample = function(index)
        return index + 1, keras.tree.map_structure(
            lambda a, b: a + tf.cast(b, tf.float32), total, sample
        )

    _, total = tf.while_loop(
        lambda index, _: index < num_samples,
        step,
        (tf.constant(0), zeros),
        parallel_iterations=1,
    )
    return keras.tree.map_structure(lambda x: x / num_samples, total)


def stack_of_samples(function, num_samples):
    """Returns `function(0)` to `function(num_samples - 1)`, stacked.

    Args:
        function: Takes the sample's number, a scalar int32 tensor; returns
            one float tensor, small beside the batch. It is traced once.
        num_samples: Integer >= 1, or scalar int32 tensor.

    Returns:
        Float32 tensor `(num_samples, ...)`.
    """
    return tf.map_fn(
        lambda index: tf.cast(function(index), tf.float32),
        tf.range(num_samples),
        fn_output_signature=tf.float32,
        parallel_iterations=1,
    )
