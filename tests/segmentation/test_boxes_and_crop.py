import numpy as np
import pytest

from keras_xmap.metrics import MaxBoxAccuracy
from keras_xmap.segmentation import boxes
from keras_xmap.segmentation import crop


def scene():
    map = np.zeros((10, 12))
    map[1:5, 2:5] = 0.5  # 12 pixels
    map[2, 3] = 1.0
    map[7:9, 8:12] = 0.3  # 8 pixels
    map[6, 7] = 0.3  # touches by a corner
    return map


def test_ends_belong_to_the_box():
    assert boxes(scene()).tolist() == [[2, 1, 4, 4]]
    assert boxes(scene(), 0.6).tolist() == [[3, 2, 3, 2]]


def test_all_regions_come_the_largest_first():
    found = boxes(scene(), regions="all")
    assert found.tolist() == [[2, 1, 4, 4], [7, 6, 11, 8]]
    turned = boxes(scene()[::-1, ::-1], regions="all")
    assert turned.tolist() == [[7, 5, 9, 8], [0, 1, 4, 3]]


def test_the_threshold_is_a_share_of_the_range_and_strict():
    map = np.array([[-2.0, 0.0, 3.0, 8.0]])
    assert boxes(map, 0.2).tolist() == [[2, 0, 3, 0]]
    assert boxes(map, 0.19).tolist() == [[1, 0, 3, 0]]
    assert boxes(map, 0).tolist() == [[1, 0, 3, 0]]
    assert boxes(1e-9 * map - 5, 0.19).tolist() == [[1, 0, 3, 0]]


def test_a_mask_has_one_box_at_any_threshold():
    mask = scene() > 0.4
    for threshold in (0, 0.2, 0.99):
        assert boxes(mask, threshold).tolist() == [[2, 1, 4, 4]]


@pytest.mark.parametrize("value", [0, 3.0, -1])
def test_a_flat_map_has_no_box(value):
    for regions in ("largest", "all"):
        assert boxes(np.full((4, 5), value), 0, regions).shape == (0, 4)


def test_several_maps_have_a_list_of_boxes():
    maps = np.stack([scene(), scene()[::-1], np.zeros((10, 12))])
    found = boxes(maps)
    assert [row.tolist() for row in found] == [
        [[2, 1, 4, 4]],
        [[2, 5, 4, 8]],
        [],
    ]
    assert boxes([scene(), scene()[:3]])[1].tolist() == [[2, 1, 4, 2]]


def test_the_metric_measures_these_boxes():
    rng = np.random.default_rng(0)
    for _ in range(5):
        map = rng.random((9, 11)) ** 2
        map = map + np.roll(map, 1, 0) + np.roll(map, 1, 1)
        metric = MaxBoxAccuracy(iou=0.999, num_thresholds=10)
        metric.update_state(boxes(map, 0.4), map[None])
        assert metric.accuracies[4] == 1


IMAGE = np.arange(10 * 12 * 3).reshape(10, 12, 3).astype("uint8")


def test_a_crop_is_the_box():
    part = crop(IMAGE, scene())
    np.testing.assert_array_equal(part, IMAGE[1:5, 2:5])
    assert part.dtype == np.uint8
    part[:] = 0
    assert IMAGE[2, 3].any()  # a copy
    gray = crop(IMAGE[..., 0], scene(), 0.6)
    np.testing.assert_array_equal(gray, IMAGE[2:3, 3:4, 0])


def test_a_map_of_another_size_covers_what_it_touches():
    image = np.arange(30 * 30).reshape(30, 30)
    map = np.zeros((15, 20))
    map[3:5, 7:9] = 1
    # Rows 6 to 9, and columns 10.5 to 13.5.
    np.testing.assert_array_equal(crop(image, map), image[6:10, 10:14])


def test_the_margin_is_a_share_of_the_longer_side():
    # The box has 4 rows and 3 columns: one pixel on each side, then three.
    part = crop(IMAGE, scene(), margin=0.25)
    np.testing.assert_array_equal(part, IMAGE[0:6, 1:6])
    part = crop(IMAGE, scene(), margin=0.75)
    np.testing.assert_array_equal(part, IMAGE[0:8, 0:8])


def test_a_square_keeps_inside_by_moving():
    map = np.zeros((10, 12))
    map[4, 0:5] = 1
    np.testing.assert_array_equal(
        crop(IMAGE, map, square=True), IMAGE[2:7, 0:5]
    )
    map = np.zeros((10, 12))
    map[9, 0:6] = 1
    np.testing.assert_array_equal(
        crop(IMAGE, map, square=True), IMAGE[4:10, 0:6]
    )
    # Where the image is too low for a square, it is as high as it can be.
    map[9, 0:12] = 1
    np.testing.assert_array_equal(crop(IMAGE, map, square=True), IMAGE)


def test_the_crop_of_a_flat_map_is_the_image():
    np.testing.assert_array_equal(crop(IMAGE, np.ones((5, 5))), IMAGE)


def test_several_images_give_a_list():
    maps = np.stack([scene(), np.zeros((10, 12))])
    parts = crop(np.stack([IMAGE, IMAGE]), maps)
    assert [part.shape for part in parts] == [(4, 3, 3), (10, 12, 3)]
    parts = crop([IMAGE, IMAGE[..., 0]], [scene(), scene()])
    assert [part.shape for part in parts] == [(4, 3, 3), (4, 3)]


BAD = [
    (boxes, (scene(), 1), "Received: threshold=1"),
    (boxes, (scene(), 0.2, "both"), "Received: regions='both'"),
    (boxes, (scene()[0],), r"Received: map.shape=\(12,\)"),
    (boxes, (scene() * np.nan,), "Received: map with NaN"),
    (crop, (IMAGE, scene(), 0.2, -1), "Received: margin=-1"),
    (crop, (IMAGE, scene(), -0.1), "Received: threshold=-0.1"),
    (crop, (IMAGE[0, 0], scene()), r"Received: image.shape=\(3,\)"),
    (crop, ([IMAGE], [scene()] * 2), r"Received: len\(image\)=1, 2"),
]


@pytest.mark.parametrize("function, arguments, message", BAD)
def test_what_does_not_fit_is_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
