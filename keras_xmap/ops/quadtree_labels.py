import keras
from keras import ops

from keras_xmap._checks import check_integer
from keras_xmap._numeric import as_tensor
from keras_xmap._typing import Tensor
from keras_xmap.ops._quadtree_cells import divided
from keras_xmap.ops._quadtree_cells import halves
from keras_xmap.ops._quadtree_cells import may_hold

_MOST_LEVELS = 31
_MOST_CLASSES = 2**30
_INT32 = -(2**31), 2**31 - 1


def quadtree_labels(
    labels: Tensor,
    num_classes: int,
    num_levels: int,
    ignore_class: int = 255,
) -> dict[str, Tensor]:
    """Makes label maps into trees of labels, one map for each size of cells.

    What `models.quadtree_decoder` is trained on. A cell of level `l` covers
    `2**l` positions a side, cut at the border, and is told

    - its class, where all of it is of one class: a leaf;
    - `num_classes + 1`, mixed, where two classes are known in it: it is
      divided, and its four cells of the next level are told more;
    - `ignore_class`, nothing, where it is within a leaf: no network has to
      look there; and where a part of it is unknown and the rest of one class:
      whether that is all there is nobody knows.

    So borders that are left out of a label map, and pseudo labels that claim
    but a part of a photo, count for what is known of them alone.

    Args:
        labels: Integers `(batch, height, width)`: 0 for the background, the
            classes from 1 to `num_classes`, or `ignore_class`.
        num_classes: Integer >= 1, the background left out.
        num_levels: Integer >= 1, the outputs of the decoder.
        ignore_class: Integer, the label of what is not known, and no class.
            Defaults to `255`.

    Returns:
        Dictionary of int32 tensors: `"masks"` `(batch, height, width)`, the
        finest level, and `"level_1"`, `"level_2"`, ... of half the size each,
        rounded up.

    Raises:
        ValueError: If an argument is out of its range, or, where it can be
            seen, a label no class.

    References:
        - [Chitta et al., 2020](https://arxiv.org/abs/1907.11821)

    Example:

    >>> labels = np.array([[[1, 1, 0, 0], [1, 1, 0, 2]]])
    >>> tree = keras_xmap.ops.quadtree_labels(labels, 2, num_levels=2)
    >>> np.asarray(tree["level_1"]).tolist()  # 3: mixed
    [[[1, 3]]]
    >>> np.asarray(tree["masks"]).tolist()
    [[[255, 255, 0, 0], [255, 255, 0, 2]]]
    """
    num_classes = check_integer("num_classes", num_classes, 1, _MOST_CLASSES)
    num_levels = check_integer("num_levels", num_levels, 1, _MOST_LEVELS)
    ignore_class = check_integer("ignore_class", ignore_class, *_INT32)
    _check_ignore_class(ignore_class, num_classes)
    x = _as_labels(labels, num_classes, ignore_class)[..., None]
    is_known = x != ignore_class
    low = ops.where(is_known, x, num_classes + 1)
    high = ops.where(is_known, x, -1)
    levels: list[Tensor] = []
    sizes: list[tuple] = []
    for level in range(num_levels):
        if level:
            low = _pooled(low, ops.minimum, sizes[-1])
            high = _pooled(high, ops.maximum, sizes[-1])
            is_known = _pooled(is_known, ops.logical_and, sizes[-1])
        sizes.append(tuple(ops.shape(low)[1:3]))
        found = ops.where(is_known, low, ignore_class)
        found = ops.where(low < high, num_classes + 1, found)
        levels.append(found[..., 0])
    return _without_what_is_known(levels, sizes, num_classes, ignore_class)


def _without_what_is_known(levels, sizes, num_classes, ignore_class):
    """Returns the levels by name, without labels within leaves."""
    found, is_within = {}, None
    for level in reversed(range(len(levels))):
        labels = levels[level]
        is_leaf = ops.logical_and(labels >= 0, labels <= num_classes)
        if is_within is not None:
            is_within = divided(is_within, sizes[level])
            labels = ops.where(is_within, ignore_class, labels)
            is_leaf = ops.logical_or(is_within, is_leaf)
        is_within = is_leaf
        found[f"level_{level}" if level else "masks"] = labels
    return dict(reversed(found.items()))


def _pooled(x, reduce, size):
    for axis, length in enumerate(size, 1):
        x = reduce(*halves(x, axis, length))
    return x


def _check_ignore_class(ignore_class, num_classes):
    if 0 <= ignore_class <= num_classes + 1:
        raise ValueError(
            "`ignore_class` must be no class, nor the label of mixed cells, "
            f"num_classes + 1. Received: ignore_class={ignore_class}, with "
            f"num_classes={num_classes}. -1 is neither."
        )


def _as_labels(labels, num_classes, ignore_class):
    labels = as_tensor("labels", labels)
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if len(labels.shape) != 3 or not keras.backend.is_int_dtype(dtype):
        raise ValueError(
            "`labels` must be integers (batch, height, width). Received: "
            f"labels.shape={tuple(labels.shape)}, labels.dtype={dtype}. One "
            "map needs a batch axis, labels[None]; of one-hot labels take "
            "argmax."
        )
    labels = ops.cast(labels, "int32")
    is_class = ops.logical_and(labels >= 0, labels <= num_classes)
    is_right = ops.logical_or(is_class, labels == ignore_class)
    if not may_hold(ops.all(is_right)):
        wrong = ops.where(is_right, ignore_class, labels)
        low, high = int(ops.min(wrong)), int(ops.max(wrong))
        raise ValueError(
            f"`labels` must be from 0 to num_classes={num_classes}, or "
            f"ignore_class={ignore_class}. Received: labels of "
            f"{low if high == ignore_class else high}."
        )
    return labels
