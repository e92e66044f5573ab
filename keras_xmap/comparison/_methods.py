"""The methods that are compared."""

import functools
import inspect

import numpy as np

from keras_xmap import explainers
from keras_xmap._checks import message
from keras_xmap._description import describe

# Fewer samples than by default where a method makes hundreds of passes. A row
# says with what arguments its explainer was made.
_FEWER = {
    "DistinctClassSaliency": {"scales": (1,)},
    "QuadtreeOcclusion": {"strides": 4, "tolerance": 0.1},
    "RISE": {"num_masks": 500},
    "ScoreCAM": {"max_channels": 64},
    "SmoothGrad": {"num_samples": 20},
}
_EXPECTED = (
    "'all', or a list of classes of `keras_xmap.explainers`, their names, or "
    "explainers of `model`; or a dictionary of them"
)


class Method:
    """One way to maps, which may not be there for the model.

    Args:
        name: String.
        made: An explainer, or a function of no arguments that makes one.

    """

    def __init__(self, name, made):
        self.name = name
        self._made = made

    def make(self):
        """Returns the explainer; raises where the model can have none."""
        is_made = isinstance(self._made, explainers.Explainer)
        return self._made if is_made else self._made()

    def described(self, names):
        """Returns what decides the maps besides the model, see `describe`."""
        return describe(self._made, names)


def methods_of(methods, model, input_name, score):
    """Returns the list of `Method`s that a user means."""
    if isinstance(methods, str) and methods == "all":
        methods = list(_kinds().values())
    elif isinstance(methods, str):
        methods = [methods]
    named = methods
    if isinstance(methods, (list, tuple)):
        named = {}
        for method in methods:
            name = _free(_name_of(method, methods), named)
            named[name] = method
    if not isinstance(named, dict) or not named:
        raise ValueError(message("methods", _EXPECTED, methods))
    for name in named:
        if not isinstance(name, str) or not name:
            raise ValueError(message("methods", _EXPECTED, methods))
    return [
        Method(name, _maker(method, methods, model, input_name, score))
        for name, method in named.items()
    ]


def _kinds():
    """Returns the classes of all methods that explain images, by name."""
    kinds = [getattr(explainers, name) for name in explainers.__all__]
    return {
        kind.__name__: kind
        for kind in kinds
        if isinstance(kind, type)
        and issubclass(kind, explainers.Explainer)
        and not inspect.isabstract(kind)
    }


def _name_of(method, methods):
    if isinstance(method, explainers.Explainer):
        return type(method).__name__
    if isinstance(method, type):
        return method.__name__
    if isinstance(method, str):
        return _kind(method, methods).__name__
    raise ValueError(message("methods", _EXPECTED, methods))


def _free(name, taken):
    """Returns a name, with a number if others bear it."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free


def _kind(name, methods):
    plain = name.lower().replace("-", "").replace("_", "")
    known = {kind.lower(): made for kind, made in _kinds().items()}
    if plain not in known:
        raise ValueError(
            f"`methods` must be {_EXPECTED}. Received: {name!r} in "
            f"methods={methods!r}. Known are {', '.join(_kinds())}."
        )
    return known[plain]


def _maker(method, methods, model, input_name, score):
    """Returns the explainer, or what makes the one of a class or a name."""
    if isinstance(method, explainers.Explainer):
        if method.model is not model:
            raise ValueError(
                "`methods` must be explainers of `model`. Received: "
                f"{method!r} of another model. Make it of the same one."
            )
        return method
    kind = _kind(method, methods) if isinstance(method, str) else method
    is_kind = isinstance(kind, type) and issubclass(kind, explainers.Explainer)
    if not is_kind or inspect.isabstract(kind):
        raise ValueError(message("methods", _EXPECTED, methods))
    options = dict(_FEWER.get(kind.__name__, {}))
    for name, value in {"input_name": input_name, "score": score}.items():
        if value is not None and name in inspect.signature(kind).parameters:
            options[name] = value
    return functools.partial(kind, model, **options)


class RandomMaps:
    """Maps that are drawn, and know nothing: what chance reaches."""

    name = "(random map)"

    def __init__(self, seed):
        self._seed = seed

    def maps(self, rows, positions):
        """Returns maps `(rows, *positions)`, the same for the same rows."""
        return np.stack(
            [
                np.random.default_rng([self._seed, row]).random(positions)
                for row in rows
            ]
        ).astype("float32")


class CentreMaps:
    """Maps that are highest in the middle, where photos have their object."""

    name = "(image centre)"

    def maps(self, rows, positions):
        """Returns maps `(rows, *positions)` from 1 in the centre to 0."""
        grid = np.meshgrid(
            *[np.linspace(-1, 1, size) for size in positions], indexing="ij"
        )
        distance = np.sqrt(sum(x**2 for x in grid))
        falling = 1 - distance / max(distance.max(), 1e-9)
        return np.stack([falling] * len(rows)).astype("float32")
