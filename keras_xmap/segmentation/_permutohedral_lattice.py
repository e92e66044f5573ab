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

# So many points are worked on at a time: what is computed on the way to the
# matrices is several times as large as they are.
_BLOCK = 2**17


class PermutohedralLattice:
    """The kernel of a set of points, of standard deviation 1, as matrices.

    The kernel is normalised symmetrically, by the square roots of the sums
    over its rows and its columns, and multiplied by `weight`.

    Args:
        features: Array `(points, d)`, in standard deviations, finite; or what
            has its shape and gives such arrays for slices of points.
        weight: Float. Defaults to `1.0`.
    """

    def __init__(self, features, weight=1.0):
        from scipy import sparse

        corners, shares, self._steps = _build(features)
        starts = np.arange(0, corners.size + 1, corners.shape[1])
        # The matrix holds `shares` itself, which are scaled in place.
        self._read = sparse.csr_matrix(
            (shares.ravel(), corners.ravel(), starts),
            (len(corners), self._steps[0].shape[0]),
        )
        # The same numbers, read by columns.
        self._spread = self._read.T
        self._weight = np.float32(1)
        total = self(np.ones((len(corners), 1), "float32"))
        shares = self._read.data.reshape(corners.shape)
        shares /= np.sqrt(total, out=total)
        self._weight = np.float32(weight)

    def __call__(self, values):
        """Returns the kernel applied to float32 values `(points, n)`."""
        values = self._spread @ values
        for step in self._steps:
            values = _blurred(values, step)
        values *= self._weight
        return self._read @ values

    @property
    def num_corners(self):
        return self._read.shape[1]


def _blurred(values, step):
    """Returns half a neighbour, the corner, half a neighbour."""
    beside = step @ values
    beside += step.T @ values
    beside *= np.float32(0.5)
    beside += values
    return beside


def _build(features):
    """Returns corners and shares `(points, d + 1)`, and the steps.

    A step is a matrix of ones, from each corner to the one ahead.
    """
    num_points, d = features.shape
    blocks = [
        slice(start, min(start + _BLOCK, num_points))
        for start in range(0, num_points, _BLOCK)
    ]
    low, radix = _range_of_keys(features, blocks)
    corners = np.empty((num_points, d + 1), "int32")
    shares = np.empty((num_points, d + 1), "float32")
    known = _Numbers()
    for block in blocks:
        quotients, left = _nearest_of_remainder_zero(
            _on_hyperplane(features[block])
        )
        ranks, quotients, left = _ranks(quotients, left)
        shares[block] = _shares(ranks, left)
        base = radix[:d] @ (quotients[:d] - low[:, None])
        keys, places = _corners(base, ranks, radix)
        corners[block] = known.of(keys)[places]
    order = known.in_order()
    for block in blocks:
        corners[block] = order[corners[block]]
    return corners, shares, [_step(known.keys, radix, j) for j in range(d + 1)]


def _range_of_keys(features, blocks):
    """Returns the lowest quotients, and the radix of the keys of corners."""
    d = features.shape[1]
    ends = []
    for block in blocks:
        points = _on_hyperplane(features[block])[:d] / (d + 1)
        ends.append((points.min(axis=1), points.max(axis=1)))
    lows, highs = zip(*ends, strict=True)
    # Room for rounding, its correction, and one step to each side.
    low = np.floor(np.min(lows, axis=0)).astype("int64") - 3
    spans = np.ceil(np.max(highs, axis=0)).astype("int64") + 3 - low
    if np.prod(spans.astype("float64")) * (d + 1) >= 2.0**62:
        raise ValueError(
            "The features must not spread over more than some thousand "
            f"standard deviations. Received: spreads of {spans.tolist()} "
            "lattice cells. Raise the standard deviations."
        )
    radix = np.ones(d + 1, "int64") * (d + 1)
    radix[1:d] *= np.cumprod(spans[:-1])
    radix[d] = 0  # the last coordinate follows from the others
    return low, radix


class _Numbers:
    """Numbers of keys, in the order in which they come up.

    Attributes:
        keys: Int64 array, all keys so far, sorted.
    """

    def __init__(self):
        self.keys = np.empty(0, "int64")
        self._numbers = np.empty(0, "int32")

    def of(self, keys):
        """Returns the numbers of sorted and different keys, int32."""
        place = np.searchsorted(self.keys, keys)
        inside = place < len(self.keys)
        known = inside.copy()
        known[inside] = self.keys[place[inside]] == keys[inside]
        numbers = np.empty(len(keys), "int32")
        numbers[known] = self._numbers[place[known]]
        first = len(self.keys)
        new = np.arange(first, first + len(keys) - known.sum(), dtype="int32")
        numbers[~known] = new
        self.keys = np.insert(self.keys, place[~known], keys[~known])
        self._numbers = np.insert(self._numbers, place[~known], new)
        return numbers

    def in_order(self):
        """Returns the place in `keys` of each number."""
        order = np.empty_like(self._numbers)
        order[self._numbers] = np.arange(len(order), dtype="int32")
        return order


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


def _corners(base, ranks, radix):
    """Returns sorted keys of corners, and their places `(points, d + 1)`."""
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
    keys, place = np.unique(corner, return_inverse=True)
    return keys, place.reshape(corner.shape).T[simplex.reshape(-1)]


def _step(keys, radix, j):
    """Returns the matrix of ones from each corner to that ahead of it."""
    from scipy import sparse

    d = len(radix) - 1
    goal = np.where(keys % (d + 1), radix[j] - 1, radix[j] - radix.sum() + d)
    goal += keys
    ahead = np.searchsorted(keys, goal)
    ahead[ahead == len(keys)] = 0
    is_there = keys[ahead] == goal
    starts = np.concatenate([[0], np.cumsum(is_there)]).astype("int32")
    ahead = ahead[is_there].astype("int32")
    ones = np.ones(len(ahead), "float32")
    return sparse.csr_matrix((ones, ahead, starts), (len(keys),) * 2)
