import sys

import numpy as np
import pytest
from skimage import data
from skimage.transform import resize

from keras_xmap.segmentation import boxes
from keras_xmap.segmentation import grabcut


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
    map = np.exp(-((rows - 28) ** 2 + (columns - 36) ** 2) / 150)
    return image.astype("uint8"), mask, map


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize(
    "method, least", [("grabcut", 0.97), ("watershed", 0.7)]
)
def test_the_mask_reaches_as_far_as_the_object(method, least):
    image, mask, map = scene()
    found = grabcut(image, map, method=method)
    assert found.shape == mask.shape and found.dtype == bool
    assert iou(found, mask) > least
    # A threshold of the map does not get there.
    shares = [iou(map > t * map.max(), mask) for t in np.linspace(0, 1, 50)]
    assert max(shares) < iou(found, mask)


@pytest.mark.parametrize("method", ["grabcut", "watershed"])
def test_seeds_are_certain_whatever_the_image_says(method):
    image, _, map = scene()
    found = grabcut(image, map, method=method, regions="all")
    low, high = np.quantile(map, (0.3, 0.95))
    assert found[map > high].all()
    assert not found[map <= low].any()


def test_quantiles_choose_the_seeds():
    image, _, map = scene()
    narrow = grabcut(image, map, (0.98, 0.99), method="watershed")
    low = np.quantile(map, 0.98)
    assert not narrow[map <= low].any()
    assert narrow.sum() <= (map > low).sum()


@pytest.mark.parametrize("method", ["grabcut", "watershed"])
def test_the_largest_region_is_kept_or_all(method):
    image, _, map = scene(noise=4)
    image[50:56, 66:76] = image[20, 40]
    second = np.zeros_like(map)
    second[51:55, 68:74] = 1
    map = map + second
    everything = grabcut(image, map, method=method, regions="all")
    assert len(boxes(everything, regions="all")) >= 2
    largest = grabcut(image, map, method=method)
    assert largest[28, 36] and not largest[53, 70]
    assert len(boxes(largest, regions="all")) == 1


@pytest.mark.parametrize("method", ["grabcut", "watershed"])
def test_maps_that_are_zero_in_most_places_have_seeds(method):
    image, _, map = scene()
    sparse = np.where(map > np.quantile(map, 0.9), map, 0)
    found = grabcut(image, sparse, method=method)
    assert found.any() and not found[sparse == 0].any()
    mostly_one = np.ones_like(map)
    mostly_one[:10] = 0
    found = grabcut(image, mostly_one, method=method)
    assert found.sum() == 50 * 80


def test_a_flat_map_has_no_mask():
    image, mask, _ = scene()
    assert not grabcut(image, np.full(mask.shape, 2.0)).any()


def test_a_small_map_is_brought_to_the_photo():
    image, mask, map = scene()
    small = resize(map, (15, 20), anti_aliasing=True)
    assert iou(grabcut(image, small), mask) > 0.95


def test_images_of_every_kind_give_one_mask():
    image, _, map = scene()
    expected = grabcut(image, map)
    np.testing.assert_array_equal(grabcut(image.astype(float), map), expected)
    gray = image[..., 0]
    first = grabcut(gray, map)
    np.testing.assert_array_equal(first, grabcut(gray[..., None], map))
    assert first[28, 40]


def test_the_same_arguments_give_the_same_mask_whatever_was_drawn_before():
    import cv2

    image, _, map = scene(noise=40)
    cv2.setRNGSeed(123)
    first = grabcut(image, map)
    cv2.setRNGSeed(456)
    np.testing.assert_array_equal(grabcut(image, map), first)


def test_the_image_and_the_map_are_left_as_they_were():
    image, _, map = scene()
    before = image.copy(), map.copy()
    grabcut(image, map)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(map, before[1])


def test_several_images_come_as_an_array_or_a_list():
    image, _, map = scene()
    images, maps = np.stack([image, image[::-1]]), np.stack([map, map[::-1]])
    masks = grabcut(images, maps, method="watershed")
    assert masks.shape == (2, 60, 80)
    np.testing.assert_array_equal(
        masks[0], grabcut(image, map, method="watershed")
    )
    masks = grabcut([image, image[:50]], [map, map[:50]], method="watershed")
    assert [mask.shape for mask in masks] == [(60, 80), (50, 80)]


def test_a_photograph():
    """The cup of the photo, from evidence on its middle alone."""
    image = resize(data.coffee(), (100, 150), anti_aliasing=True) * 255
    rows, columns = np.mgrid[:100, :150]
    map = np.exp(-((rows - 45) ** 2 + (columns - 75) ** 2) / 800)
    x0, y0, x1, y1 = boxes(grabcut(image, map))[0]
    assert 20 < x0 < 60 and 95 < x1 < 140
    assert y0 < 25 and y1 > 55


def test_without_opencv_the_error_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    image, _, map = scene()
    with pytest.raises(
        ImportError, match=r"install keras-xmap\[segmentation\]"
    ):
        grabcut(image, map)
    assert grabcut(image, map, method="watershed").any()


IMAGE, _, MAP = scene()
BAD = {
    "colours of 0 to 1": (IMAGE / 255, MAP, {}, r"Pass 255 \* image"),
    "a batch of maps": (IMAGE, MAP[None], {}, r"map.shape=\(1, 60, 80\)"),
    "NaN": (IMAGE, MAP * np.nan, {}, "Received: map with NaN"),
    "one quantile": (IMAGE, MAP, {"quantiles": 0.3}, "quantiles=0.3"),
    "no order": (IMAGE, MAP, {"quantiles": (0.9, 0.1)}, r"=\(0.9, 0.1\)"),
    "a method": (IMAGE, MAP, {"method": "cut"}, "Received: method='cut'"),
    "regions": (IMAGE, MAP, {"regions": "any"}, "Received: regions='any'"),
    "steps": (IMAGE, MAP, {"num_iterations": 0}, "num_iterations=0"),
    "one pixel": (IMAGE[:2, :2], MAP[:2, :2], {}, "one side has"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused(case):
    image, map, options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        grabcut(image, map, **options)
