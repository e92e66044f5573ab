import typing

import numpy as np

from keras_xmap._repr import with_shapes


class Curves(typing.NamedTuple):
    """Scores of images as more and more of their pixels change.

    As in `matplotlib.pyplot.plot(curves.shares, curves.scores.T)`.

    Attributes:
        shares: Float32 array `(points,)`, rising: the share of the pixels
            that are changed, or shown.
        scores: Float32 array `(n, points)`: the score of each image there.
    """

    shares: np.ndarray
    scores: np.ndarray

    def __repr__(self):
        return with_shapes(self)
