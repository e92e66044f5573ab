import numpy as np
import pytest
from reference import region_descriptors as reference

from keras_xmap.segmentation import _pixel_features
from keras_xmap.segmentation import region_descriptors

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (14, 18, 3)).astype("uint8")
IMAGE[3:9, 5:12] = (200, 30, 60)
SEGMENTS = np.zeros((14, 18), int)
SEGMENTS[3:9, 5:12] = 1
SEGMENTS[9:, :4] = 2
SEGMENTS[13, 17] = 3  # a single pixel
CONTRAST, BACKGROUND, OWN = slice(0, 29), slice(29, 58), slice(58, 93)


def square(size=41, side=20):
    """Orange on dark blue, away from the border."""
    image = np.full((size, size, 3), (0, 0, 102), "uint8")
    segments = np.zeros((size, size), int)
    start = (size - side) // 2
    inside = np.s_[start : start + side, start : start + side]
    image[inside], segments[inside] = (255, 102, 0), 1
    return image, segments


@pytest.mark.parametrize("contrast", ["global", "global_area", "adjacent"])
def test_they_are_those_of_the_slow_reference(contrast):
    features = _pixel_features.pixel_features(IMAGE)
    expected = reference.descriptors(features, SEGMENTS, contrast)
    rows = region_descriptors(IMAGE, SEGMENTS, contrast)
    assert rows.shape == (4, 93)
    np.testing.assert_allclose(rows, expected, atol=1e-9)


def test_the_distance_of_histograms_by_hand():
    assert reference.chi_squared([0.5, 0.5, 0], [0.25, 0.5, 0.25]) == (
        pytest.approx(1 / 6)
    )


def test_the_place_and_form_of_a_square_by_hand():
    rows = region_descriptors(*square())
    own = rows[1, OWN]
    assert own[:2] == pytest.approx([20 / 41, 1 - 20 / 41])
    # 400 pixels: the 40th from the left is the last of two columns.
    ends = [11.5 / 41, 1 - 27.5 / 41, 27.5 / 41, 1 - 11.5 / 41]
    assert own[2:6] == pytest.approx(ends)
    assert own[6] == pytest.approx(80 / 82)
    assert own[7] == pytest.approx(1, abs=1e-5)
    assert own[33:] == pytest.approx([400 / 1681, 1281 / 1681])
    assert rows[0, OWN][6] == pytest.approx((4 * 41 + 80) / 82)


def test_two_regions_differ_by_their_colours():
    """All but the blurred seam: w is 1, since the centres nearly agree."""
    image, segments = square()
    rows = region_descriptors(image, segments)
    expected = [1, 0.4, 0.4, 1]  # red, green, blue, and no bin in common
    np.testing.assert_allclose(rows[1, 29:33], expected, atol=0.05)
    np.testing.assert_allclose(rows[1, :4], np.divide(expected, 2), atol=0.05)
    hsv = [abs(24 - 240) / 360, 0, 0.6, 1]
    np.testing.assert_allclose(rows[1, 33:37], hsv, atol=0.05)
    # The dark region is the border itself.
    np.testing.assert_allclose(rows[0, 29:41], 0, atol=0.06)


def test_colours_are_brought_to_0_to_1():
    image = np.zeros((3, 4, 3), "uint8")
    image[:, 2:] = 255
    channels, bins = _pixel_features.pixel_features(image)
    assert channels.shape == (25, 3, 4)
    white = channels[:, 1, 3]
    np.testing.assert_allclose(
        white[:9], [1, 1, 1, 0, 0, 1, 1, 0.5, 0.5], atol=1e-2
    )
    assert [size for _, size in bins] == [512, 512, 512, 15, 256]
    assert bins[0][0][1].tolist() == [0, 0, 511, 511] or bins[0][0][1, 3] == 511


def test_a_binary_pattern_tells_the_neighbours_that_are_no_darker():
    flat = np.full((3, 3, 3), 7, "uint8")
    assert (_pixel_features.pixel_features(flat).channels[24] == 255).all()
    image = np.full((5, 5), 100, "uint8")
    image[:, 3:] = 200
    pattern = _pixel_features.pixel_features(image[..., None]).channels[24]
    # The step is one column wide: in the last dark one, all of the right are
    # brighter, itself and those above and below alike, the left darker.
    assert pattern[2, 0] == 255
    bits = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0)]
    numbers = [_pixel_features._NEIGHBOURS.index(bit) for bit in bits]
    assert pattern[2, 3] == sum(1 << number for number in numbers)


def test_filters_are_a_bank_of_mean_0_and_size_1():
    bank = _pixel_features.texture_filters()
    assert bank.shape == (15, 19, 19)
    np.testing.assert_allclose(bank.sum((1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(np.abs(bank).sum((1, 2)), 1)
    # Mirrored, an orientation is another one of the bank, up to its sign.
    for number in range(6):
        for first in (0, 6):
            mirrored = bank[first + number][:, ::-1]
            other = bank[first + (6 - number) % 6]
            sign = np.sign((mirrored * other).sum())
            np.testing.assert_allclose(mirrored, sign * other, atol=1e-12)
    for kernel in bank[12:]:
        np.testing.assert_allclose(kernel, kernel.T, atol=1e-12)


def test_an_edge_answers_to_the_filter_along_it():
    image = np.zeros((41, 41), "uint8")
    image[20:] = 255  # horizontal
    channels, _ = _pixel_features.pixel_features(image[..., None])
    at_edge = channels[9:15, 20, 20]
    assert at_edge.argmax() == 0 and at_edge[3] < 0.1 * at_edge[0]


def test_numbers_of_regions_do_not_matter():
    order = np.array([2, 0, 3, 1])
    rows = region_descriptors(IMAGE, order[SEGMENTS])
    np.testing.assert_allclose(
        rows[order], region_descriptors(IMAGE, SEGMENTS), atol=1e-12
    )


def test_a_mirrored_image_has_mirrored_regions():
    segments = (np.arange(17) > 6) * np.ones((11, 1), int)  # areas 77 and 110
    segments[0, 0] = 1  # 76 and 111: no multiple of 10
    image = IMAGE[:11, :17]
    rows = region_descriptors(image, segments)
    mirrored = region_descriptors(image[:, ::-1], segments[:, ::-1])
    for part in (0, 29):
        colors = slice(part, part + 12)
        np.testing.assert_allclose(mirrored[:, colors], rows[:, colors])
        texture = rows[:, part + 12 : part + 27]
        swapped = texture[:, [0, 5, 4, 3, 2, 1, 6, 11, 10, 9, 8, 7, 12, 13, 14]]
        found = mirrored[:, part + 12 : part + 27]
        np.testing.assert_allclose(found, swapped, atol=1e-9)
    own, other = rows[:, OWN], mirrored[:, OWN]
    np.testing.assert_allclose(other[:, 0], 1 - own[:, 0])
    np.testing.assert_allclose(other[:, [2, 4]], 1 - own[:, [4, 2]])
    np.testing.assert_allclose(
        other[:, [1, 3, 5, 6, 7]], own[:, [1, 3, 5, 6, 7]]
    )


def test_a_single_region_has_no_contrast():
    rows = region_descriptors(IMAGE, np.zeros_like(SEGMENTS))
    np.testing.assert_allclose(rows[0, CONTRAST], 0, atol=1e-12)
    adjacent = region_descriptors(IMAGE, np.zeros_like(SEGMENTS), "adjacent")
    np.testing.assert_allclose(adjacent, rows, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2)])
def test_the_smallest_images_have_finite_descriptors(shape):
    image = RNG.integers(0, 256, (*shape, 3)).astype("uint8")
    segments = np.zeros(shape, int)
    segments[0, 0] = 1 if segments.size > 1 else 0
    rows = region_descriptors(image, segments)
    assert np.isfinite(rows).all()


def test_a_gray_image_is_one_of_three_equal_channels():
    gray = IMAGE[..., 0]
    rows = region_descriptors(gray, SEGMENTS)
    three = region_descriptors(gray[..., None].repeat(3, axis=-1), SEGMENTS)
    np.testing.assert_allclose(rows, three)


@pytest.mark.parametrize(
    "segments, message",
    [
        (SEGMENTS * 1.0, "segments.dtype=float64"),
        (SEGMENTS[:5], r"segments.shape=\(5, 18\)"),
        (SEGMENTS + 1, "numbers from 1 to 4"),
        (SEGMENTS * 2, "of which 4 occur"),
        (SEGMENTS - 1, "numbers from -1 to 2"),
    ],
)
def test_segments_that_are_none_are_named(segments, message):
    with pytest.raises(ValueError, match=message):
        region_descriptors(IMAGE, segments)


def test_segments_are_mended_as_the_error_says():
    odd = 2 * SEGMENTS + 5
    with pytest.raises(ValueError, match="return_inverse=True"):
        region_descriptors(IMAGE, odd)
    mended = np.unique(odd, return_inverse=True)[1].reshape(odd.shape)
    np.testing.assert_array_equal(mended, SEGMENTS)


def test_an_unknown_contrast_is_named():
    with pytest.raises(ValueError, match="Received: contrast='local'"):
        region_descriptors(IMAGE, SEGMENTS, "local")
