import typing

import numpy as np

from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike

# The window of the structural similarity, as in the paper that defines it.
_WINDOW = 7


class MapSimilarity(typing.NamedTuple):
    """What `map_similarity` returns."""

    spearman: float
    absolute_spearman: float
    ssim: float
    flat: float
    num_maps: int


def map_similarity(first: ArrayLike, second: ArrayLike) -> MapSimilarity:
    """Measures how alike two sets of maps are, map by map.

    Three numbers, each 1 for maps that are the same:

    - `spearman`, Spearman's correlation of the ranks of the pixels, equal
      values having equal ranks: -1 for the opposite order, about 0 for maps
      that have nothing in common;
    - `absolute_spearman`, the same of the absolute values, which are what
      pictures of signed maps often show;
    - `ssim`, the structural similarity (windows of 7 pixels along each axis,
      or what fits) of the absolute values, each map divided by its maximum:
      what it looks like.

    Smooth maps are alike in a structural sense whatever they show, and those
    of a few pixels have few ranks: hold a result against that of maps that
    are known to be unrelated.

    Args:
        first: Array of maps `(n, ...)`, such as `(n, height, width)`; the
            batch is the first axis, all others are positions.
        second: Array of the same shape.

    Returns:
        A named tuple: the three numbers as means over maps; `flat`, the share
        of the maps of `second` that have one value everywhere, which counts
        as a correlation of 0; and `num_maps`, how many maps were compared.
        Maps that are flat in `first` have no order to be compared with and
        are left out. Where that is all of them, the numbers are NaN.

    Raises:
        ValueError: If the shapes differ or have no positions, or values are
            not finite.
        TypeError: If the maps are no arrays of numbers.

    References:
        - [Adebayo et al., 2018](https://arxiv.org/abs/1810.03292)
        - [Wang et al., 2004](https://doi.org/10.1109/TIP.2003.819861), SSIM

    Example:

    >>> first = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> keras_xmap.metrics.map_similarity(first, 10 * first).spearman
    1.0
    >>> keras_xmap.metrics.map_similarity(first, -first).spearman
    -1.0
    """
    first, second = as_array("first", first), as_array("second", second)
    if first.shape != second.shape or first.ndim < 2:
        raise ValueError(
            "`first` and `second` must be maps of one shape (n, ...). "
            f"Received: first.shape={first.shape}, "
            f"second.shape={second.shape}."
        )
    for name, maps in (("first", first), ("second", second)):
        if not np.isfinite(maps).all():
            raise ValueError(
                f"`{name}` must be finite. Received: {name} with NaN or "
                "infinite values."
            )
    return mean_similarity(similarities(first, second))


def similarities(first, second):
    """Returns four numbers a map whose `first` is not flat, `(maps, 4)`.

    They are those of `MapSimilarity`.
    """
    rows = [
        _of_pair(a.astype("float64"), b.astype("float64"))
        for a, b in zip(first, second, strict=True)
        if not _is_flat(a)
    ]
    return np.array(rows).reshape((-1, 4))


def mean_similarity(rows):
    """Returns the `MapSimilarity` of rows that `similarities` returns."""
    means = rows.mean(axis=0) if len(rows) else np.full(4, np.nan)
    return MapSimilarity(*(float(x) for x in means), num_maps=len(rows))


def _of_pair(first, second):
    absolute = np.abs(first), np.abs(second)
    return (
        _rank_correlation(first, second),
        _rank_correlation(*absolute),
        _structural_similarity(*(_peak_one(x) for x in absolute)),
        float(_is_flat(second)),
    )


def _is_flat(heatmap):
    return heatmap.size == 0 or heatmap.min() == heatmap.max()


def _rank_correlation(first, second):
    ranks = [_ranks(x) - (x.size - 1) / 2 for x in (first, second)]
    norm = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    if norm > 0:
        # Rounding may lead past 1.
        return float(np.clip((ranks[0] * ranks[1]).sum() / norm, -1, 1))
    return float(np.array_equal(ranks[0], ranks[1]))


def _ranks(values):
    """Returns ranks from 0, the mean of their ranks for equal values."""
    _, place, counts = np.unique(
        values.ravel(), return_inverse=True, return_counts=True
    )
    return (np.cumsum(counts) - (counts + 1) / 2)[place.ravel()]


def _peak_one(heatmap):
    peak = heatmap.max()
    return heatmap / peak if peak > 0 else heatmap


def _structural_similarity(first, second):
    from skimage.metrics import structural_similarity

    first, second = np.squeeze(first), np.squeeze(second)
    window = min(_WINDOW, *first.shape)
    window -= 1 - window % 2  # an odd one
    return structural_similarity(
        first,
        second,
        win_size=window,
        data_range=1.0,
        # Of one pixel there is no sample covariance.
        use_sample_covariance=window > 1,
    )
