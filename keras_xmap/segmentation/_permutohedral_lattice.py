"""A Gaussian filter over all pairs of points, in time linear in the points.

Points of d features are spread over the corners of the simplices of a lattice
in d + 1 coordinates that sum to 0, blurred along its d + 1 directions, and
read off again (Adams, Baek & Davis, 2010, "Fast High-Dimensional Filtering
Using the Permutohedral Lattice"). Each step is a sparse matrix.

A corner is a point of whole coordinates that leave one remainder r in 0..d
when divided by d + 1. It is stored as one integer: the quotients of its first
d coordinates in a mixed radix, and r. Where in its simplex a point lies tells
the order of what its coordinates leave to the corner of remainder 0: from
corner r to corner r + 1 the coordinate of rank d - r takes the next quotient
below. A step along direction j adds 1 to the quotient of coordinate j where
r >= 1 (r falls by one), and else lowers those of all others (r becomes d).
"""

import itertools

import numpy as np


class PermutohedralLattice:
    """The kernel of a set of points, of standard deviation 1, as matrices.

    The kernel is normalised symmetrically, by the square roots of the sums
    over its rows and its columns, and multiplied by `weight`.

    Args:
        features: Array `(points, d)`, in standard deviations, finite.
        weight: Float. Defaults to `1.0`.
    """

    def __init__(self, features, weight=1.0):
        from scipy import sparse

        corners, shares, blurs = _build(np.asarray(features, "float64"))
        num_points, num_corners = corners.shape
        starts = np.arange(0, corners.size + 1, num_corners)
        shape = (num_points, blurs[0].shape[0])

        def matrix(shares):
            return sparse.csr_matrix(
                (shares.ravel(), corners.ravel(), starts), shape
            )

        self._blurs = blurs
        self._spread, self._read = matrix(shares).T, matrix(shares)
        total = self(np.ones((num_points, 1), "float32"))
        shares = shares / np.sqrt(total)
        self._spread = matrix(shares).T.tocsr()
        self._read = matrix(np.float32(weight) * shares)

    def __call__(self, values):
        """Returns the kernel applied to float32 values `(points, n)`."""
        values = self._spread @ values
        for blur in self._blurs:
            values = blur @ values
        return self._read @ values

    @property
    def num_corners(self):
        return self._spread.shape[0]


def _build(features):
    """Returns corners and shares `(points, d + 1)`, and the blurs."""
    quotients, left = _nearest_of_remainder_zero(_on_hyperplane(features))
    ranks, quotients, left = _ranks(quotients, left)
    d = len(quotients) - 1
    shares = _shares(ranks, left)
    # Room for one step to each side.
    low = quotients[:d].min(axis=1) - 2
    spans = quotients[:d].max(axis=1) + 2 - low
    if np.prod(spans.astype("float64")) * (d + 1) >= 2.0**62:
        raise ValueError(
            "The features must not spread over more than some thousand "
            f"standard deviations. Received: spreads of {spans.tolist()} "
            "lattice cells. Raise the standard deviations."
        )
    radix = np.ones(d + 1, "int64") * (d + 1)
    radix[1:d] *= np.cumprod(spans[:-1])
    radix[d] = 0  # the last coordinate follows from the others
    base = radix[:d] @ (quotients[:d] - low[:, None])
    corners, keys = _number_corners(base, ranks, radix)
    return corners, shares, [_blur(keys, radix, j) for j in range(d + 1)]


def _on_hyperplane(features):
    """Returns `(d + 1, points)` that sum to 0, at the lattice's scale."""
    d = features.shape[1]
    # Column k holds k + 1 ones, and then -(k + 1).
    axes = np.triu(np.ones((d + 1, d)))
    axes[range(1, d + 1), range(d)] = -np.arange(1.0, d + 1)
    axes /= np.linalg.norm(axes, axis=0)
    # Spreading, blurring and reading together have this standard deviation.
    return (np.sqrt(2 / 3) * (d + 1) * axes) @ features.T


def _nearest_of_remainder_zero(points):
    """Returns quotients, near to the points, and what is left, in units."""
    points = points / len(points)
    quotients = np.rint(points)
    return quotients.astype("int32"), points - quotients


def _ranks(quotients, left):
    """Returns the order of what is left, the largest 0, and both corrected.

    Rounding each coordinate alone leaves the hyperplane by some steps: those
    nearest to the next whole number take them back.
    """
    num = len(left)
    excess = quotients.sum(axis=0)
    ranks = np.tile(excess, (num, 1))
    for i, j in itertools.combinations(range(num), 2):
        first = left[i] >= left[j]
        ranks[j] += first
        ranks[i] += ~first
    step = (ranks < 0).astype("int32") - (ranks >= num)
    return ranks + num * step, quotients + step, left - step


def _shares(ranks, left):
    """Returns float32 `(points, d + 1)`: the share of each corner, sum 1."""
    d = len(left) - 1
    ordered = np.empty_like(left)
    np.put_along_axis(ordered, ranks, left, axis=0)
    shares = np.empty((left.shape[1], d + 1), "float32")
    shares[:, 0] = 1 - ordered[0] + ordered[d]
    shares[:, 1:] = (ordered[:-1] - ordered[1:])[::-1].T
    return shares


def _number_corners(base, ranks, radix):
    """Returns the number of each point's corners, and the sorted keys."""
    d = len(radix) - 1
    # Many points share a simplex: corners are looked for once in each.
    _, cell = np.unique(base, return_inverse=True)
    order = (d + 1) ** np.arange(d) @ ranks[:d]
    _, first, simplex = np.unique(
        cell.reshape(-1) * np.int64((d + 1) ** d) + order,
        return_index=True,
        return_inverse=True,
    )
    by_rank = np.empty((d + 1, len(first)), "int64")
    column = np.broadcast_to(radix[:, None], by_rank.shape)
    np.put_along_axis(by_rank, ranks[:, first].astype("int64"), column, axis=0)
    corner = base[first] + np.arange(d + 1)[:, None]
    corner[1:] -= np.cumsum(by_rank[:0:-1], axis=0)
    keys, number = np.unique(corner, return_inverse=True)
    number = number.reshape(corner.shape).T.astype("int32")
    return number[simplex.reshape(-1)], keys


def _blur(keys, radix, j):
    """Returns the matrix of half a neighbour, the corner, half a neighbour."""
    from scipy import sparse

    d = len(radix) - 1
    step = np.where(keys % (d + 1), radix[j] - 1, radix[j] - radix.sum() + d)
    ahead = np.searchsorted(keys, keys + step)
    ahead[ahead == len(keys)] = 0
    behind = np.flatnonzero(keys[ahead] == keys + step)
    ahead = ahead[behind]
    itself = np.arange(len(keys))
    rows = np.concatenate([itself, ahead, behind])
    columns = np.concatenate([itself, behind, ahead])
    shares = np.full(len(rows), 0.5, "float32")
    shares[: len(keys)] = 1
    return sparse.csr_matrix((shares, (rows, columns)), (len(keys),) * 2)
