"""Which pixels and which classes are mined."""

import numpy as np
import pytest
import tensorflow as tf
from callbacks import blobs

from keras_xmap.distribution import Workers
from keras_xmap.erasing._mining import Mining
from keras_xmap.erasing._round_data import RoundData
from keras_xmap.erasing._run_state import RunState

pytestmark = pytest.mark.tensorflow


class Explainer:
    """Answers with the images' first channel, times the class plus one."""

    def __init__(self):
        self.asked = []

    def explain_batches(self, inputs, target, batch_size):
        self.asked.append(target.tolist())
        maps = np.asarray(inputs)[:, None, :, :, 0]
        yield maps * (target[:, :, None, None] + 1.0)


def mined(labels, targets=None, threshold=0.5):
    images, _, masks = blobs.make_images(4)
    images = images.max(axis=-1, keepdims=True).repeat(2, axis=-1)
    mining, state = Mining(threshold, targets), RunState(None)
    dataset = blobs.make_dataset(images, labels)
    data = RoundData(dataset, 0.0, 0, state, mining.check_labels)
    workers = Workers(tf.distribute.get_strategy())
    state.open({}, workers)
    data.open(workers)
    explainer = Explainer()
    found = mining.mine(data, 1, explainer, workers)
    return found, data.trained.store, explainer.asked, masks


def test_a_single_unit_stands_for_class_1():
    mining = Mining(0.5, None)
    found = mining.present(np.array([1, 0, 2]), 3)
    assert (found == np.eye(3, dtype=bool)[[1, 0, 2]]).all()
    assert mining.present(np.array([1.0, 0.0]), 1).tolist() == [[True], [False]]
    several = np.array([[1.0, 0.0, 0.9], [0.0, 0.0, 0.0]])
    assert (mining.present(several, 3) == (several > 0.5)).all()


def test_classes_may_be_numbers_or_a_value_each():
    found, store, asked, masks = mined([1, 0, 1, 0])
    assert asked == [[[1], [0], [1], [0]]]
    assert found == {
        "num_regions": 4,
        "new_share": 1 / 16,
        "area_share": 1 / 16,
    }
    assert (store.region(2, class_id=1) == masks[2, 0]).all()
    found, store, asked, _ = mined(
        [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.9]]
    )
    # An image with fewer classes repeats one, and its region counts once.
    assert asked == [[[1, 2], [0, 0], [0, 0], [2, 2]]]
    assert found["num_regions"] == 4 and store.image_ids == [0, 1, 3]
    assert found["new_share"] == 3 / 4 / 16
    assert [row[:2] for row in store.regions(0)] == [(1, 1), (2, 1)]
    assert [row[:2] for row in store.regions(1)] == [(0, 1)]


@pytest.mark.parametrize(
    "labels",
    [
        np.array([[1], [0], [1], [0]]),
        np.array([1, 0, 1, 0], "float32"),
        np.array([[1], [0], [1], [0]], "float32"),
        np.array([True, False, True, False]),
        np.array([[True], [False], [True], [False]]),
    ],
    ids=lambda labels: f"{labels.dtype} {labels.shape}",
)
def test_0_and_1_are_classes_in_whatever_form_fit_takes_them(labels):
    found, store, asked, masks = mined(labels)
    assert asked == [[[1], [0], [1], [0]]]
    assert found["num_regions"] == 4
    assert (store.region(2, class_id=1) == masks[2, 0]).all()
    assert (store.region(3, class_id=0) == masks[3, 0]).all()


@pytest.mark.parametrize(
    "labels", [[[0.5], [1.0], [0.0], [0.0]], [-1, 1, -1, 1]], ids=str
)
def test_a_label_that_is_no_class_is_refused_with_what_was_given(labels):
    with pytest.raises(ValueError, match="Received: shape .*`targets`"):
        mined(labels)
    _, _, asked, _ = mined(
        labels, targets=lambda y: np.ravel(y > 0).astype(int)
    )
    assert asked[0][1] == [1]


def test_a_function_may_tell_the_classes():
    _, _, asked, _ = mined([5, 6, 7, 8], targets=lambda labels: labels - 5)
    assert asked == [[[0], [1], [2], [3]]]
    with pytest.raises(ValueError, match=r"shape \(4,\), dtype float"):
        mined([0.5, 1.0, 0.0, 0.0])
