"""The random states of layers, drawn from a key instead of a history."""

import random


def random_states(layer):
    """Returns the variables of a layer that `SeedGenerator`s count in."""
    weights = {id(variable) for variable in layer.weights}
    return [v for v in layer.variables if id(v) not in weights]


def set_random_states(variables, key):
    """Gives random states values that hang on the text `key` alone."""
    draw = random.Random(key)
    for variable in variables:
        variable.assign([draw.randrange(2**31) for _ in variable.numpy()])
