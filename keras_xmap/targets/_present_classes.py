"""The classes of labelled images, as an explainer is asked for them."""

import numpy as np

from keras_xmap.targets.binary import Binary


def present_classes(labels, num_columns):
    """Returns the classes of images `(batch, columns)`, and which count.

    Args:
        labels: Array `(batch, classes)`, above 0.5 for classes in the image.
        num_columns: Integer >= 1, the most classes that an image has.
    """
    present = labels > 0.5
    counts = present.sum(axis=1)
    order = np.argsort(~present, axis=1, kind="stable")
    classes = order[:, :num_columns]
    is_class = np.arange(classes.shape[1]) < counts[:, None]
    # What does not count repeats a class that does: no map of an absent.
    return np.where(is_class, classes, classes[:, :1]), is_class


def of_classes(explainer, classes):
    """Returns what an explainer is asked for: labels tell of classes.

    So a single unit is two of them, whatever loss it was trained with.
    """
    if not hasattr(explainer, "convert_target"):  # one of the user's own
        return classes
    return Binary(classes) if _num_units(explainer) == 1 else classes


def num_classes(explainer):
    """Returns how many classes labels can tell of, `None` if not known."""
    if not hasattr(explainer, "convert_target"):
        return None
    units = _num_units(explainer)
    return 2 if units == 1 else units


def _num_units(explainer):
    """Returns the units of the only output, if it has one score each."""
    outputs = getattr(explainer.model, "outputs", None) or ()
    shapes = [tuple(output.shape) for output in outputs]
    if len(shapes) != 1 or len(shapes[0]) > 2:
        return None
    return 1 if len(shapes[0]) == 1 else shapes[0][1]
