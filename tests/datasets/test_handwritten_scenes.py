import sys

import numpy as np
import pytest
from datasets.cut_out_digits import recognized

from keras_xmap.datasets import handwritten_scenes

load_digits = pytest.importorskip("sklearn.datasets").load_digits


@pytest.fixture(scope="module")
def single():
    return handwritten_scenes(200, size=48, seed=0)


@pytest.fixture(scope="module")
def several():
    return handwritten_scenes(200, size=48, multi_label=True, seed=0)


def test_single_label_scenes_have_the_documented_arrays(single):
    images, labels, masks = single
    assert images.shape == (200, 48, 48, 1) and images.dtype == "float32"
    assert labels.shape == (200,) and labels.dtype == "int32"
    assert masks.shape == (200, 48, 48) and masks.dtype == bool
    assert images.min() >= 0 and images.max() <= 1
    assert np.bincount(labels).tolist() == [20] * 10


def test_multi_label_scenes_have_the_documented_arrays(several):
    images, labels, masks = several
    assert images.shape == (200, 48, 48, 1) and images.dtype == "float32"
    assert labels.shape == (200, 10) and labels.dtype == "float32"
    assert masks.shape == (200, 48, 48, 10) and masks.dtype == bool
    assert images.min() >= 0 and images.max() <= 1


def test_every_digit_has_a_mask_of_its_strokes(single):
    share = single.masks.mean(axis=(1, 2))
    assert share.min() > 0.015 and share.max() < 0.09
    # The ink is drawn over the ground, at 0.75 of full white or more.
    ink = single.images[..., 0][single.masks]
    assert ink.min() > 0.35 and ink.mean() > 0.7


def test_several_digits_are_of_different_classes_and_do_not_overlap(several):
    counts = several.labels.sum(axis=1)
    assert set(counts) == {1, 2, 3}
    present = several.masks.any(axis=(1, 2))
    np.testing.assert_array_equal(present, several.labels == 1)
    assert several.masks.sum(axis=-1).max() == 1
    area = several.masks.sum(axis=(1, 2))[present]
    assert area.min() > 0.01 * 48 * 48


def recognized_by_mean(pictures, masks, labels):
    digits, classes = load_digits(return_X_y=True)
    return recognized(pictures, masks, labels, digits, classes)


def test_masks_and_images_show_the_labelled_digit(single):
    for pictures in (single.masks, single.images[..., 0]):
        share = recognized_by_mean(pictures, single.masks, single.labels)
        assert share > 0.6


def test_each_of_several_masks_shows_the_digit_of_its_class(several):
    scene, label = np.nonzero(several.labels)
    masks = several.masks[scene, :, :, label]
    for pictures in (masks, several.images[scene, ..., 0]):
        assert recognized_by_mean(pictures, masks, label) > 0.6


def test_neither_the_centre_nor_brightness_gives_the_digit_away(single):
    centre = single.masks[:, 24, 24].mean()
    images = single.images.reshape(200, -1)
    brightest = single.masks.reshape(200, -1)[
        np.arange(200), images.argmax(axis=1)
    ]
    assert centre < 0.3
    assert brightest.mean() < 0.4


def test_the_same_seed_gives_the_same_scenes_and_another_seed_others():
    first = handwritten_scenes(12, size=32, seed=3)
    again = handwritten_scenes(12, size=32, seed=3)
    other = handwritten_scenes(12, size=32, seed=4)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.images, other.images)


def test_the_global_random_state_is_left_alone():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    handwritten_scenes(2, size=32, seed=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_the_splits_are_cut_where_a_form_begins():
    # Every writer filled in the same form, so the labels tell its start.
    start = load_digits().target[1287 : 1287 + 37]
    assert start[:30].tolist() == list(range(10)) * 3
    np.testing.assert_array_equal(start, load_digits().target[:37])


def test_the_splits_share_no_digit():
    module = sys.modules["keras_xmap.datasets.handwritten_scenes"]
    train, _ = module._load_digits("train", 10)
    test, _ = module._load_digits("test", 10)
    assert (len(train), len(test)) == (1287, 510)
    shared = {digit.tobytes() for digit in train} & {
        digit.tobytes() for digit in test
    }
    assert not shared


def test_the_splits_give_different_scenes():
    train = handwritten_scenes(4, size=32, split="train", seed=0)
    test = handwritten_scenes(4, size=32, split="test", seed=0)
    assert not np.array_equal(train.images, test.images)


@pytest.mark.parametrize("num_classes", [1, 2])
def test_few_classes_give_their_digits_only(num_classes):
    single = handwritten_scenes(9, size=32, num_classes=num_classes, seed=0)
    assert set(single.labels) == set(range(num_classes))
    several = handwritten_scenes(
        9, size=32, num_classes=num_classes, multi_label=True, seed=0
    )
    assert several.masks.shape == (9, 32, 32, num_classes)
    assert several.labels.sum(axis=1).max() <= num_classes
    assert several.labels.sum(axis=1).min() == 1


@pytest.mark.parametrize("size", [32, 33, 256])
def test_scenes_of_every_size_hold_their_digit_whole(size):
    masks = handwritten_scenes(20, size=size, seed=0).masks
    assert masks.any(axis=(1, 2)).all()
    border = masks.copy()
    border[:, 1:-1, 1:-1] = False
    assert not border.any()


def test_more_scenes_than_a_chunk_all_have_their_digit():
    scenes = handwritten_scenes(300, size=32, seed=0)
    assert scenes.masks.any(axis=(1, 2)).all()
    assert scenes.images.std(axis=(1, 2, 3)).min() > 0.05


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_scenes", 0),
        ("size", 31),
        ("size", 257),
        ("size", 48.0),
        ("num_classes", 11),
        ("split", "validation"),
    ],
)
def test_an_argument_outside_its_range_is_refused(argument, value):
    arguments = {"num_scenes": 1, argument: value}
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        handwritten_scenes(**arguments)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(
        ImportError, match=r"pip install keras-xmap\[segmentation\]"
    ):
        handwritten_scenes(1, seed=0)


def test_a_boolean_is_a_boolean():
    with pytest.raises(ValueError, match="Received: multi_label='no'"):
        handwritten_scenes(1, multi_label="no")


def test_it_prints_shapes_and_no_pixels():
    assert repr(handwritten_scenes(2, size=32)) == (
        "HandwrittenScenes(images=<float32 (2, 32, 32, 1)>, "
        "labels=<int32 (2,)>, masks=<bool (2, 32, 32)>)"
    )
