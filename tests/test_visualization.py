import subprocess
import sys

import numpy as np
import pytest
from skimage.color import rgb2lab

from keras_xmap.visualization import overlay
from keras_xmap.visualization import panel
from keras_xmap.visualization import to_uint8

GRAY = np.array([[0.0, 0.2], [0.6, 1.0]])
GRAY_UINT8 = np.array([[0, 51], [153, 255]], "uint8")
RGB_UINT8 = np.stack([GRAY_UINT8] * 3, axis=-1)
COLORS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 8, 7]]])

KINDS = {
    "float in 0..1": GRAY,
    "float32 in 0..1": GRAY.astype("float32"),
    "float in 0..255": 255 * GRAY,
    "float16 in 0..255": (255 * GRAY).astype("float16"),
    "uint8": GRAY_UINT8,
    "int64": GRAY_UINT8.astype("int64"),
    "uint16 in 0..255": GRAY_UINT8.astype("uint16"),
    "one channel": GRAY[..., None],
    "RGB float": np.stack([GRAY] * 3, axis=-1),
    "RGB uint8": RGB_UINT8,
    "opaque RGBA": np.dstack([RGB_UINT8, np.full((2, 2), 255, "uint8")]),
    "opaque RGBA float": np.dstack([GRAY] * 3 + [np.ones((2, 2))]),
    "nested lists": GRAY.tolist(),
}
all_kinds = pytest.mark.parametrize("image", KINDS.values(), ids=KINDS)


@all_kinds
def test_every_kind_of_image_becomes_the_same_rgb(image):
    picture = to_uint8(image)
    assert picture.dtype == "uint8"
    np.testing.assert_array_equal(picture, RGB_UINT8)


def test_colours_keep_their_order_red_first():
    np.testing.assert_array_equal(to_uint8(COLORS), COLORS)


def test_false_is_black_and_true_white():
    picture = to_uint8(np.array([[False, True]]))
    assert picture[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_alpha_lays_the_image_on_white():
    pixels = [[[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.4], [0, 0, 0, 0]]]
    expected = [[[255, 0, 0], [255, 153, 153], [255, 255, 255]]]
    assert to_uint8(pixels).tolist() == expected
    as_bytes = np.round(255 * np.array(pixels)).astype("uint8")
    assert to_uint8(as_bytes).tolist() == expected


def test_a_data_range_says_what_is_black_and_white_and_clips():
    picture = to_uint8([[-3.0, -1.0, 0.0, 0.6, 1.0, 9.0]], data_range=(-1, 1))
    assert picture[0, :, 0].tolist() == [0, 0, 128, 204, 255, 255]
    deep = np.array([[0, 32768, 65535]], "uint16")
    assert to_uint8(deep, (0, 65535))[0, :, 0].tolist() == [0, 128, 255]


def test_the_scale_is_not_stretched():
    assert to_uint8([[0.1, 0.2]])[0, :, 0].tolist() == [26, 51]
    assert to_uint8([[0.0, 0.0]]).max() == 0
    assert to_uint8([[7, 7]]).max() == 7
    assert to_uint8([[1, 0]])[0, 0, 0] == 1  # integers are never in 0..1


def test_rounding_errors_at_the_ends_are_forgiven():
    assert to_uint8([[-1e-7, 1.0000001]])[0, :, 0].tolist() == [0, 255]
    assert to_uint8([[-1e-5, 255.0001]])[0, :, 0].tolist() == [0, 255]


def test_the_image_given_is_neither_changed_nor_shared():
    image = RGB_UINT8.copy()
    picture = to_uint8(image)
    picture[:] = 9
    np.testing.assert_array_equal(image, RGB_UINT8)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([[-1.0, 1.0]], "values from -1 to 1. Pass data_range"),
        ([[-103.9, 151.1]], "values from -103.9 to 151.1. Pass data_range"),
        ([[0.0, 1.4]], "values from 0 to 1.4. Pass data_range"),
        ([[0.0, 4095.0]], "values from 0 to 4095. Pass data_range"),
        ([[0, 256]], "values from 0 to 256. Pass data_range"),
        ([[-1, 0]], "values from -1 to 0. Pass data_range"),
        ([[0.5, np.nan]], "1 of 2 values NaN"),
        ([[0.5, np.inf]], "1 of 2 values NaN or infinite"),
        (np.zeros((8, 4, 4, 3)), r"\(8, 4, 4, 3\). Index the batch: image\[0"),
        (np.zeros((3, 8, 8)), r"\(3, 8, 8\). For channels first"),
        (np.zeros((8, 8, 2)), r"image.shape=\(8, 8, 2\)"),
        (np.zeros(8), r"image.shape=\(8,\)"),
        (np.zeros((0, 8)), r"image.shape=\(0, 8\)"),
    ],
)
def test_an_image_in_doubt_is_refused_with_a_remedy(image, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        to_uint8(image)


@pytest.mark.parametrize("image", [[["a"]], [[1j]], [[None]]])
def test_what_is_no_number_is_refused(image):
    with pytest.raises(TypeError, match=r"Received: image.dtype="):
        to_uint8(image)


@pytest.mark.parametrize(
    "data_range", [(1, 1), (1, 0), (0, np.inf), (0,), 5, "ab", (np.nan, 1)]
)
def test_a_range_without_width_is_refused(data_range):
    with pytest.raises(ValueError, match="Received: data_range="):
        to_uint8(GRAY, data_range)


def test_an_overlay_mixes_image_and_colour_by_alpha():
    # Ends of viridis: 0 is (68, 1, 84), 1 is (253, 231, 37).
    picture = overlay([[0.0, 1.0]], [[0.0, 3.0]], alpha=0.4)
    expected = [[27, 0, 34], [0.6 * 255 + 101.2, 245.4, 167.8]]
    np.testing.assert_array_equal(picture[0], np.round(expected))
    assert picture.dtype == "uint8"


def test_alpha_zero_is_the_image_and_one_the_colours():
    map = [[0, 1], [2, 3]]
    np.testing.assert_array_equal(overlay(COLORS, map, alpha=0), COLORS)
    colors = overlay(COLORS, map, alpha=1)
    np.testing.assert_array_equal(colors, overlay(GRAY, map, alpha=1))
    assert colors[0, 0].tolist() == [68, 1, 84]
    assert colors[1, 1].tolist() == [253, 231, 37]


def test_the_golden_picture():
    # Multiples of 1/8, at which both colour maps are tabulated.
    map = np.array([[0.0, 0.25, 0.5], [0.75, 1.0, 0.125]])
    picture = overlay(np.full((2, 3), 0.5), map, alpha=1)
    expected = [
        [[68, 1, 84], [59, 82, 139], [33, 145, 140]],
        [[94, 201, 98], [253, 231, 37], [71, 45, 123]],
    ]
    np.testing.assert_array_equal(picture, expected)
    signed = overlay(np.zeros((1, 5)), [[-4, -2, 0, 2, 4]], 1, signed=True)
    expected = [
        [184, 224, 248],
        [0, 124, 190],
        [31, 31, 31],
        [180, 93, 17],
        [255, 212, 139],
    ]
    np.testing.assert_array_equal(signed[0], expected)


def lightness(picture):
    return rgb2lab(picture)[..., 0]


@all_kinds
def test_bright_is_important_over_every_kind_of_image(image):
    map = np.array([[0.0, 0.1], [0.3, 0.9]])
    light = lightness(overlay(image, map, alpha=1))
    np.testing.assert_array_equal(np.argsort(light.ravel()), [0, 1, 2, 3])
    assert overlay(image, map).shape == (2, 2, 3)


def test_strong_evidence_is_bright_whatever_its_sign():
    map = np.array([[-3.0, -1.0, 0.0, 1.0, 3.0]])
    picture = overlay(np.zeros((1, 5)), map, signed=True)[0].astype(int)
    light = lightness(picture.astype("uint8"))
    assert light[0] > light[1] > light[2] < light[3] < light[4]
    assert picture[0, 2] > picture[0, 0]  # negative is blue,
    assert picture[4, 0] > picture[4, 2]  # positive orange


def test_both_signs_share_one_scale():
    picture = overlay(np.zeros((1, 3)), [[-1.0, 2.0, 1.0]], 1, signed=True)
    expected = overlay(np.zeros((1, 3)), [[-2.0, 4.0, 2.0]], 1, signed=True)
    np.testing.assert_array_equal(picture, expected)
    assert lightness(picture)[0, 0] == pytest.approx(
        lightness(picture)[0, 2], abs=2
    )


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("value", [0.0, 5.0, -5.0, 1e300, 1e-300])
def test_a_flat_map_is_darkest_throughout(value, signed):
    map = np.full((4, 4), value)
    picture = overlay(np.zeros((4, 4)), map, alpha=1, signed=signed)
    darkest = [31, 31, 31] if signed else [68, 1, 84]
    assert (picture == darkest).all()


def test_rounding_noise_is_not_blown_up_to_colour():
    map = 0.1 + 1e-9 * np.random.default_rng(0).normal(size=(6, 6))
    assert (overlay(np.zeros((6, 6)), map, alpha=1) == [68, 1, 84]).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e300])
def test_the_scale_of_a_map_does_not_matter(scale):
    map = scale * np.array([[-1.0, 0.0], [0.5, 1.0]])
    for signed in (False, True):
        np.testing.assert_array_equal(
            overlay(GRAY, map, signed=signed),
            overlay(GRAY, map / scale, signed=signed),
        )


def test_a_small_map_grows_with_half_pixel_centres():
    # [0, 1] from 2 to 4 pixels is [0, 0.25, 0.75, 1].
    grown = overlay(np.zeros((1, 4)), [[0.0, 1.0]], alpha=1)
    asked = overlay(np.zeros((1, 4)), [[0.0, 0.25, 0.75, 1.0]], alpha=1)
    np.testing.assert_array_equal(grown, asked)


def test_a_large_map_is_smoothed_when_it_shrinks():
    map = np.zeros((40, 40))
    map[21, 21] = 1  # between the pixels that plain sampling would take
    picture = overlay(np.zeros((8, 8)), map, alpha=1)
    light = lightness(picture)
    assert np.unravel_index(light.argmax(), light.shape) == (4, 4)
    assert light.max() > 85


def test_a_mask_of_booleans_is_a_map():
    picture = overlay(np.zeros((1, 2)), np.array([[False, True]]), alpha=1)
    assert picture[0].tolist() == [[68, 1, 84], [253, 231, 37]]


def ramp(signed):
    values = np.linspace(-1 if signed else 0, 1, 201)[None]
    return overlay(np.zeros((1, 201)), values, alpha=1, signed=signed)


def test_viridis_is_that_of_matplotlib_within_6_of_255():
    matplotlib = pytest.importorskip("matplotlib")
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 1, 201))
    difference = ramp(False)[0] - np.round(255 * colors[:, :3])
    assert np.abs(difference).max() <= 6


def test_viridis_rises_in_lightness_all_along():
    light = lightness(ramp(False))[0]
    # Over steps of 1/50, beyond the rounding to 8 bits.
    assert (light[4:] - light[:-4]).min() > 0.5
    assert light[-1] - light[0] > 70


def test_blue_orange_rises_alike_on_both_sides_of_a_dark_centre():
    light = lightness(ramp(True))[0]
    positive, negative = light[100:], light[100::-1]
    for side in (positive, negative):
        assert (side[4:] - side[:-4]).min() > 1
    assert np.abs(positive - negative).max() < 3


def test_a_callable_is_a_colour_map():
    def red(values):
        zeros = np.zeros_like(values)
        return np.stack([values, zeros, zeros], axis=-1)

    picture = overlay([[0.0, 0.0]], [[1.0, 3.0]], alpha=1, colormap=red)
    assert picture[0].tolist() == [[0, 0, 0], [255, 0, 0]]


def test_a_colour_map_of_matplotlib_is_a_callable():
    matplotlib = pytest.importorskip("matplotlib")
    picture = overlay(
        [[0.0, 0.0]], [[0.0, 1.0]], 1, matplotlib.colormaps["gray"]
    )
    assert picture[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"alpha": "half"}, "alpha='half'"),
        ({"colormap": "jet"}, "colormap='jet'"),
        ({"colormap": "blue_orange"}, "colormap='blue_orange'"),
        ({"colormap": "viridis", "signed": True}, "colormap='viridis'"),
        ({"colormap": lambda v: v}, r"shape=\(2, 2\)"),
        ({"colormap": lambda v: np.dstack([255 * v] * 3)}, "from 0 to 255"),
        ({"map": np.zeros((1, 2, 2))}, r"map.shape=\(1, 2, 2\). Index"),
        ({"map": np.zeros((2, 2, 3))}, r"map.shape=\(2, 2, 3\)"),
        ({"map": [[0.0, np.nan]]}, "map with 1 of 2 values NaN"),
    ],
)
def test_an_overlay_that_cannot_be_made_is_refused(options, message):
    arguments = {"image": GRAY, "map": GRAY, **options}
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        overlay(**arguments)


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


def test_matplotlib_is_not_imported():
    code = (
        "import sys, numpy as np\n"
        "from keras_xmap.visualization import overlay, panel\n"
        "image = np.zeros((4, 4))\n"
        "panel([[overlay(image, image)]], titles=['a'])\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
