"""Noise in the range of the values of each image."""

from keras import ops


def noise_in_range(draw, x, level, seed, number):
    """Draws noise for inputs, the same field for all images of a batch.

    Args:
        draw: Function of a shape, a seed and a number, such as
            `normal_noise`, that returns float32 noise.
        x: Inputs `(batch, ...)`.
        level: Number: what the noise is multiplied by, as a share of `max(x) -
            min(x)` of each image.
        seed: Integer.
        number: Integer or scalar tensor: the number of the field.

    Returns:
        Tensor of the shape and dtype of `x`.
    """
    axes = tuple(range(1, len(x.shape)))
    highest = ops.max(x, axis=axes, keepdims=True)
    spread = highest - ops.min(x, axis=axes, keepdims=True)
    noise = draw((1, *ops.shape(x)[1:]), seed, number)
    return level * spread * ops.cast(noise, x.dtype)
