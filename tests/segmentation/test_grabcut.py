import sys

import numpy as np
import pytest
from skimage import data
from skimage.transform import resize

from keras_xmap.segmentation import boxes
from keras_xmap.segmentation import grabcut

pytest.importorskip("cv2")


def scene(noise=12, size=(60, 80)):
    """An object of two colours, its mask, and evidence on a part of it."""
    rng = np.random.default_rng(0)
    image = np.full((*size, 3), (60, 90, 60))
    image[15:45, 20:60] = (200, 120, 40)
    image[15:45, 20:30] = (220, 220, 60)
    image = np.clip(image + rng.normal(0, noise, image.shape), 0, 255)
    mask = np.zeros(size, bool)
    mask[15:45, 20:60] = True
    rows, columns = np.mgrid[: size[0], : size[1]]
    heatmap = np.exp(-((rows - 28) ** 2 + (columns - 36) ** 2) / 150)
    return image.astype("uint8"), mask, heatmap


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize(
    "method, least", [("grabcut", 0.97), ("watershed", 0.7)]
)
def test_the_mask_reaches_as_far_as_the_object(method, least):
    image, mask, heatmap = scene()
    found = grabcut(image, heatmap, method=method)
    assert found.shape == mask.shape and found.dtype == bool
    assert iou(found, mask) > least
    # A threshold of the map does not get there.
    shares = [
        iou(heatmap > t * heatmap.max(), mask) for t in np.linspace(0, 1, 50)
    ]
    assert max(shares) < iou(found, mask)


@pytest.mark.parametrize("method", ["grabcut", "watershed"])
def test_seeds_are_certain_whatever_the_image_says(method):
    image, _, heatmap = scene()
    found = grabcut(image, heatmap, method=method, components="all")
    low, high = np.quantile(heatmap, (0.3, 0.95))
    assert found[heatmap > high].all()
    assert not found[heatmap <= low].any()


def test_quantiles_choose_the_seeds():
    image, _, heatmap = scene()
    narrow = grabcut(image, heatmap, (0.98, 0.99), method="watershed")
    low = np.quantile(heatmap, 0.98)
    assert not narrow[heatmap <= low].any()
    assert narrow.sum() <= (heatmap > low).sum()


@pytest.mark.parametrize("method", ["grabcut", "watershed"])
def test_the_largest_component_is_kept_or_all(method):
    image, _, heatmap = scene(noise=4)
    image[50:56, 66:76] = image[20, 40]
    second = np.zeros_like(heatmap)
    second[51:55, 68:74] = 1
    heatmap = heatmap + second
    everything = grabcut(image, heatmap, method=method, components="all")
    assert len(boxes(everything, components="all")) >= 2
    largest = grabcut(image, heatmap, method=method)
    assert largest[28, 36] and not largest[53, 70]
    assert len(boxes(largest, components="all")) == 1


@pytest.mark.parametrize("method", ["grabcut", "watershed"])
def test_maps_that_are_zero_in_most_places_have_seeds(method):
    image, _, heatmap = scene()
    sparse = np.where(heatmap > np.quantile(heatmap, 0.9), heatmap, 0)
    found = grabcut(image, sparse, method=method)
    assert found.any() and not found[sparse == 0].any()
    mostly_one = np.ones_like(heatmap)
    mostly_one[:10] = 0
    found = grabcut(image, mostly_one, method=method)
    assert found.sum() == 50 * 80


def test_a_flat_map_has_no_mask():
    image, mask, _ = scene()
    assert not grabcut(image, np.full(mask.shape, 2.0)).any()


def test_a_small_map_is_brought_to_the_photo():
    image, mask, heatmap = scene()
    small = resize(heatmap, (15, 20), anti_aliasing=True)
    assert iou(grabcut(image, small), mask) > 0.95


def test_images_of_every_kind_give_one_mask():
    image, _, heatmap = scene()
    expected = grabcut(image, heatmap)
    np.testing.assert_array_equal(
        grabcut(image.astype(float), heatmap), expected
    )
    gray = image[..., 0]
    first = grabcut(gray, heatmap)
    np.testing.assert_array_equal(first, grabcut(gray[..., None], heatmap))
    assert first[28, 40]


def test_the_same_arguments_give_the_same_mask_whatever_was_drawn_before():
    import cv2

    image, _, heatmap = scene(noise=40)
    cv2.setRNGSeed(123)
    first = grabcut(image, heatmap)
    cv2.setRNGSeed(456)
    np.testing.assert_array_equal(grabcut(image, heatmap), first)


def test_the_image_and_the_map_are_left_as_they_were():
    image, _, heatmap = scene()
    before = image.copy(), heatmap.copy()
    grabcut(image, heatmap)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(heatmap, before[1])


def test_several_images_come_as_an_array_or_a_list():
    image, _, heatmap = scene()
    images, maps = (
        np.stack([image, image[::-1]]),
        np.stack([heatmap, heatmap[::-1]]),
    )
    masks = grabcut(images, maps, method="watershed")
    assert masks.shape == (2, 60, 80)
    np.testing.assert_array_equal(
        masks[0], grabcut(image, heatmap, method="watershed")
    )
    masks = grabcut(
        [image, image[:50]], [heatmap, heatmap[:50]], method="watershed"
    )
    assert [mask.shape for mask in masks] == [(60, 80), (50, 80)]


def test_a_photograph():
    """The cup of the photo, from evidence on its middle alone."""
    image = resize(data.coffee(), (100, 150), anti_aliasing=True) * 255
    rows, columns = np.mgrid[:100, :150]
    heatmap = np.exp(-((rows - 45) ** 2 + (columns - 75) ** 2) / 800)
    x0, y0, x1, y1 = boxes(grabcut(image, heatmap))[0]
    assert 20 < x0 < 60 and 95 < x1 < 140
    assert y0 < 25 and y1 > 55


def test_without_opencv_the_error_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    image, _, heatmap = scene()
    with pytest.raises(
        ImportError, match=r"install keras-xmap\[segmentation\]"
    ):
        grabcut(image, heatmap)
    assert grabcut(image, heatmap, method="watershed").any()


IMAGE, _, MAP = scene()
BAD = {
    "colours of 0 to 1": (IMAGE / 255, MAP, {}, r"Pass 255 \* image"),
    "a batch of maps": (IMAGE, MAP[None], {}, r"map.shape=\(1, 60, 80\)"),
    "NaN": (IMAGE, MAP * np.nan, {}, "Received: map with NaN"),
    "one quantile": (IMAGE, MAP, {"quantiles": 0.3}, "quantiles=0.3"),
    "no order": (IMAGE, MAP, {"quantiles": (0.9, 0.1)}, r"=\(0.9, 0.1\)"),
    "a method": (IMAGE, MAP, {"method": "cut"}, "Received: method='cut'"),
    "components": (IMAGE, MAP, {"components": "any"}, "components='any'"),
    "steps": (IMAGE, MAP, {"num_iterations": 0}, "num_iterations=0"),
    "one pixel": (IMAGE[:2, :2], MAP[:2, :2], {}, "one side has"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused(case):
    image, heatmap, options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        grabcut(image, heatmap, **options)
