"""The explainers of the package that can be made and called."""

import inspect

from keras_xmap import explainers

KINDS = explainers.Explainer, explainers.ClassModel


def names():
    """Returns the names of all but what others are derived from."""
    return [
        name
        for name in explainers.__all__
        if issubclass(made := getattr(explainers, name), KINDS)
        and not inspect.isabstract(made)
    ]
