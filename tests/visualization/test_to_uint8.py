import numpy as np
import pytest
from visualization.images import COLORS
from visualization.images import GRAY
from visualization.images import RGB_UINT8
from visualization.images import all_kinds

from keras_xmap.visualization import to_uint8


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
