"""Structures of inputs, of which optional ones may be left out: `None`."""

import keras


def given(structure):
    """Returns the leaves of a structure that are there, a list.

    An optional input that is left out is `None`.
    """
    return [x for x in keras.tree.flatten(structure) if x is not None]


def map_given(function, structure):
    """Applies `function` to the leaves that are there; the others stay."""
    return keras.tree.map_structure(
        lambda x: None if x is None else function(x), structure
    )


def pack_given(structure, values):
    """Returns `structure` with `values` in place of `given(structure)`."""
    found = iter(values)
    return map_given(lambda _: next(found), structure)
