import numpy as np
import pytest

from keras_xmap.ops import box_iou


@pytest.mark.parametrize(
    "one, other, expected",
    [
        ((0, 0, 4, 4), (2, 2, 6, 6), 4 / 28),
        ((0, 0, 4, 4), (0, 0, 4, 4), 1),
        ((0, 0, 1, 1), (0, 0, 2, 1), 1 / 2),
        ((0, 0, 4, 4), (4, 0, 6, 4), 0),
        ((0, 0, 10, 2), (2, 0, 4, 10), 4 / 36),
        ((-3, -3, 1, 1), (0, 0, 4, 4), 1 / 31),
    ],
)
def test_values_by_hand_in_both_orders(one, other, expected):
    boxes = np.array(one), np.array(other)
    assert float(box_iou(*boxes)) == pytest.approx(expected)
    assert float(box_iou(*boxes[::-1])) == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_a_box_is_its_own_exact_hit_however_small(scale):
    box = np.array([0.1, 0.2, 0.4, 0.9]) * scale
    assert float(box_iou(box, box)) == 1.0


def test_a_box_without_extent_overlaps_with_nothing():
    empty = np.array([2, 2, 2, 5])
    assert float(box_iou(empty, empty)) == 0
    assert float(box_iou(empty, np.array([0, 0, 9, 9]))) == 0
    turned = np.array([5, 5, 2, 2])
    assert float(box_iou(turned, np.array([0, 0, 9, 9]))) == 0


def test_boxes_pair_as_arrays_broadcast():
    boxes = np.array([[0, 0, 4, 2], [2, 0, 4, 2], [0, 0, 1, 1]])
    table = np.asarray(box_iou(boxes[:, None], boxes))
    expected = [[1, 0.5, 1 / 8], [0.5, 1, 0], [1 / 8, 0, 1]]
    np.testing.assert_allclose(table, expected, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(box_iou(boxes, boxes)), [1, 1, 1])
    assert tuple(box_iou(boxes[:0], boxes[0]).shape) == (0,)


def test_what_is_no_box_is_refused():
    with pytest.raises(ValueError, match=r"Received: boxes2.shape=\(3,\)"):
        box_iou(np.zeros(4), np.zeros(3))
    with pytest.raises(ValueError, match=r"Received: boxes1.shape=\(\)"):
        box_iou(np.zeros(()), np.zeros(4))
