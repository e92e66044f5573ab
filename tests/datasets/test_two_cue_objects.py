import colorsys

import keras
import numpy as np
import pytest

from keras_xmap.datasets import two_cue_objects

COUNT = 300  # more than are drawn at once


@pytest.fixture(scope="module", params=["both", "head", "body"])
def data(request):
    return request.param, two_cue_objects(COUNT, cues=request.param, seed=0)


def nearest_class(shares, num_classes):
    """Classes of places on a circle of length 1."""
    return np.round(shares * num_classes).astype(int) % num_classes


def classes_of_colours(images, masks, num_classes=4):
    """What the mean colour of some pixels says, and how strong it is."""
    found = np.array(
        [
            colorsys.rgb_to_hsv(*image[mask].mean(axis=0))
            for image, mask in zip(images, masks, strict=True)
        ]
    )
    return nearest_class(found[:, 0], num_classes), found[:, 1]


def classes_of_stripes(images, masks, num_classes=4):
    """The direction in which some pixels vary most at the stripes' period."""
    size = masks.shape[1]
    rows, columns = np.mgrid[:size, :size] * 2 * np.pi / (3 * size / 32)
    found = []
    for image, mask in zip(images.mean(axis=-1), masks, strict=True):
        values = image[mask] - image[mask].mean()
        angles = np.pi * np.arange(num_classes) / num_classes
        strengths = [
            np.abs(values @ np.exp(1j * (columns * c + rows * s)[mask]))
            for c, s in zip(np.cos(angles), np.sin(angles), strict=True)
        ]
        found.append(np.argmax(strengths))
    return np.array(found)


def test_the_arrays_are_as_documented(data):
    _, data = data
    assert data.images.shape == (COUNT, 64, 64, 3)
    assert data.images.dtype == "float32" and data.labels.dtype == "int32"
    assert data.images.min() >= 0 and data.images.max() <= 1
    assert np.bincount(data.labels).tolist() == [75] * 4
    for masks in (data.masks, data.heads, data.bodies):
        assert masks.shape == (COUNT, 64, 64) and masks.dtype == bool


def test_an_object_is_a_small_head_and_a_large_body(data):
    _, data = data
    assert not (data.heads & data.bodies).any()
    np.testing.assert_array_equal(data.masks, data.heads | data.bodies)
    heads, bodies = data.heads.mean((1, 2)), data.bodies.mean((1, 2))
    # Discs of radius 1.9 to 2.4 and ellipses of 5.4 to 6.6 by 3.3 to 4.0, in
    # an image of side 32.
    np.testing.assert_allclose(heads.mean(), np.pi * 2.15**2 / 1024, rtol=0.03)
    assert 0.058 < bodies.mean() < np.pi * 6 * 3.65 / 1024
    assert (bodies / heads).min() > 2.9 and (bodies / heads).max() < 8
    edge = np.ones((64, 64), bool)
    edge[1:-1, 1:-1] = False
    assert not data.masks[:, edge].any()


def test_each_part_alone_tells_the_class_where_it_is_a_cue(data):
    cues, data = data
    of_heads, saturations = classes_of_colours(data.images, data.heads)
    if cues in ("both", "head"):
        np.testing.assert_array_equal(of_heads, data.labels)
        assert saturations.min() > 0.6
    else:
        assert saturations.max() < 0.1
    right = np.mean(classes_of_stripes(data.images, data.bodies) == data.labels)
    if cues in ("both", "body"):
        assert right > 0.98
    else:
        assert right < 0.33  # 0.25, and three deviations more


def test_nothing_else_tells_the_class(data):
    _, data = data
    rest = ~data.masks
    of_colours, _ = classes_of_colours(data.images, rest)
    assert np.mean(of_colours == data.labels) < 0.33
    of_stripes = classes_of_stripes(data.images, rest)
    assert np.mean(of_stripes == data.labels) < 0.33


def test_what_is_drawn_grows_with_the_image():
    small, large = (two_cue_objects(40, size, seed=0) for size in (48, 96))
    np.testing.assert_array_equal(small.labels, large.labels)
    for one, other in zip(small[2:], large[2:], strict=True):
        shares = one.mean((1, 2)), other.mean((1, 2))
        np.testing.assert_allclose(*shares, atol=0.006)
    stripes = classes_of_stripes(large.images, large.bodies)
    np.testing.assert_array_equal(stripes, large.labels)


@pytest.mark.parametrize("num_classes", [2, 6])
def test_as_many_classes_as_asked_for(num_classes):
    data = two_cue_objects(60, num_classes=num_classes, seed=0)
    assert np.bincount(data.labels).tolist() == [60 // num_classes] * (
        num_classes
    )
    of_heads, _ = classes_of_colours(data.images, data.heads, num_classes)
    np.testing.assert_array_equal(of_heads, data.labels)
    stripes = classes_of_stripes(data.images, data.bodies, num_classes)
    assert np.mean(stripes == data.labels) > 0.93


def test_a_seed_repeats_images_and_the_splits_differ():
    one, again = (two_cue_objects(8, 48, seed=3) for _ in range(2))
    for array, other in zip(one, again, strict=True):
        np.testing.assert_array_equal(array, other)
    for other in (
        two_cue_objects(8, 48, seed=4),
        two_cue_objects(8, 48, seed=3, split="test"),
    ):
        distance = np.abs(one.images[:, None] - other.images[None])
        assert distance.mean((2, 3, 4)).min() > 0.02


def test_without_a_seed_the_seed_of_keras_counts():
    images = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        images.append(two_cue_objects(2, 48).images)
    np.testing.assert_array_equal(*images)
    assert (two_cue_objects(2, 48).images != images[0]).any()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_images": 0}, "Received: num_images=0"),
        ({"size": 47}, "Received: size=47"),
        ({"num_classes": 1}, "Received: num_classes=1"),
        ({"num_classes": 7}, "Received: num_classes=7"),
        ({"cues": "none"}, "Received: cues='none'"),
        ({"split": "dev"}, "Received: split='dev'"),
        ({"seed": -1}, "Received: seed=-1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        two_cue_objects(**{"num_images": 2, **arguments})


def test_it_prints_as_shapes_of_arrays():
    data = two_cue_objects(1, 48, seed=0)
    assert "images=<float32 (1, 48, 48, 3)>" in repr(data)
