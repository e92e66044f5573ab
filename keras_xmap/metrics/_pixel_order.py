"""The order in which the pixels of a map are taken."""

from keras import ops


def ranks(maps):
    """Returns how many pixels of each map come before each: an order.

    From the highest value down; equal ones as they are read, row by row.
    """
    flat = ops.reshape(maps, (ops.shape(maps)[0], -1))
    # Not `-flat`, whose zeros of two signs some devices keep apart.
    order = ops.argsort(0.0 - flat, axis=-1)
    return ops.reshape(ops.argsort(order, axis=-1), ops.shape(maps))
