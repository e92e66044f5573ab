import numpy as np
import pytest

from keras_xmap.metrics import MaxBoxAccuracy
from keras_xmap.segmentation import boxes
from keras_xmap.segmentation import crop
from keras_xmap.targets import BoxScore


def scene():
    heatmap = np.zeros((10, 12))
    heatmap[1:5, 2:5] = 0.5  # 12 pixels
    heatmap[2, 3] = 1.0
    heatmap[7:9, 8:12] = 0.3  # 8 pixels
    heatmap[6, 7] = 0.3  # touches by a corner
    return heatmap


def test_ends_lie_outside_the_box():
    assert boxes(scene()).tolist() == [[2, 1, 5, 5]]
    assert boxes(scene(), 0.6).tolist() == [[3, 2, 4, 3]]
    x0, y0, x1, y1 = boxes(scene())[0]
    assert (scene()[y0:y1, x0:x1] > 0.2).all()


def test_all_components_come_the_largest_first():
    found = boxes(scene(), components="all")
    assert found.tolist() == [[2, 1, 5, 5], [7, 6, 12, 9]]
    turned = boxes(scene()[::-1, ::-1], components="all")
    assert turned.tolist() == [[7, 5, 10, 9], [0, 1, 5, 4]]


def test_the_threshold_is_a_share_of_the_maximum_and_strict():
    heatmap = np.array([[-2.0, 0.0, 2.0, 8.0]])
    assert boxes(heatmap, 0.25).tolist() == [[3, 0, 4, 1]]
    assert boxes(heatmap, 0.24).tolist() == [[2, 0, 4, 1]]
    # What speaks against a class is never part of its region.
    assert boxes(heatmap, 0).tolist() == [[2, 0, 4, 1]]
    assert boxes(1e-9 * heatmap, 0.24).tolist() == [[2, 0, 4, 1]]


def test_a_mask_has_one_box_at_any_threshold():
    mask = scene() > 0.4
    for threshold in (0, 0.2, 0.99):
        assert boxes(mask, threshold).tolist() == [[2, 1, 5, 5]]
        numbers = mask.astype("float32")
        assert boxes(numbers, threshold).tolist() == [[2, 1, 5, 5]]


@pytest.mark.parametrize("value", [0, 0.0, -1, False])
def test_a_map_without_a_positive_value_has_no_box(value):
    for components in ("largest", "all"):
        assert boxes(np.full((4, 5), value), 0, components).shape == (0, 4)


def test_a_flat_map_above_zero_is_boxed_whole():
    assert boxes(np.full((4, 5), 3.0)).tolist() == [[0, 0, 5, 4]]


def test_several_maps_have_a_list_of_boxes():
    maps = np.stack([scene(), scene()[::-1], np.zeros((10, 12))])
    found = boxes(maps)
    assert [row.tolist() for row in found] == [
        [[2, 1, 5, 5]],
        [[2, 5, 5, 9]],
        [],
    ]
    assert boxes([scene(), scene()[:3]])[1].tolist() == [[2, 1, 5, 3]]


def test_the_metric_measures_these_boxes():
    rng = np.random.default_rng(0)
    for _ in range(5):
        heatmap = rng.random((9, 11)) ** 2
        heatmap = heatmap + np.roll(heatmap, 1, 0) + np.roll(heatmap, 1, 1)
        metric = MaxBoxAccuracy(iou=0.999, num_thresholds=10)
        metric.update_state(boxes(heatmap, 0.7), heatmap[None])
        assert metric.accuracies[7] == 1


def test_a_detector_that_predicts_the_box_of_a_map_is_an_exact_hit():
    """One convention: the overlap of `boxes` with itself is 1, not less."""
    found = boxes(scene(), components="all").astype("float32")
    outputs = {"boxes": found[None]}
    for number, box in enumerate(found):
        target = BoxScore(box, iou_threshold=0.01)
        weights = np.asarray(target.resolve(outputs, target.parts)["weights"])
        assert weights.tolist() == [np.eye(2)[number].tolist()]


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
    heatmap = np.zeros((15, 20))
    heatmap[3:5, 7:9] = 1
    # Rows 6 to 9, and columns 10.5 to 13.5.
    np.testing.assert_array_equal(crop(image, heatmap), image[6:10, 10:14])


def test_the_margin_is_a_share_of_the_longer_side():
    # The box has 4 rows and 3 columns: one pixel on each side, then three.
    part = crop(IMAGE, scene(), margin=0.25)
    np.testing.assert_array_equal(part, IMAGE[0:6, 1:6])
    part = crop(IMAGE, scene(), margin=0.75)
    np.testing.assert_array_equal(part, IMAGE[0:8, 0:8])


def test_a_square_keeps_inside_by_moving():
    heatmap = np.zeros((10, 12))
    heatmap[4, 0:5] = 1
    np.testing.assert_array_equal(
        crop(IMAGE, heatmap, square=True), IMAGE[2:7, 0:5]
    )
    heatmap = np.zeros((10, 12))
    heatmap[9, 0:6] = 1
    np.testing.assert_array_equal(
        crop(IMAGE, heatmap, square=True), IMAGE[4:10, 0:6]
    )
    # Where the image is too low for a square, it is as high as it can be.
    heatmap[9, 0:12] = 1
    np.testing.assert_array_equal(crop(IMAGE, heatmap, square=True), IMAGE)


def test_the_crop_of_a_map_that_points_at_nothing_is_the_image():
    for value in (-1.0, 0.0, 1.0):
        part = crop(IMAGE, np.full((5, 5), value))
        np.testing.assert_array_equal(part, IMAGE)


def test_several_images_give_a_list():
    maps = np.stack([scene(), np.zeros((10, 12))])
    parts = crop(np.stack([IMAGE, IMAGE]), maps)
    assert [part.shape for part in parts] == [(4, 3, 3), (10, 12, 3)]
    parts = crop([IMAGE, IMAGE[..., 0]], [scene(), scene()])
    assert [part.shape for part in parts] == [(4, 3, 3), (4, 3)]


BAD = [
    (boxes, (scene(), 1), "Received: threshold=1"),
    (boxes, (scene(), True), "Received: threshold=True"),
    (boxes, (scene(), 0.2, "both"), "Received: components='both'"),
    (boxes, (scene()[0],), r"Received: map.shape=\(12,\)"),
    (boxes, (scene() * np.nan,), "Received: map with NaN"),
    (crop, (IMAGE, scene(), 0.2, -1), "Received: margin=-1"),
    (crop, (IMAGE, scene(), -0.1), "Received: threshold=-0.1"),
    (crop, (IMAGE[0, 0], scene()), r"Received: image.shape=\(3,\)"),
    (
        crop,
        ([IMAGE], [scene()] * 2),
        r"Received: len\(images\)=1, len\(maps\)=2",
    ),
]


def test_a_boolean_is_a_boolean():
    with pytest.raises(ValueError, match="Received: square='yes'"):
        crop(IMAGE, scene(), square="yes")


@pytest.mark.parametrize("function, arguments, message", BAD)
def test_what_does_not_fit_is_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
