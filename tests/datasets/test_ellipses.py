import time

import keras
import numpy as np
import pytest

from keras_xmap import datasets
from keras_xmap.datasets import ellipses
from keras_xmap.datasets._ellipse_geometry import coverage
from keras_xmap.datasets._ellipse_geometry import intersection
from keras_xmap.datasets._photo_objects import photo_objects

SETS = ("circles", "points", "objects")


@pytest.fixture(scope="module", params=SETS)
def data(request):
    return ellipses(300, request.param, seed=0)


def moments(mask):
    """Centre and inclination of the pixels of a mask, in pixels, radians."""
    rows, columns = np.nonzero(mask)
    x, y = columns + 0.5, rows + 0.5
    (xx, xy), (_, yy) = np.cov(x, y)
    return x.mean(), y.mean(), 0.5 * np.arctan2(2 * xy, xx - yy) % np.pi


def split_in_two(data, number):
    """The mask of an image's two ellipses, one each, by the nearer centre."""
    rows, columns = np.nonzero(data.masks[number])
    centres = data.shapes[number, :, :2]
    distance = np.hypot(
        columns[:, None] + 0.5 - centres[:, 0],
        rows[:, None] + 0.5 - centres[:, 1],
    )
    masks = np.zeros((2, 32, 32), bool)
    masks[np.argmin(distance, axis=1), rows, columns] = True
    return masks


def test_the_arrays_are_as_documented(data):
    assert data.images.shape == (300, 32, 32, 1)
    assert data.images.dtype == data.targets.dtype == "float32"
    assert data.masks.shape == (300, 32, 32) and data.masks.dtype == bool
    assert data.images.min() == 0 and data.images.max() == 1
    assert data.targets.shape == (300, 2)
    assert np.abs(data.targets).max() <= 1


def test_ellipses_take_five_percent_and_are_white(data):
    share = data.masks.mean(axis=(1, 2))
    np.testing.assert_allclose(share.mean(), 0.05, rtol=0.01)
    assert share.min() > 0.04 and share.max() < 0.06
    # A pixel of the mask is covered by more than a half.
    assert data.images[..., 0][data.masks].min() > 0.5
    long, short = data.shapes[..., 2], data.shapes[..., 3]
    area = np.pi * (long * short).sum(axis=1)
    np.testing.assert_allclose(area, 0.05 * 32**2, rtol=1e-5)


def test_no_ellipse_is_cut_by_the_frame(data):
    edge = np.ones((32, 32), bool)
    edge[1:-1, 1:-1] = False
    assert not data.masks[:, edge].any()


def test_the_target_is_the_inclination_of_the_pixels():
    data = ellipses(200, "circles", seed=0)
    measured = np.array([moments(mask) for mask in data.masks])
    np.testing.assert_allclose(measured[:, :2], data.shapes[:, 0, :2], atol=0.4)
    double = 2 * measured[:, 2]
    found = np.stack([np.cos(double), np.sin(double)], axis=1)
    # A pixel's worth of staircase turns a short ellipse by a few degrees.
    assert data.errors(found).mean() < 1.5 and data.errors(found).max() < 10


@pytest.mark.parametrize("clutter", ["points", "objects"])
def test_the_target_is_where_the_axes_of_the_pixels_meet(clutter):
    data = ellipses(200, clutter, seed=0)
    measured = np.ones((200, 2, 5))
    for number in range(200):
        for k, mask in enumerate(split_in_two(data, number)):
            measured[number, k, [0, 1, 4]] = moments(mask)
    found = intersection(measured) / 16 - 1
    assert np.median(data.errors(found)) < 0.5


def test_axes_meet_inside_at_fifteen_degrees_or_more():
    data = ellipses(500, "points", seed=0)
    between = data.shapes[:, 0, 4] - data.shapes[:, 1, 4]
    assert np.abs(np.sin(between)).min() > np.sin(np.deg2rad(14.99))
    meeting = data.decode(data.targets)
    assert meeting.min() >= 0 and meeting.max() <= 32
    np.testing.assert_allclose(meeting, intersection(data.shapes), atol=1e-3)


def test_the_intersection_by_hand():
    along_x, upright, parallel = (
        [1.0, 4.0, 5.0, 2.0, 0.0],
        [7.0, 9.0, 5.0, 2.0, np.pi / 2],
        [1.0, 6.0, 5.0, 2.0, 0.0],
    )
    pairs = np.array([[along_x, upright], [along_x, parallel]])
    np.testing.assert_allclose(intersection(pairs)[0], [7, 4])
    assert not np.isfinite(intersection(pairs)[1]).all()


def test_angles_turn_from_x_to_y_which_points_down():
    data = ellipses(300, "circles", seed=0)
    for shape, mask in zip(data.shapes[:, 0], data.masks, strict=True):
        x, y, long, _, angle = shape
        for end in (0.8, -0.8):
            column = int(x + end * long * np.cos(angle))
            assert mask[int(y + end * long * np.sin(angle)), column]


def test_a_pixel_takes_the_share_that_is_covered():
    # Against 16 x 16 points a pixel.
    shape = np.array([[9.3, 8.1, 6.0, 1.5, 0.4]])
    fine = (np.arange(16 * 16) + 0.5) / 16
    x, y = (axis[None] for axis in np.meshgrid(fine, fine))
    inside = (coverage(shape, x, y, 16.0) > 0.5)[0]
    expected = inside.reshape(16, 16, 16, 16).mean(axis=(1, 3))
    coarse = np.arange(16) + 0.5
    x, y = (axis[None] for axis in np.meshgrid(coarse, coarse))
    cover = coverage(shape, x, y, 1.0)[0]
    np.testing.assert_allclose(cover.sum(), np.pi * 9, rtol=0.02)
    assert np.abs(cover - expected).max() < 0.25
    assert np.abs(cover - expected).mean() < 0.01


@pytest.mark.parametrize("clutter", ["circles", "points"])
def test_clutter_touches_no_ellipse_and_is_counted(clutter):
    data = ellipses(300, clutter, seed=0)
    ink = data.images[..., 0] > 0
    ring = np.zeros_like(data.masks)
    for rows in (-1, 0, 1):
        for columns in (-1, 0, 1):
            ring |= np.roll(data.masks, (rows, columns), axis=(1, 2))
    # Beyond the smooth edge of an ellipse there is a black ring.
    clutter_ink = (data.images[..., 0] * ~ring).sum(axis=(1, 2))
    assert clutter_ink.min() > 0 and ink.mean() < 0.35
    if clutter == "circles":
        low, high = 2 * np.pi * 1.5**2, 5 * np.pi * 3.5**2
    else:
        low, high = 10 * np.pi * 0.4**2, 40 * np.pi * 0.8**2
    assert clutter_ink.min() > 0.7 * low and clutter_ink.max() < 1.1 * high


def test_objects_are_grey_photographs_of_different_kinds():
    data = ellipses(300, "objects", seed=0)
    beside = data.images[..., 0][~data.masks]
    grey = beside[(beside > 0.05) & (beside < 0.5)]
    assert len(grey) > 0.02 * beside.size
    assert len(np.unique(grey.round(2))) > 40


def test_the_splits_share_no_photographed_object():
    train, test = (photo_objects(split, 16) for split in ("train", "test"))
    assert [len(group) for group in train] == [6, 15]
    assert [len(group) for group in test] == [3, 9]
    for one, other in zip(train, test, strict=True):
        one, other = (x.reshape(len(x), -1) for x in (one, other))
        apart = np.abs(one[:, None] - other).mean(axis=-1)
        assert apart.min() > 0.01
    for group in (*train, *test):
        grey, cover = group[..., 0], group[..., 1]
        assert (grey <= cover + 1e-6).all() and (grey >= -1e-6).all()
        assert cover.max() > 0.99
        assert (cover[:, 0] == 0).all() and (cover[:, :, -1] == 0).all()


def test_a_seed_repeats_and_splits_and_seeds_differ():
    again = ellipses(300, "points", seed=0)
    assert (again.images == ellipses(300, "points", seed=0).images).all()
    for other in (
        ellipses(300, "points", seed=1),
        ellipses(300, "points", split="test", seed=0),
    ):
        assert (again.targets != other.targets).any(axis=1).all()


def test_sizes_scale_the_shapes():
    small, large = (
        ellipses(50, "points", seed=0),
        ellipses(50, "points", size=96, seed=0),
    )
    np.testing.assert_allclose(
        large.shapes, small.shapes * [3, 3, 3, 3, 1], rtol=1e-5
    )
    np.testing.assert_array_equal(large.targets, small.targets)
    np.testing.assert_allclose(large.masks.mean(), 0.05, rtol=0.01)
    assert large.images.shape == (50, 96, 96, 1)
    shrunk = large.masks.reshape(50, 32, 3, 32, 3).mean(axis=(2, 4)) > 0.5
    assert (shrunk == small.masks).mean() > 0.99


def test_the_raw_encoding_is_the_angle_in_half_turns():
    double, raw = ellipses(100, seed=0), ellipses(100, encoding="raw", seed=0)
    assert raw.targets.shape == (100, 1)
    np.testing.assert_allclose(
        raw.targets[:, 0] * np.pi, raw.shapes[:, 0, 4], rtol=1e-5
    )
    np.testing.assert_allclose(
        raw.decode(raw.targets), double.decode(double.targets), atol=1e-3
    )


def test_errors_by_hand():
    data = ellipses(1, seed=0)._replace(targets=np.array([[1.0, 0.0]]))

    def degrees(angle):
        double = np.deg2rad(2 * angle)
        return data.errors([[np.cos(double), np.sin(double)]])[0]

    for angle, error in [(0, 0), (10, 10), (90, 90), (175, 5), (181, 1)]:
        assert degrees(angle) == pytest.approx(error, abs=1e-6)
    raw = ellipses(1, encoding="raw", seed=0)._replace(
        targets=np.array([[0.01]])
    )
    assert raw.errors([[0.99]])[0] == pytest.approx(3.6)
    point = ellipses(1, "points", seed=0)._replace(
        targets=np.array([[0.0, 0.0]])
    )
    assert point.errors([[3 / 16, -4 / 16]])[0] == pytest.approx(5)
    np.testing.assert_allclose(point.decode([[-1, 1]]), [[0, 32]])


def test_the_best_constant_answer_is_far_off():
    circles, points = ellipses(1000, seed=0), ellipses(1000, "points", seed=0)
    assert 42 < circles.errors(np.ones((1000, 2))).mean() < 48
    assert 9 < points.errors(np.zeros((1000, 2))).mean() < 12


@pytest.mark.slow
def test_the_numbers_of_images_of_the_source():
    assert len(ellipses(clutter="objects", seed=0).images) == 3000
    assert len(ellipses(clutter="objects", split="test", seed=0).images) == 1000
    assert len(ellipses(split="test", seed=0).images) == 3000


def test_eight_thousand_images_take_seconds():
    start = time.process_time()
    assert len(ellipses(seed=0).images) == 8000
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_images": 0}, "Received: num_images=0"),
        ({"clutter": "stars"}, "Received: clutter='stars'"),
        ({"encoding": "polar"}, "Received: encoding='polar'"),
        ({"size": 8}, "Received: size=8"),
        ({"size": 2.5}, r"Received: size=2\.5"),
        ({"split": "val"}, "Received: split='val'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        datasets.ellipses(**{"num_images": 2, **arguments})


def test_without_a_seed_keras_decides_what_is_drawn():
    keras.utils.set_random_seed(7)
    first, second = ellipses(2), ellipses(2)
    assert (first.images != second.images).any()
    keras.utils.set_random_seed(7)
    assert (ellipses(2).images == first.images).all()
    with pytest.raises(ValueError, match="Received: seed=-1"):
        ellipses(2, seed=-1)


def test_it_prints_shapes_and_no_pixels():
    assert repr(ellipses(3, encoding="raw")) == (
        "Ellipses(images=<float32 (3, 32, 32, 1)>, targets=<float32 (3, 1)>, "
        "masks=<bool (3, 32, 32)>, shapes=<float32 (3, 1, 5)>)"
    )


@pytest.mark.parametrize("encoding", ["double", "raw"])
@pytest.mark.parametrize("clutter", SETS)
def test_mirrored_images_have_the_answers_of_their_masks(clutter, encoding):
    data = ellipses(40, clutter, encoding, seed=0)
    mirrored = data.with_mirrors()
    assert len(mirrored.images) == 8 * 40
    np.testing.assert_array_equal(mirrored.images[:40], data.images)
    np.testing.assert_allclose(mirrored.targets[:40], data.targets, atol=1e-6)
    # Drawn anew from the shapes, all masks are those that were mirrored.
    x, y = (a[None] for a in np.meshgrid(*[np.arange(32) + 0.5] * 2))
    cover = np.max(
        [coverage(s, x, y, 1.0) for s in np.moveaxis(mirrored.shapes, 1, 0)],
        axis=0,
    )
    different = (cover > 0.5) != mirrored.masks
    assert different.mean() < 1e-4
    if data.shapes.shape[1] == 2:
        meeting = intersection(mirrored.shapes.astype("float64"))
        np.testing.assert_allclose(
            mirrored.decode(mirrored.targets), meeting, atol=1e-2
        )
    else:
        angles = np.rad2deg(mirrored.shapes[:, 0, 4])
        off = np.abs(mirrored.decode(mirrored.targets) - angles) % 180
        assert np.minimum(off, 180 - off).max() < 1e-2
