import keras
import numpy as np
import pytest

from keras_xmap.ops import quadtree
from keras_xmap.ops import quadtree_leaves
from keras_xmap.ops import quadtree_table

IMAGE = np.zeros((1, 4, 6))
IMAGE[0, 0, 0] = 9.0
LEVELS = np.asarray(quadtree(IMAGE, 1.0, num_levels=3))


def table_of(levels=LEVELS, num_levels=3, **options):
    table = quadtree_table(levels, num_levels, **options)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, table)


def test_a_table_by_hand():
    table = table_of(capacity=8)
    # Four pixels, three squares of two, and one of four, cut to two columns.
    assert table["leaves"][0].tolist() == [
        *([0, 0, 0], [0, 1, 0], [0, 2, 1], [0, 4, 2]),
        *([1, 0, 0], [1, 1, 0], [2, 0, 1], [2, 2, 1]),
    ]
    assert table["filled"].all() and table["is_whole"].all()
    # Of level 1 there may be 3 cells that are divided, of level 2 there is 1.
    slots = [len(x[0]) for x in table["parents"]]
    first, second = slots[0], slots[0] + slots[1]
    nothing = sum(slots)
    around = table["neighbors"][0].reshape(8, 3, 3)
    none = [nothing] * 3
    assert around[0].tolist() == [none, [nothing, 0, 1], [nothing, 4, 5]]
    assert around[2].tolist() == [none, [first, 2, 3], [6, 7, 3]]
    assert around[3].tolist() == [none, [second, 3, nothing], none]
    inner = nothing - first
    parents = table["parents"][0][0]
    assert parents.tolist() == [
        *(0, 0, slots[1], inner),
        *(0, 0, slots[1], slots[1]),
    ]
    shares = np.delete(table["shares"][0][0], 3)  # lies in none
    assert shares.tolist() == [0.25] * 7


@pytest.mark.sizes
def test_slots_are_few_sizes_and_hold_the_leaves_in_order():
    rng = np.random.default_rng(0)
    sizes = set()
    for share in (0.01, 0.015, 0.02, 0.1):
        x = (rng.uniform(size=(2, 31, 33)) < share).astype("float32")
        levels = quadtree(x, 0.5, num_levels=5)
        table = table_of(levels, 5)
        sizes.add(table["filled"].shape[1])
        image, left, top, _, _ = np.asarray(quadtree_leaves(levels)).T
        found = table["leaves"][table["filled"]]
        np.testing.assert_array_equal(found[:, :2], np.stack([top, left], 1))
        assert np.bincount(image).tolist() == table["filled"].sum(1).tolist()
    assert len(sizes) < 4 and all(size % 16 == 0 for size in sizes)


def test_levels_below_0_are_pixels_where_there_is_nothing():
    levels = np.array([[[0, -1, 0], [-1, -1, 0]]])
    table = table_of(levels, 1, capacity=3)
    assert table["numbers"].tolist() == [[[0, 3, 1], [3, 3, 2]]]
    around = table["neighbors"][0].reshape(3, 3, 3)
    assert around[1].tolist() == [[3, 3, 3], [3, 1, 3], [3, 2, 3]]


@pytest.mark.parametrize(
    "levels, received",
    [
        (LEVELS + 1, "levels from 1 to 3"),
        (LEVELS - 2, "levels from -2 to 0"),
        (np.array([[[1, 0]]]), "levels that differ"),
        (LEVELS[0], "levels.shape="),
    ],
)
def test_what_is_no_quadtree_is_refused(levels, received):
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        quadtree_table(levels, 3)


def test_too_small_a_capacity_is_refused():
    with pytest.raises(ValueError, match="Received: capacity=7 .* takes 8"):
        quadtree_table(LEVELS, 3, capacity=7)
    with pytest.raises(ValueError, match="Received: kernel_size=2"):
        quadtree_table(LEVELS, 3, kernel_size=2)
