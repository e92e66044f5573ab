import numpy as np
import pytest

from keras_xmap.datasets import context_scenes

NUM_CLASSES = 6


@pytest.fixture(scope="module")
def scenes():
    return context_scenes(900, seed=0)


def test_the_arrays_are_as_documented(scenes):
    images, labels, masks, fields = scenes
    assert images.shape == (900, 32, 32, 1) and images.dtype == "float32"
    assert labels.shape == (900,) and labels.dtype == "int32"
    assert masks.shape == (900, 32, 32) and masks.dtype == bool
    assert fields.shape == (900, 32, 32) and fields.dtype == "int32"
    assert images.min() >= 0 and images.max() <= 1
    assert np.bincount(labels).tolist() == [150] * NUM_CLASSES
    assert np.unique(fields).tolist() == list(range(NUM_CLASSES))


def test_a_region_lies_in_the_field_of_its_class_and_in_no_other(scenes):
    area = scenes.masks.sum(axis=(1, 2))
    assert area.min() > 4 and area.max() < 80
    classes = np.repeat(scenes.labels, area)
    np.testing.assert_array_equal(scenes.fields[scenes.masks], classes)


def test_each_of_the_four_fields_of_a_scene_is_asked_about_as_often(scenes):
    present = [np.unique(fields) for fields in scenes.fields]
    assert {len(classes) for classes in present} == {4}
    which = [
        list(p).index(k) for p, k in zip(present, scenes.labels, strict=True)
    ]
    # 225 expected; the deviation of a count is 13.
    assert np.abs(np.bincount(which) - 225).max() < 52


def direction(images, masks):
    """Which class the stripes have that a mask shows of an image.

    Of the structure tensor, the mean of products of slopes, over pixels
    whose neighbours the mask shows too.
    """
    images, whole = images[..., 0], masks[:, 1:-1, 1:-1].copy()
    for axis, shift in ((1, 1), (1, -1), (2, 1), (2, -1)):
        whole &= np.roll(masks, shift, axis)[:, 1:-1, 1:-1]
    y = (images[:, 2:, 1:-1] - images[:, :-2, 1:-1]) * whole
    x = (images[:, 1:-1, 2:] - images[:, 1:-1, :-2]) * whole
    double = np.arctan2((2 * x * y).sum((1, 2)), (x**2 - y**2).sum((1, 2)))
    turns = np.round(double / 2 / np.pi * NUM_CLASSES)
    return turns.astype(int) % NUM_CLASSES


def test_stripes_tell_the_class_and_a_blackened_scene_does_not(scenes):
    images, labels, masks, fields = scenes
    about = (fields == labels[:, None, None]) & ~masks
    surroundings = np.mean(direction(images, about) == labels)
    assert surroundings > 0.95
    region = np.mean(direction(images, masks) == labels)
    # 1 / 6 expected, of deviation .0124.
    assert abs(region - 1 / NUM_CLASSES) < 0.05
    anything = np.ones_like(masks)
    assert np.mean(direction(images, anything) == labels) < 0.4


def test_neither_pixels_nor_sizes_nor_places_of_a_region_tell_its_class(scenes):
    images, labels, masks, _ = scenes
    area = masks.sum(axis=(1, 2))
    pixels = images[..., 0] * masks
    mean = pixels.sum(axis=(1, 2)) / area
    spread = ((pixels - 0.5) ** 2 * masks).sum(axis=(1, 2)) / area
    rows, columns = np.mgrid[:32, :32]
    places = [(masks * at).sum(axis=(1, 2)) / area for at in (rows, columns)]
    for values in (mean, spread, area, *places):
        of_class = [values[labels == k].mean() for k in range(NUM_CLASSES)]
        # Of means of 150 each; the largest of 30 deviations is about 3.
        error = values.std() / np.sqrt(150)
        assert np.abs(of_class - values.mean()).max() < 4 * error


def test_discs_and_fields_have_the_same_brightness(scenes):
    inside = scenes.images[..., 0][scenes.masks]
    outside = scenes.images[..., 0][~scenes.masks]
    assert abs(inside.mean() - 0.5) < 0.005 > abs(outside.mean() - 0.5)
    assert abs(inside.std() - 0.15) < 0.005 > abs(outside.std() - 0.15)


def test_a_seed_repeats_the_scenes_and_none_does_not():
    first, again = (context_scenes(5, 24, 4, seed=3) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (context_scenes(5, 24, 4).images != first.images).any()
    assert repr(first).startswith("ContextScenes(images=<float32 (5, 24, 24")


@pytest.mark.parametrize("size, num_classes", [(24, 4), (65, 12)])
def test_sizes_and_numbers_of_classes_are_those_asked_for(size, num_classes):
    images, labels, masks, fields = context_scenes(40, size, num_classes, 0)
    assert images.shape == (40, size, size, 1)
    assert set(labels) == set(range(num_classes)) == set(np.unique(fields))
    shown = [fields[i][masks[i]] for i in range(40)]
    assert all((s == k).all() for s, k in zip(shown, labels, strict=True))


@pytest.mark.parametrize(
    "arguments, received",
    [
        ({"num_scenes": 0}, "Received: num_scenes=0"),
        ({"num_scenes": 2, "size": 23}, "Received: size=23"),
        ({"num_scenes": 2, "num_classes": 3}, "Received: num_classes=3"),
        ({"num_scenes": 2, "num_classes": 13}, "Received: num_classes=13"),
        ({"num_scenes": 2, "seed": -1}, "Received: seed=-1"),
    ],
)
def test_wrong_arguments_are_named(arguments, received):
    with pytest.raises(ValueError, match=received):
        context_scenes(**arguments)
