"""Datasets whose elements come with their ids."""

import reprlib

from keras_xmap._checks import is_integer
from keras_xmap._checks import message


def check_pairs(dataset, reason="", remedy="Remove `repeat()`."):
    """Checks that a `tf.data.Dataset` ends, and holds pairs (ids, element).

    Args:
        dataset: The dataset.
        reason: String: why it has to end, as the end of that sentence.
        remedy: String: what to do where it does not.
    """
    if not hasattr(dataset, "cardinality"):
        raise TypeError(
            "`dataset` must be a tf.data.Dataset of pairs (ids, element). "
            f"Received: dataset={reprlib.repr(dataset)}."
        )
    # -1 is tf.data.INFINITE_CARDINALITY.
    if dataset.cardinality() == -1:
        raise ValueError(
            f"`dataset` must end{reason}. Received: a tf.data.Dataset of "
            f"infinite cardinality. {remedy}"
        )
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise ValueError(
            "`dataset` must hold pairs (ids, element). Received: elements "
            f"{spec}. `dataset.enumerate()` numbers them."
        )


def check_images(dataset, input_name):
    """Checks that a dataset of pairs holds images, alone or under a name.

    Args:
        dataset: `tf.data.Dataset` that `check_pairs` has let pass.
        input_name: Key or index of the images among the inputs, or `None`
            where they are the only input.
    """
    inputs = inputs_of(dataset.element_spec[1])
    if isinstance(inputs, dict):
        names = list(inputs)
    elif isinstance(inputs, (list, tuple)):
        names = list(range(len(inputs)))
    else:
        names = [None]
    # True is no 1 here, and an array is nothing.
    known = isinstance(input_name, str) or is_integer(input_name)
    if not (known or input_name is None) or input_name not in names:
        expected = (
            "None where the images are the only input"
            if names == [None]
            else "that of the images among the inputs, one of "
            + ", ".join(map(repr, names))
        )
        raise ValueError(message("input_name", expected, input_name))
    images = inputs if input_name is None else inputs[input_name]
    is_tensor = type(images).__name__ == "TensorSpec"
    dtype = images.dtype if is_tensor else None
    if dtype is None or not (dtype.is_floating or dtype.is_integer):
        raise ValueError(
            "Images must be tensors of numbers, of one size in a batch. "
            f"Received: elements {images}."
        )


def inputs_of(element):
    """Returns the inputs of an element, or of its spec, as `fit` takes it."""
    return element[0] if isinstance(element, tuple) else element
