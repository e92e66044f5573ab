import numpy as np

from keras_xmap._checks import check_integer
from keras_xmap._checks import check_positive
from keras_xmap._checks import check_positive_integer
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap.segmentation._images_and_maps import check_class_maps
from keras_xmap.segmentation._images_and_maps import entries
from keras_xmap.segmentation._pairs import ends
from keras_xmap.segmentation._pairs import offsets

_NOTHING = 1e-14


def random_walk(
    maps: ArrayLike,
    features: ArrayLike,
    radius: int = 5,
    beta: float = 8.0,
    num_steps: int = 256,
) -> np.ndarray | list[np.ndarray]:
    """Spreads maps over positions with like features, and stops at edges.

    Between positions nearer than `radius` the affinity is
    `a_ij = exp(-mean_k |f_ik - f_jk|)`, and 1 of a position with itself. A
    step of the walk goes from `i` to `j` with probability
    `T_ij = a_ij ** beta / sum_j a_ij ** beta`, and the maps after `n` steps
    are `T ** n M`: at each position the mean of what a walk of so many steps
    that begins there meets at its end.

    A constant map stays as it is, no value leaves the range of its map, and
    `sum_i d_i m_i` is kept, where `d_i` is the sum that `T_ij` is divided by.
    The defaults are those of AffinityNet: radius 5, beta 8, and 256 steps,
    which its code makes by squaring the matrix 8 times. Here it is sparse,
    and applied step by step.

    Args:
        maps: Array `(classes, rows, columns)` of finite values >= 0, the
            background among them where it is to compete. Or several: an array
            `(batch, classes, rows, columns)`, or a list.
        features: Array `(rows, columns, channels)`, of as many positions as
            the maps, such as `Affinity.embed` makes. A batch or list of them
            for several maps.
        radius: Integer >= 2, in positions. Defaults to `5`.
        beta: Float > 0: the larger, the less is spread over slight
            differences. Defaults to `8.0`.
        num_steps: Integer >= 1. Defaults to `256`.

    Returns:
        Float32 array like `maps`; of a list, a list.

    Raises:
        ValueError: If a shape, a value or an option is not as above.

    References:
        - [Ahn & Kwak, 2018](https://arxiv.org/abs/1803.10464)

    Example:

    >>> maps = np.zeros((1, 1, 6))
    >>> maps[0, 0, 0] = 1.0
    >>> features = np.array([[[0.0], [0.0], [0.0], [9.0], [9.0], [9.0]]])
    >>> walked = keras_xmap.segmentation.random_walk(maps, features)
    >>> walked[0, 0].round(2) + 0.0
    array([0.33, 0.33, 0.33, 0.  , 0.  , 0.  ], dtype=float32)
    """
    check_integer("radius", radius, 2, remedy="It is counted in positions.")
    check_positive("beta", beta)
    check_positive_integer("num_steps", num_steps)
    is_list = isinstance(maps, (list, tuple))
    maps = maps if is_list else as_array("maps", maps)
    if not is_list and maps.ndim != 4:
        return _walked(maps, features, radius, beta, num_steps)
    features = entries("features", features)
    if len(maps) != len(features):
        raise ValueError(
            "There must be as many features as maps. Received: len(maps)="
            f"{len(maps)}, len(features)={len(features)}."
        )
    found = [
        _walked(m, f, radius, beta, num_steps)
        for m, f in zip(maps, features, strict=True)
    ]
    return found if is_list or not found else np.stack(found)


def _walked(maps, features, radius, beta, num_steps):
    maps, features = check_class_maps(maps), check_features(features)
    if maps.shape[1:] != features.shape[:2]:
        raise ValueError(
            "`maps` and `features` must have the same positions. Received: "
            f"maps.shape={maps.shape}, features.shape={features.shape}. Resize "
            "the maps, by `keras_xmap.ops.resize`, or average them over the "
            "pixels of each position."
        )
    step = transition(features, radius, beta)
    values = maps.reshape(len(maps), -1).T.astype("float64")
    for _ in range(num_steps):
        before, values = values, step @ values
        # What further steps would change is lost in rounding.
        if np.abs(values - before).max() <= _NOTHING * values.max():
            break
    return values.T.reshape(maps.shape).astype("float32")


def check_features(features):
    """Returns the features of one image, `(rows, columns, channels)`."""
    features = as_array("features", features)
    if (
        features.dtype.kind not in "buif"
        or features.ndim != 3
        or not features.size
        or not np.isfinite(features).all()
    ):
        raise ValueError(
            "`features` must be (rows, columns, channels) of finite numbers, "
            "or several of them in a batch or a list. Received: "
            f"features.shape={features.shape}, features.dtype={features.dtype}."
        )
    return features


def transition(features, radius, beta):
    """Returns the sparse matrix of the walk, whose rows sum to 1."""
    from scipy import sparse

    height, width = size = features.shape[:2]
    features = features.astype("float32")
    number = np.arange(height * width).reshape(size)
    one, other, weights = [], [], []
    for offset in offsets(radius, size):
        first, second = ends(size, offset)
        distance = np.abs(features[first] - features[second]).mean(axis=-1)
        one.append(number[first].ravel())
        other.append(number[second].ravel())
        weights.append(np.exp(-beta * distance.ravel().astype("float64")))
    itself = number.ravel()
    rows = np.concatenate([*one, *other, itself])
    columns = np.concatenate([*other, *one, itself])
    values = np.concatenate([*weights, *weights, np.ones(len(itself))])
    shape = (len(itself), len(itself))
    affinity = sparse.csr_matrix((values, (rows, columns)), shape=shape)
    total = np.asarray(affinity.sum(axis=1)).ravel()
    return sparse.diags(1 / total) @ affinity
