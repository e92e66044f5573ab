import numpy as np
import pytest

from keras_xmap.ops import quadtree
from keras_xmap.visualization import quadtree_cells

IMAGE = np.full((9, 13, 3), 100, "uint8")


def test_each_leaf_has_a_line_above_and_to_its_left():
    levels = np.full((9, 13), 2)
    levels[:4, 8:12] = 1  # a square of 4 pixels, divided in four
    drawn = quadtree_cells(IMAGE, levels, (1, 2, 3), min_side=2)
    is_line = (np.arange(9) % 4 == 0)[:, None] | (np.arange(13) % 4 == 0)
    is_line[2, 8:12] = is_line[:4, 10] = True
    np.testing.assert_array_equal((drawn == (1, 2, 3)).all(-1), is_line)
    assert (drawn[~is_line] == 100).all()
    assert (IMAGE == 100).all()


def test_small_leaves_show_the_image():
    levels = np.full((9, 13), 1)
    drawn = quadtree_cells(IMAGE, levels)
    np.testing.assert_array_equal(drawn, IMAGE)
    assert (quadtree_cells(IMAGE, levels, min_side=2) != IMAGE).any()


def test_levels_of_a_batch_are_drawn_one_by_one():
    levels = quadtree(IMAGE[None].astype("float32"), 0.0, 3)
    drawn = quadtree_cells(IMAGE, levels[0])
    assert (drawn[::4, :, 0] == 255).all()
    with pytest.raises(ValueError, match=r"levels.shape=\(1, 9, 13\)"):
        quadtree_cells(IMAGE, levels)


BAD = [
    ({"color": 3}, "Received: color=3"),
    ({"color": (0, 0)}, r"Received: color=\(0, 0\)"),
    ({"color": (0, 0, 256)}, "Received: color=256"),
    ({"min_side": 1}, "Received: min_side=1"),
    ({"levels": np.full((9, 13), 0.5)}, "Received: levels="),
    ({"levels": np.full((9, 13), -1)}, "Received: levels from -1"),
]


@pytest.mark.parametrize("options, message", BAD, ids=lambda x: str(x)[:30])
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        quadtree_cells(IMAGE, **{"levels": np.zeros((9, 13), int), **options})
