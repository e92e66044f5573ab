import numpy as np
import pytest

from keras_xmap.regions import RegionStore
from keras_xmap.segmentation import pseudo_labels

# Two classes that overlap in the second column; the second is the larger.
MAPS = np.array([[[10.0, 4.0, 1.0, 0.0, 0.0]], [[-3.0, 5.0, 4.9, 1.1, 0.0]]])
SALIENCY = np.array([[1.0, 1.0, 0.05, 0.5, 0.06]])


def test_each_kind_of_pixel_by_hand():
    labels = pseudo_labels(MAPS, SALIENCY)
    # The class, the smaller class, class and background, and nothing salient.
    assert labels.tolist() == [[1, 1, 255, 2, 0]]
    assert labels.dtype == np.uint8


@pytest.mark.parametrize(
    "overlap, label", [("smallest", 1), ("highest", 2), ("ignore", 255)]
)
def test_a_pixel_of_two_classes_follows_the_rule(overlap, label):
    labels = pseudo_labels(MAPS, SALIENCY, overlap=overlap)
    assert labels.tolist() == [[1, label, 255, 2, 0]]


@pytest.mark.parametrize(
    "rule, label", [("ignore", 255), ("class", 2), ("background", 0)]
)
def test_a_pixel_of_a_class_and_of_the_background_follows_the_rule(rule, label):
    labels = pseudo_labels(MAPS, SALIENCY, with_background=rule)
    assert labels.tolist() == [[1, 1, label, 2, 0]]


@pytest.mark.parametrize("rule, label", [("ignore", 255), ("background", 0)])
def test_a_pixel_of_neither_follows_the_rule(rule, label):
    labels = pseudo_labels(MAPS, np.ones((1, 5)), unclaimed=rule)
    assert labels.tolist() == [[1, 1, 2, 2, label]]


def test_two_rules_at_one_pixel():
    """In doubt between classes, yet background by the cue."""
    saliency = np.array([[1.0, 0.0, 1.0, 1.0, 1.0]])
    options = {"overlap": "ignore", "with_background": "background"}
    labels = pseudo_labels(MAPS, saliency, **options)
    assert labels.tolist() == [[1, 0, 2, 2, 255]]
    options["with_background"] = "class"
    labels = pseudo_labels(MAPS, saliency, **options)
    assert labels.tolist() == [[1, 255, 2, 2, 255]]


def test_without_a_cue_all_else_may_be_background():
    labels = pseudo_labels(MAPS, unclaimed="background")
    assert labels.tolist() == [[1, 1, 2, 2, 0]]
    with pytest.raises(ValueError, match="Received: saliency=None, unclaimed="):
        pseudo_labels(MAPS)


def test_labels_are_those_of_the_classes():
    labels = pseudo_labels(MAPS, SALIENCY, classes=[19, 3])
    assert labels.tolist() == [[20, 20, 255, 4, 0]]


def test_the_order_of_the_classes_changes_nothing():
    labels = pseudo_labels(MAPS[::-1], SALIENCY, classes=[1, 0])
    np.testing.assert_array_equal(labels, pseudo_labels(MAPS, SALIENCY))


def test_of_equal_regions_the_first_class_wins():
    maps = np.ones((3, 2, 2), bool)
    assert (pseudo_labels(maps, unclaimed="background") == 1).all()


def test_thresholds_are_shares_of_the_maximum():
    labels = pseudo_labels(1e-300 * MAPS, 1e200 * SALIENCY, threshold=0.39)
    assert labels.tolist() == [[1, 1, 255, 255, 0]]
    labels = pseudo_labels(MAPS, SALIENCY, saliency_threshold=0.04)
    assert labels.tolist() == [[1, 1, 2, 2, 255]]


def test_regions_and_masks_are_taken_as_they_are():
    labels = pseudo_labels(MAPS > 1, SALIENCY > 0.06)
    assert labels.tolist() == [[1, 1, 255, 2, 0]]


def test_a_map_without_evidence_claims_nothing():
    maps = np.stack([MAPS[0], np.full((1, 5), -1.0)])
    labels = pseudo_labels(maps, SALIENCY)
    assert labels.tolist() == [[1, 1, 0, 255, 0]]
    assert pseudo_labels(MAPS[:0], SALIENCY).tolist() == [[255, 255, 0, 255, 0]]
    for overlap in ("highest", "ignore"):
        labels = pseudo_labels(MAPS[:0], SALIENCY, overlap=overlap)
        assert labels.tolist() == [[255, 255, 0, 255, 0]]


def test_maps_are_resized_to_the_cue_or_to_a_size():
    saliency = np.zeros((6, 10))
    saliency[:, :5] = 1
    maps = np.array([[[1.0, 0.0]]])
    labels = pseudo_labels(maps, saliency, threshold=0.5)
    assert labels.shape == (6, 10)
    assert labels[0].tolist() == [1] * 5 + [0] * 5
    labels = pseudo_labels(
        maps, unclaimed="background", threshold=0.5, size=(2, 4)
    )
    assert labels.tolist() == [[1, 1, 0, 0]] * 2
    labels = pseudo_labels(maps > 0, saliency[:, ::2] > 0, size=(3, 4))
    assert labels.tolist() == [[1, 1, 0, 0]] * 3


def test_several_images_come_as_they_are():
    one = pseudo_labels(MAPS, SALIENCY)
    batch = pseudo_labels(np.stack([MAPS] * 2), np.stack([SALIENCY] * 2))
    assert batch.shape == (2, 1, 5) and batch.dtype == np.uint8
    np.testing.assert_array_equal(batch[1], one)
    listed = pseudo_labels(
        [MAPS, MAPS[:1]], [SALIENCY, SALIENCY], classes=[[0, 1], [7]]
    )
    assert isinstance(listed, list)
    np.testing.assert_array_equal(listed[0], one)
    assert listed[1].tolist() == [[8, 8, 0, 255, 0]]


def test_regions_come_from_a_store():
    store = RegionStore()
    store.add(["a"], [5], 1, np.array([[[1, 1, 0, 0, 0]]], bool))
    store.add(["a"], [2], 2, np.array([[[0, 0, 1, 1, 0]]], bool))
    classes = sorted({row[0] for row in store.regions("a")})
    regions = np.stack([store.region("a", c) for c in classes])
    labels = pseudo_labels(regions, SALIENCY, classes)
    assert labels.tolist() == [[6, 6, 255, 3, 0]]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"threshold": 1}, "Received: threshold=1"),
        ({"saliency_threshold": -0.1}, "Received: saliency_threshold=-0.1"),
        ({"overlap": "largest"}, "Received: overlap='largest'"),
        ({"with_background": "object"}, "Received: with_background='object'"),
        ({"unclaimed": "class"}, "Received: unclaimed='class'"),
        ({"size": (0, 3)}, "Received: size=0"),
        ({"classes": [1]}, r"Received: classes=\[1\], for 2 maps"),
        ({"classes": [1, 1]}, r"Received: classes=\[1, 1\]"),
        ({"classes": [254, 1]}, r"Received: classes=\[254, 1\]"),
        ({"classes": [0.5, 1]}, r"Received: classes=\[0.5, 1\]"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        pseudo_labels(MAPS, SALIENCY, **options)


@pytest.mark.parametrize(
    "maps, saliency, message",
    [
        (MAPS[0], SALIENCY, r"Received: maps.shape=\(1, 5\)"),
        (np.where(MAPS == 10, np.nan, MAPS), SALIENCY, "NaN or infinite"),
        (MAPS, SALIENCY[0], r"Received: saliency.shape=\(5,\)"),
        ([MAPS], [SALIENCY] * 2, r"len\(maps\)=1, len\(saliency\)=2"),
    ],
)
def test_arrays_that_do_not_fit_are_named(maps, saliency, message):
    with pytest.raises(ValueError, match=message):
        pseudo_labels(maps, saliency)
