"""Where the generators of this folder begin."""

import random

from keras_xmap._checks import check_seed

_LARGEST = 10**9


def seed_or_drawn(seed):
    """Returns `seed`, checked, or for `None` one that is drawn.

    It is drawn from Python's generator, as the layers of Keras draw theirs:
    after `keras.utils.set_random_seed` the same are drawn again.
    """
    if seed is None:
        return random.randint(1, _LARGEST)
    return check_seed("seed", seed)
