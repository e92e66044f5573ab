"""Stacks of maps, one a class."""

import numpy as np

from keras_xmap._checks import check_one_of


def check_maps(maps):
    """Returns one stack of maps as an array of three axes, checked."""
    maps = np.asarray(maps)
    if maps.dtype.kind not in "buif" or maps.ndim != 3 or not maps.size:
        raise ValueError(
            "`maps` must be (classes, height, width), or (height, width, "
            "classes) with class_axis=-1, of numbers. Received: maps.shape="
            f"{maps.shape}, maps.dtype={maps.dtype}. For one class pass "
            "map[None]; for several images pass as many stacks."
        )
    low = float(maps.min())  # NaN if one is
    if not (low >= 0 and np.isfinite(maps).all()):
        raise ValueError(
            "`maps` must hold finite values >= 0. Received: maps with values "
            f"from {low:.6g} to {float(maps.max()):.6g}. Explanation maps "
            "become probabilities by `segmentation.to_probabilities`, logits "
            "by `keras.ops.softmax`."
        )
    return maps


def classes_first(maps, class_axis):
    """Returns the stack with the axis of classes first."""
    check_one_of("class_axis", class_axis, (0, -1))
    return np.moveaxis(maps, class_axis, 0)
