import os
import subprocess
import sys

import numpy as np
import pytest
from skimage.color import rgb2lab
from visualization.images import COLORS
from visualization.images import GRAY
from visualization.images import all_kinds

from keras_xmap.visualization import _arrays
from keras_xmap.visualization import overlay


def test_an_overlay_mixes_image_and_colour_by_alpha():
    # Ends of viridis: 0 is (68, 1, 84), 1 is (253, 231, 37).
    picture = overlay([[0.0, 1.0]], [[0.0, 3.0]], alpha=0.4)
    expected = [[27, 0, 34], [0.6 * 255 + 101.2, 245.4, 167.8]]
    np.testing.assert_array_equal(picture[0], np.round(expected))
    assert picture.dtype == "uint8"


def test_alpha_zero_is_the_image_and_one_the_colours():
    heatmap = [[0, 1], [2, 3]]
    np.testing.assert_array_equal(overlay(COLORS, heatmap, alpha=0), COLORS)
    colors = overlay(COLORS, heatmap, alpha=1)
    np.testing.assert_array_equal(colors, overlay(GRAY, heatmap, alpha=1))
    assert colors[0, 0].tolist() == [68, 1, 84]
    assert colors[1, 1].tolist() == [253, 231, 37]


def test_by_default_colours_are_as_strong_as_the_map_is():
    image = np.full((1, 3), 0.4)  # 102
    picture = overlay(image, [[0.0, 1.0, 2.0]])
    middle = np.array([33, 145, 140])
    expected = [
        [102, 102, 102],
        102 * (1 - 0.375) + 0.375 * middle,
        102 * 0.25 + 0.75 * np.array([253, 231, 37]),
    ]
    np.testing.assert_allclose(picture[0], expected, atol=0.51)
    signed = overlay(image, [[-2.0, 0.0, 1.0]], signed=True)
    expected = [
        102 * 0.25 + 0.75 * np.array([184, 224, 248]),
        [102, 102, 102],
        102 * (1 - 0.375) + 0.375 * np.array([180, 93, 17]),
    ]
    np.testing.assert_allclose(signed[0], expected, atol=0.51)


@pytest.mark.parametrize("signed", [False, True])
def test_a_map_that_says_nothing_leaves_the_photo_as_it_is(signed):
    picture = overlay(COLORS, np.full((4, 4), 3.0), signed=signed)
    np.testing.assert_array_equal(picture, COLORS)


def test_a_batch_is_laid_image_by_image_on_one_scale():
    generator = np.random.default_rng(0)
    images = generator.uniform(0, 255, (3, 6, 5, 3))
    images[1] /= 255  # dark, and not one of floats in 0..1
    maps = generator.normal(size=(3, 2, 2))
    found = overlay(images, maps)
    expected = [
        overlay(image, one, data_range=(0, 255))
        for image, one in zip(images, maps, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)
    grey = overlay(images[..., :1], maps)
    assert grey.shape == (3, 6, 5, 3) and grey[1].max() < 255


def test_colour_maps_of_matplotlib_go_by_their_names():
    matplotlib = pytest.importorskip("matplotlib")
    heatmap = [[0.0, 1.0, 2.0]]
    for name in ("jet", "turbo", "magma"):
        found = overlay(np.zeros((1, 3)), heatmap, 1, name)
        expected = matplotlib.colormaps[name]([0.0, 0.5, 1.0])[:, :3]
        np.testing.assert_array_equal(found[0], np.round(255 * expected))


def test_a_colour_map_that_is_misspelled_is_told_what_is_near():
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="'viridi'. Did you mean viridis"):
        overlay(GRAY, GRAY, colormap="viridi")


def test_without_matplotlib_its_colour_maps_are_told_how_to_come_by(
    monkeypatch,
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"Received: colormap='jet'.*plots"):
        overlay(GRAY, GRAY, colormap="jet")


def test_the_golden_picture():
    # Multiples of 1/8, at which both colour maps are tabulated.
    heatmap = np.array([[0.0, 0.25, 0.5], [0.75, 1.0, 0.125]])
    picture = overlay(np.full((2, 3), 0.5), heatmap, alpha=1)
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
    heatmap = np.array([[0.0, 0.1], [0.3, 0.9]])
    light = lightness(overlay(image, heatmap, alpha=1))
    np.testing.assert_array_equal(np.argsort(light.ravel()), [0, 1, 2, 3])
    assert overlay(image, heatmap).shape == (2, 2, 3)


def test_strong_evidence_is_bright_whatever_its_sign():
    heatmap = np.array([[-3.0, -1.0, 0.0, 1.0, 3.0]])
    picture = overlay(np.zeros((1, 5)), heatmap, signed=True)[0].astype(int)
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
    heatmap = np.full((4, 4), value)
    picture = overlay(np.zeros((4, 4)), heatmap, alpha=1, signed=signed)
    darkest = [31, 31, 31] if signed else [68, 1, 84]
    assert (picture == darkest).all()


def test_rounding_noise_is_not_blown_up_to_colour():
    heatmap = 0.1 + 1e-9 * np.random.default_rng(0).normal(size=(6, 6))
    assert (overlay(np.zeros((6, 6)), heatmap, alpha=1) == [68, 1, 84]).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e300])
def test_the_scale_of_a_map_does_not_matter(scale):
    heatmap = scale * np.array([[-1.0, 0.0], [0.5, 1.0]])
    for signed in (False, True):
        np.testing.assert_array_equal(
            overlay(GRAY, heatmap, signed=signed),
            overlay(GRAY, heatmap / scale, signed=signed),
        )


def test_a_small_map_grows_with_half_pixel_centres():
    # [0, 1] from 2 to 4 pixels is [0, 0.25, 0.75, 1].
    grown = overlay(np.zeros((1, 4)), [[0.0, 1.0]], alpha=1)
    asked = overlay(np.zeros((1, 4)), [[0.0, 0.25, 0.75, 1.0]], alpha=1)
    np.testing.assert_array_equal(grown, asked)


def test_a_large_map_is_smoothed_when_it_shrinks():
    heatmap = np.zeros((40, 40))
    heatmap[21, 21] = 1  # between the pixels that plain sampling would take
    picture = overlay(np.zeros((8, 8)), heatmap, alpha=1)
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
        ({"colormap": 3}, "colormap=3"),
        ({"colormap": lambda v: v}, r"shape=\(2, 2\)"),
        ({"colormap": lambda v: np.dstack([255 * v] * 3)}, "from 0 to 255"),
        ({"heatmap": np.zeros((1, 2, 2))}, r"heatmap.shape=\(1, 2, 2\). Index"),
        (
            {"image": COLORS, "heatmap": COLORS},
            r"\(2, 2, 3\) and heatmap.shape=\(2, 2, 3\). Index.* reduce",
        ),
        ({"heatmap": np.zeros((2, 2, 3))}, r"heatmap.shape=\(2, 2, 3\)"),
        ({"heatmap": [[0.0, np.nan]]}, "heatmap with 1 of 2 values NaN"),
    ],
)
def test_an_overlay_that_cannot_be_made_is_refused(options, message):
    arguments = {"image": GRAY, "heatmap": GRAY, **options}
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        overlay(**arguments)


def test_a_boolean_is_a_boolean():
    with pytest.raises(ValueError, match="Received: signed=1"):
        overlay(GRAY, GRAY, signed=1)


@pytest.mark.parametrize("signed", [False, True])
def test_rows_at_a_time_are_coloured_as_all_at_once(signed, monkeypatch):
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (37, 23, 4), "uint8")
    heatmap = generator.normal(size=(5, 4))
    whole = overlay(image, heatmap, 0.4, signed=signed)
    calls = []

    def colormap(values):
        calls.append(values.shape)
        return np.stack([values] * 3, axis=-1)

    grey = overlay(image, heatmap, 0.4, colormap, signed)
    assert calls == [(37, 23)]
    monkeypatch.setattr(_arrays, "_PIXELS_AT_A_TIME", 100)
    parts = overlay(image, heatmap, 0.4, signed=signed)
    np.testing.assert_array_equal(parts, whole)
    parts = overlay(image, heatmap, 0.4, colormap, signed)
    np.testing.assert_array_equal(parts, grey)
    assert calls[1:] == [(4, 23)] * 9 + [(1, 23)]


@pytest.mark.slow
def test_36_megapixels_take_at_most_12_bytes_a_pixel_beside_the_result():
    code = """
import resource, sys
import numpy as np
import keras_xmap
overlay = keras_xmap.visualization.overlay
image = np.full((6000, 6000, 3), 90, "uint8")
heatmap = np.random.default_rng(0).random((14, 14))
overlay(image[:600, :600], heatmap)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
overlay(image, heatmap)
print(1024 * (peak() - before) / 36e6 - 3)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert float(done.stdout) < 12, done.stderr
