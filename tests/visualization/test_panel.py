import numpy as np
import pytest
from visualization.images import COLORS
from visualization.images import GRAY

from keras_xmap.visualization import panel


def test_a_panel_sets_equal_cells_on_white():
    black = np.zeros((2, 3))
    picture = panel([[black, None], [COLORS, black]], gap=1)
    assert picture.shape == (2 * 2 + 3, 2 * 3 + 3, 3)
    white = (picture == 255).all(axis=-1)
    assert white[[0, 3, 6]].all() and white[:, [0, 4, 8]].all()
    assert (picture[1:3, 1:4] == 0).all()
    assert (picture[1:3, 5:8] == 255).all()  # the empty cell
    assert (picture[4:6, 5:8] == 0).all()
    # Two of three columns wide, so it stands at the left of the middle.
    np.testing.assert_array_equal(picture[4:6, 1:3], COLORS)


def test_nearest_keeps_pixels_and_bilinear_mixes_them():
    step = np.array([[0.0, 1.0], [0.0, 1.0]])
    nearest = panel([[step]], cell_size=(8, 8), gap=0)
    np.testing.assert_array_equal(nearest[0, :, 0], [0] * 4 + [255] * 4)
    mixed = panel([[step]], None, (8, 8), "bilinear", gap=0)[0, :, 0]
    assert mixed.tolist() == [0, 0, 32, 96, 159, 223, 255, 255]


def test_an_image_keeps_its_proportions_in_its_cell():
    picture = panel([[np.zeros((2, 4))]], cell_size=(8, 8), gap=0)
    black = (picture == 0).all(axis=-1)
    assert black[2:6].all() and not black[:2].any() and not black[6:].any()


def test_titles_stand_above_their_columns_and_are_never_cut():
    image = np.zeros((10, 10))
    plain = panel([[image, image]])
    titled = panel([[image, image]], titles=["i", "a much longer title"])
    bar_height = titled.shape[0] - plain.shape[0]
    assert bar_height > 8
    assert titled.shape[1] > 2 * 60
    bar = titled[:bar_height].min(axis=-1)
    half = titled.shape[1] // 2
    assert bar[:, :half].min() < 100 and bar[:, half:].min() < 100
    dark = np.nonzero((bar < 200).any(axis=0))[0]
    assert dark.min() > 0 and dark.max() < titled.shape[1] - 1
    # The images below are as they would be without titles.
    below = titled[bar_height:]
    assert (below == 0).all(axis=-1).sum() == 2 * 100


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "rows=list"),
        ([GRAY, GRAY], {}, r"rows=list of ndarray. For one row pass \[\["),
        (np.zeros((2, 2, 4, 4)), {}, "rows=ndarray"),
        ([[GRAY], [GRAY, GRAY]], {}, r"lengths \[1, 2\]. None stands"),
        ([[None]], {}, "rows of None only"),
        ([[GRAY]], {"titles": ["a", "b"]}, r"titles=\['a', 'b'\]"),
        ([[GRAY]], {"titles": [5]}, r"titles=\[5\]"),
        ([[GRAY]], {"titles": "a"}, "titles='a'"),
        ([[GRAY]], {"cell_size": 8}, "cell_size=8"),
        ([[GRAY]], {"cell_size": (8, 0)}, r"cell_size=\(8, 0\)"),
        ([[GRAY]], {"gap": -1}, "gap=-1"),
        ([[GRAY]], {"interpolation": "cubic"}, "interpolation='cubic'"),
    ],
)
def test_a_panel_that_cannot_be_made_is_refused(rows, options, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        panel(rows, **options)
