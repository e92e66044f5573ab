"""Boxes around the connected regions of a mask."""

import numpy as np
from skimage import measure


def region_boxes(mask, regions="largest"):
    """Returns boxes `(n, 4)`, and how many pixels `(n,)` their regions have.

    Boxes are `(x0, y0, x1, y1)`, the ends inside. Pixels are connected with
    their 8 neighbours. `regions` is `"largest"`, the one of most pixels (the
    first of several), or `"all"`, in the order of their first pixel. A mask
    without a pixel has no box.
    """
    labels = measure.label(mask, connectivity=2)
    y, x = np.nonzero(labels)
    number = labels[y, x]
    sizes = np.bincount(number)[1:]
    if not len(sizes):
        return np.zeros((0, 4), "int64"), sizes
    if regions == "largest":
        largest = number == sizes.argmax() + 1
        sizes = sizes.max(keepdims=True)
        y, x, number = y[largest], x[largest], None
    boxes = np.stack(
        [
            _extreme(np.minimum, x, number),
            _extreme(np.minimum, y, number),
            _extreme(np.maximum, x, number),
            _extreme(np.maximum, y, number),
        ],
        axis=-1,
    )
    return boxes, sizes


def _extreme(choose, values, region):
    """Returns the extreme value of each region, numbered from 1.

    `region` is None where all values are of one.
    """
    if region is None:
        return choose.reduce(values)[None]
    extremes = np.zeros(region.max() + 1, values.dtype)
    extremes[region] = values  # any of each, to start from
    choose.at(extremes, region, values)
    return extremes[1:]
