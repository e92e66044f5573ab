import numpy as np
import pytest

from keras_xmap.ops import quadtree_labels

UNKNOWN = 255


def tree(labels, num_classes, num_levels, **kwargs):
    found = quadtree_labels(
        np.asarray(labels), num_classes, num_levels, **kwargs
    )
    return [np.asarray(x) for x in found.values()]


def slowly(labels, num_classes, num_levels, unknown=UNKNOWN):
    """One cell after the other, from the rule in words."""
    batch, height, width = labels.shape
    found = []
    for level in range(num_levels):
        side = 2**level
        rows, columns = -(-height // side), -(-width // side)
        of_level = np.full((batch, rows, columns), unknown)
        for image, row, column in np.ndindex(of_level.shape):
            for above in range(num_levels - 1, level - 1, -1):
                step, shift = 2**above, above - level
                top, left = (row >> shift) * step, (column >> shift) * step
                cell = labels[image, top : top + step, left : left + step]
                known = set(cell[cell != unknown].tolist())
                if len(known) == 1 and (cell != unknown).all():
                    if above == level:
                        of_level[image, row, column] = known.pop()
                    break
                if above == level and len(known) > 1:
                    of_level[image, row, column] = num_classes + 1
        found.append(of_level)
    return found


@pytest.mark.parametrize("shape", [(2, 16, 16), (1, 13, 7), (1, 1, 5)])
@pytest.mark.parametrize("num_levels", [1, 3, 6])
def test_each_cell_is_told_what_is_known_of_it(shape, num_levels):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 4, (shape[0], 4, 4)).repeat(4, 1).repeat(4, 2)
    labels = coarse[:, : shape[1], : shape[2]]
    labels[rng.random(labels.shape) < 0.1] = UNKNOWN
    labels[:, -3:, -2:] = UNKNOWN
    found = tree(labels, 3, num_levels)
    expected = slowly(labels, 3, num_levels)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == "int32" and (one == other).all()


def test_edges_alone_are_divided():
    labels = np.zeros((1, 64, 64), int)
    labels[..., 32:] = 1
    assert [(x == 2).sum() for x in tree(labels, 1, 6)] == [0] * 6
    labels[..., 32] = 0  # the edge is at column 33
    mixed = [(x == 2).sum() for x in tree(labels, 1, 6)]
    assert mixed == [0, 32, 16, 8, 4, 2]
    # What is told is what lies in a divided cell, and all cells at the top.
    told = [(x != UNKNOWN).sum() for x in tree(labels, 1, 6)]
    assert told == [128, 64, 32, 16, 8, 4]
    board = np.indices((64, 64)).sum(0)[None] % 2
    mixed = [(x == 2).sum() for x in tree(board, 1, 6)]
    assert mixed == [0, 1024, 256, 64, 16, 4]


def test_the_tree_says_what_the_label_map_says():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, (2, 5, 6)).repeat(3, 1).repeat(3, 2)
    painted = np.full(labels.shape, UNKNOWN)
    for level, found in reversed(list(enumerate(tree(labels, 2, 4)))):
        size = labels.shape[1:]
        large = found.repeat(2**level, 1).repeat(2**level, 2)
        large = large[:, : size[0], : size[1]]
        painted = np.where(large <= 2, large, painted)
    assert (painted == labels).all()


def test_unknown_pixels_neither_divide_a_cell_nor_fill_it():
    labels = [[[1, UNKNOWN, 1, 2], [1, 1, UNKNOWN, 1]]]
    masks, coarse = tree(labels, 2, 2)
    assert coarse.tolist() == [[[UNKNOWN, 3]]]
    assert masks.tolist() == labels
    nothing = tree(np.full((1, 4, 4), -1), 2, 3, ignore_class=-1)
    assert all((x == -1).all() for x in nothing)


@pytest.mark.tensorflow
def test_it_runs_on_the_way_to_the_model():
    import tensorflow as tf

    labels = np.array([[[0, 1], [1, 1]], [[2, 2], [2, 2]]])
    data = tf.data.Dataset.from_tensor_slices(labels).batch(2)
    data = data.map(lambda x: quadtree_labels(x, 2, 2))
    (found,) = data.as_numpy_iterator()
    assert found["level_1"].tolist() == [[[3]], [[2]]]
    assert found["masks"][1].tolist() == [[UNKNOWN] * 2] * 2


def test_what_is_no_label_map_is_refused():
    labels = np.zeros((1, 4, 4), int)
    for wrong in (3, -1, 254):
        labels[0, 0, 0] = wrong
        with pytest.raises(ValueError, match=f"Received: labels of {wrong}"):
            quadtree_labels(labels, 2, 2)
    labels[0, 0, 0] = 0
    for wrong in (labels[0], labels[..., None], labels / 1):
        with pytest.raises(ValueError, match="Received: labels.shape"):
            quadtree_labels(wrong, 2, 2)
    for name, value in (
        ("num_classes", 0),
        ("num_levels", 0),
        ("ignore_class", 3),
        ("ignore_class", 0),
        ("ignore_class", 2**31),
    ):
        given = {"num_classes": 2, "num_levels": 2, name: value}
        with pytest.raises(ValueError, match=f"Received: {name}={value}"):
            quadtree_labels(labels, **given)
    quadtree_labels(labels, 2, 2, ignore_class=-1)
