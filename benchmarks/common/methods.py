"""The explainers of the package that can be made and called."""

import inspect

from keras_xmap import explainers


def names():
    """Returns the names of all but the abstract bases."""
    return [
        name
        for name in explainers.__all__
        if inspect.isclass(made := getattr(explainers, name))
        and not inspect.isabstract(made)
    ]
