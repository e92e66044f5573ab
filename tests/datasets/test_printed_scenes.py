import sys

import numpy as np
import PIL
import pytest
from datasets.cut_out_digits import nearest_mean
from datasets.cut_out_digits import recognized

from keras_xmap.datasets import printed_scenes

# The function of the same name hides its module.
print_digits = sys.modules["keras_xmap.datasets.printed_scenes"]._print_digits


@pytest.fixture(scope="module")
def train():
    return print_digits("train", 10)


@pytest.fixture(scope="module")
def test():
    return print_digits("test", 10)


@pytest.fixture(scope="module")
def single():
    return printed_scenes(200, size=48, seed=0)


@pytest.fixture(scope="module")
def several():
    return printed_scenes(200, size=48, multi_label=True, seed=0)


def test_prints_are_what_handwritten_digits_are(train):
    prints, classes = train
    assert not (prints.flags.writeable or classes.flags.writeable)  # shared
    assert prints.shape == (1500, 8, 8) and prints.dtype == "float64"
    assert np.bincount(classes).tolist() == [150] * 10
    assert prints.min() == 0
    np.testing.assert_array_equal(prints.max(axis=(1, 2)), 1)
    # Each fills the grid from edge to edge in one direction at least.
    rows, columns = prints.max(axis=2) > 0.1, prints.max(axis=1) > 0.1
    assert (rows.all(axis=1) | columns.all(axis=1)).mean() > 0.95
    # Handwritten ones have .31 of the grid in ink.
    assert 0.25 < prints.mean() < 0.4


def test_prints_are_as_a_drawing_by_hand_expects(train):
    prints, classes = train
    mean = [prints[classes == k].mean(axis=0) for k in range(10)]
    # A zero and an eight are open and closed in the middle; a one is thin, a
    # seven begins with a bar; six and nine are each other upside down.
    assert mean[0][3:5, 3:5].mean() < 0.4 < 0.6 < mean[8][3:5, 3:5].mean()
    ink = [x.mean() for x in mean]
    assert np.argmin(ink) == 1
    assert mean[7][0, 2:6].min() > 0.5 > mean[7][3:, :2].max()
    turned = mean[9][::-1, ::-1]
    assert np.corrcoef(mean[6].ravel(), turned.ravel())[0, 1] > 0.9


def test_no_two_prints_are_alike_in_one_split_or_both(train, test):
    every = [x.tobytes() for x in (*train[0], *test[0])]
    assert len(test[0]) == 500
    assert len(set(every)) == len(every) == 2000


def test_prints_of_one_digit_vary(train):
    prints, classes = train
    for digit in range(10):
        of_digit = prints[classes == digit]
        off = np.sqrt(of_digit.var(axis=0).mean())
        assert 0.08 < off < 0.3


def test_prints_can_be_told_apart_by_their_means(train, test, record_property):
    read = nearest_mean(test[0].reshape(-1, 64), *train)
    share = np.mean(read == test[1])
    record_property("printed digits read by the nearest mean", f"{share:.3f}")
    assert share > 0.95


def test_few_classes_have_the_prints_that_all_have(test):
    prints, classes = print_digits("test", 2)
    np.testing.assert_array_equal(prints, test[0][:100])
    np.testing.assert_array_equal(classes, test[1][:100])


def test_single_label_scenes_have_the_documented_arrays(single):
    images, labels, masks = single
    assert images.shape == (200, 48, 48, 1) and images.dtype == "float32"
    assert labels.shape == (200,) and labels.dtype == "int32"
    assert masks.shape == (200, 48, 48) and masks.dtype == bool
    assert images.min() >= 0 and images.max() <= 1
    assert np.bincount(labels).tolist() == [20] * 10


def test_several_digits_are_of_different_classes_and_do_not_overlap(several):
    assert several.images.shape == (200, 48, 48, 1)
    assert several.labels.dtype == "float32"
    assert several.masks.shape == (200, 48, 48, 10)
    counts = several.labels.sum(axis=1)
    assert set(counts) == {1, 2, 3}
    present = several.masks.any(axis=(1, 2))
    np.testing.assert_array_equal(present, several.labels == 1)
    assert several.masks.sum(axis=-1).max() == 1


def test_masks_are_where_the_ink_is(single):
    share = single.masks.mean(axis=(1, 2))
    assert share.min() > 0.01 and share.max() < 0.1
    # More than half of the ink, of 0.75 of full white or more, is over it.
    ink = single.images[..., 0][single.masks]
    assert ink.min() > 0.374 and ink.mean() > 0.7


def test_masks_and_images_show_the_labelled_digit(single, train):
    for pictures in (single.masks, single.images[..., 0]):
        share = recognized(pictures, single.masks, single.labels, *train)
        assert share > 0.7


def test_each_of_several_masks_shows_the_digit_of_its_class(several, train):
    scene, label = np.nonzero(several.labels)
    masks = several.masks[scene, :, :, label]
    for pictures in (masks, several.images[scene, ..., 0]):
        assert recognized(pictures, masks, label, *train) > 0.7


def test_the_same_seed_gives_the_same_scenes_and_another_seed_others():
    first = printed_scenes(12, size=32, seed=3)
    again = printed_scenes(12, size=32, seed=3)
    other = printed_scenes(12, size=32, seed=4)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.images, other.images)


def test_the_splits_give_different_scenes():
    train = printed_scenes(4, size=32, split="train", seed=0)
    test = printed_scenes(4, size=32, split="test", seed=0)
    assert not np.array_equal(train.masks, test.masks)


@pytest.mark.parametrize("size", [32, 256])
def test_scenes_of_every_size_hold_their_digit_whole(size):
    masks = printed_scenes(20, size=size, seed=0).masks
    assert masks.any(axis=(1, 2)).all()
    border = masks.copy()
    border[:, 1:-1, 1:-1] = False
    assert not border.any()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_scenes", 0),
        ("size", 31),
        ("num_classes", 11),
        ("multi_label", "no"),
        ("split", "validation"),
        ("seed", -1),
    ],
)
def test_an_argument_outside_its_range_is_refused(argument, value):
    arguments = {"num_scenes": 1, argument: value}
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        printed_scenes(**arguments)


def test_nothing_of_scikit_learn_is_needed(monkeypatch):
    for name in ["sklearn", *sys.modules]:
        if name.partition(".")[0] == "sklearn":
            monkeypatch.setitem(sys.modules, name, None)
    assert printed_scenes(1, size=32, seed=0).masks.any()


def test_a_pillow_that_draws_no_fonts_is_told_what_to_install(monkeypatch):
    # Without its extension module, as where Pillow is built without FreeType.
    monkeypatch.setitem(sys.modules, "PIL._imagingft", None)
    monkeypatch.delattr(PIL, "_imagingft", raising=False)
    monkeypatch.delitem(sys.modules, "PIL.ImageFont", raising=False)
    monkeypatch.delattr(PIL, "ImageFont", raising=False)
    print_digits.cache_clear()  # what was printed before needs no font
    with pytest.raises(
        ImportError,
        match="FreeType.* Received: a Pillow that was .* Run: pip install",
    ):
        printed_scenes(1, seed=0)


def test_it_prints_shapes_and_no_pixels():
    assert repr(printed_scenes(2, size=32)) == (
        "PrintedScenes(images=<float32 (2, 32, 32, 1)>, "
        "labels=<int32 (2,)>, masks=<bool (2, 32, 32)>)"
    )
