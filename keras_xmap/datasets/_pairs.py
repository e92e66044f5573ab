"""Datasets whose elements come with their ids."""

import reprlib


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
