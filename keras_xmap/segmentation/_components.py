"""The 8-connected components of a mask."""

import numpy as np


def label_components(mask):
    """Returns the number of each pixel's component, and their sizes.

    Numbers `(height, width)` count from 1 in the order of the first pixels;
    0 is outside the mask. Sizes `(components,)` are in pixels.
    """
    from skimage import measure

    labels = measure.label(mask, connectivity=2)
    return labels, np.bincount(labels.ravel())[1:]


def largest_component(mask):
    """Returns the component of most pixels, the first of several."""
    labels, sizes = label_components(mask)
    if not len(sizes):
        return np.zeros(mask.shape, bool)
    return labels == sizes.argmax() + 1
