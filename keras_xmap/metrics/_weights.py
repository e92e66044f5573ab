"""Which layers hold what a model has learned, and weights drawn anew."""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_xmap._description import layers_of


class LearnedLayer:
    """A layer, and those weights of its own that learning changes.

    Attributes:
        layer: The `keras.layers.Layer`.
        path: String, by which the results name it.
        variables: List of its weights.
    """

    def __init__(self, layer, path, variables):
        self.layer = layer
        self.path = path
        self.variables = variables
        self._number = 0  # from the output down

    def redraw(self, seed):
        """Gives the variables values that a new layer may start with."""
        for number, variable in enumerate(self.variables):
            own_seed = [seed, self._number, number]
            variable.assign(_redrawn(self.layer, variable, own_seed))


def learned_layers(model, calls):
    """Returns the `LearnedLayer`s of a model, from the output down.

    What `adapt` has measured, of the data, is no learned weight.

    Args:
        model: The model.
        calls: List of pairs of layers and paths, in the order in which the
            calls of them ended.
    """
    last = {id(layer): number for number, (layer, _) in enumerate(calls)}
    below = {id(x): layers_of(x)[1:] for x in layers_of(model)}
    found = []
    for layer in layers_of(model):
        inner = {id(v) for x in below[id(layer)] for v in x.weights}
        variables = [
            v
            for v in layer.weights
            if id(v) not in inner and keras.backend.is_float_dtype(v.dtype)
        ]
        if not variables or hasattr(layer, "adapt"):
            continue
        # A cell of a recurrent layer runs inside of a loop, unseen.
        owners = [
            x
            for x in layers_of(model)[1:]
            if any(layer is y for y in below[id(x)])
        ]
        owners.sort(key=lambda x: len(below[id(x)]))
        seen = [last[id(x)] for x in (layer, *owners) if id(x) in last]
        number = seen[0] if seen else -1
        path = calls[last[id(layer)]][1] if id(layer) in last else ""
        found.append(
            (number, LearnedLayer(layer, path or layer.name, variables))
        )
    found.sort(key=lambda pair: -pair[0])
    return _numbered([x for _, x in found])


def _numbered(layers):
    """Gives each of some layers its number, and a path of its own."""
    taken = set()
    for number, layer in enumerate(layers):
        layer._number = number
        path, more = layer.path, 1
        while layer.path in taken:
            more += 1
            layer.path = f"{path} ({more})"
        taken.add(layer.path)
    return layers


@contextlib.contextmanager
def restored(variables):
    """Gives variables their values back, bit by bit, whatever happens.

    An interrupt while they are put back waits until they are.
    """
    kept = [(v, np.array(ops.convert_to_numpy(v))) for v in variables]
    try:
        try:
            yield
        finally:
            _put_back(kept)
    finally:
        # Again: a second interrupt may have come before the first was caught.
        _put_back(kept)


def _put_back(kept):
    interrupt = None
    for variable, value in kept:
        while True:
            try:
                variable.assign(value)
                break
            except KeyboardInterrupt as error:
                interrupt = error
    if interrupt is not None:
        raise interrupt


def _redrawn(layer, variable, seed):
    """Returns what a new layer starts with, of a seed of our own.

    Where the layer does not tell, or starts a kernel with one number
    everywhere, which no layer above could tell apart, these are the values
    the weight has, in another order.
    """
    drawn = _initial(layer, variable, seed)
    if drawn is not None and (drawn.ndim < 2 or drawn.min() < drawn.max()):
        return drawn
    values = np.array(ops.convert_to_numpy(variable))
    generator = np.random.default_rng(seed)
    return generator.permutation(values.ravel()).reshape(values.shape)


def _initial(layer, variable, seed):
    for name in _initializer_names(variable.name):
        initializer = getattr(layer, name, None)
        if isinstance(initializer, keras.initializers.Initializer):
            break
    else:
        return None
    config = initializer.get_config()
    if "seed" in config:
        # Keras' initializers return the same values at each call.
        seed = int(np.random.default_rng(seed).integers(2**31))
        initializer = type(initializer).from_config({**config, "seed": seed})
    drawn = initializer(tuple(variable.shape), dtype=variable.dtype)
    return np.array(ops.convert_to_numpy(drawn))


def _initializer_names(name):
    yield f"{name}_initializer"
    # Of `recurrent_kernel`, `depthwise_kernel` and the like.
    yield f"{name.removesuffix('_kernel')}_initializer"
    if name == "kernel":
        yield "depthwise_initializer"
