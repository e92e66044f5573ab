import numpy as np
import pytest

from keras_xmap.segmentation import guided_labels

IMAGE = np.full((12, 12, 3), 90, "uint8")


def area(rows, columns, value=1.0):
    """A map of 12 x 12 that is set in one rectangle."""
    found = np.zeros((12, 12))
    found[slice(*rows), slice(*columns)] = value
    return found


LEFT, RIGHT = area((2, 9), (1, 5)), area((2, 9), (7, 11))
CUE = area((4, 6), (2, 4))


def test_rule_1_a_cue_that_leaks_keeps_its_class_or_is_in_doubt():
    cue = area((4, 6), (2, 7))  # two columns beyond the component
    labels = guided_labels(IMAGE, cue[None], LEFT)
    np.testing.assert_array_equal(labels, ((LEFT > 0) | (cue > 0)).astype(int))
    labels = guided_labels(IMAGE, cue[None], LEFT, outside="ignore")
    assert labels[4].tolist() == [0, 1, 1, 1, 1, 255, 255, 0, 0, 0, 0, 0]


def test_rule_1_a_cue_without_a_component_stands_alone():
    cue = area((10, 12), (8, 12))
    labels = guided_labels(IMAGE, np.stack([CUE, cue]), LEFT)
    np.testing.assert_array_equal(labels, LEFT + 2 * cue)


def test_rule_2_a_component_without_a_cue_is_in_doubt():
    labels = guided_labels(IMAGE, CUE[None], LEFT + RIGHT)
    np.testing.assert_array_equal(labels, LEFT + 255 * RIGHT)
    assert labels.dtype == np.uint8


def test_rule_3_a_component_takes_the_class_of_its_cue():
    maps = np.stack([CUE, area((8, 9), (10, 11))])
    labels = guided_labels(IMAGE, maps, LEFT + RIGHT, classes=[19, 4])
    np.testing.assert_array_equal(labels, 20 * LEFT + 5 * RIGHT)


def test_rule_4_two_cues_in_a_component_share_it_at_the_middle():
    maps, saliency = np.zeros((2, 40, 120)), np.zeros((40, 120))
    maps[0, 5:35, :30] = maps[1, 5:35, 90:] = saliency[2:38] = 1
    labels = guided_labels(np.full((40, 120, 3), 90), maps, saliency)
    expected = saliency * np.where(np.arange(120) < 60, 1, 2)
    np.testing.assert_array_equal(labels, expected)


def test_rule_4_cues_in_a_component_share_it_at_an_edge_of_the_image():
    image = IMAGE.copy()
    image[:, 3:] = 200
    maps = np.stack([area((5, 7), (0, 2)), area((5, 7), (10, 12))])
    labels = guided_labels(image, maps, area((2, 10), (0, 12)), classes=[8, 2])
    expected = area((2, 10), (0, 12)) * np.where(np.arange(12) < 3, 9, 3)
    np.testing.assert_array_equal(labels, expected)


def test_rule_4_cues_that_leaked_have_no_say_inside():
    """Nor where they stand in the corner of a component that is no square."""
    saliency = area((0, 6), (0, 12)) + area((6, 12), (0, 2))
    maps = np.stack([area((2, 4), (0, 2)), area((2, 4), (10, 12))])
    alone = guided_labels(IMAGE, maps, saliency)
    leak = area((7, 12), (3, 12))
    leaked = maps + np.stack([np.zeros((12, 12)), leak])
    labels = guided_labels(IMAGE, leaked, saliency)
    np.testing.assert_array_equal(labels, alone + (2 * leak).astype("uint8"))


def test_rule_5_nothing_but_doubt_where_there_is_no_class():
    labels = guided_labels(IMAGE, np.zeros((0, 12, 12)), LEFT)
    np.testing.assert_array_equal(labels, 255 * LEFT)
    labels = guided_labels(IMAGE, np.zeros((2, 12, 12)), LEFT)
    np.testing.assert_array_equal(labels, 255 * LEFT)


def test_small_components_are_background():
    """Of 144 pixels, 1 % is 1.44: a component needs two."""
    saliency = LEFT + area((11, 12), (11, 12))
    labels = guided_labels(IMAGE, CUE[None], saliency)
    np.testing.assert_array_equal(labels, LEFT)
    labels = guided_labels(IMAGE, CUE[None], saliency, min_area=0)
    assert labels[11, 11] == 255
    assert guided_labels(IMAGE, CUE[None], LEFT, min_area=0.5).sum() == 4


def test_components_are_8_connected():
    saliency = np.eye(12)
    labels = guided_labels(IMAGE, area((0, 1), (0, 1))[None], saliency)
    np.testing.assert_array_equal(labels, np.eye(12))


def test_the_order_of_the_classes_changes_nothing():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (12, 12, 3)).astype("uint8")
    maps, saliency = rng.uniform(size=(3, 12, 12)), rng.uniform(size=(12, 12))
    options = {"threshold": 0.8, "saliency_threshold": 0.4}
    labels = guided_labels(image, maps, saliency, [5, 1, 9], **options)
    assert set(np.unique(labels)) >= {0, 2, 6, 10}
    again = guided_labels(image, maps[::-1], saliency, [9, 1, 5], **options)
    np.testing.assert_array_equal(again, labels)


def test_maps_are_compared_by_their_share_of_their_maximum():
    maps = np.stack([CUE * 0.9, CUE * 100])
    maps[0, 8, 8], maps[1, 8, 8] = 1.0, 0  # the first is .9 of its maximum
    labels = guided_labels(IMAGE, maps, LEFT)
    np.testing.assert_array_equal(labels[LEFT > 0], 2)


def test_maps_and_saliency_are_resized_to_the_image():
    image = np.zeros((24, 24), "uint8")
    labels = guided_labels(image, CUE[None], LEFT > 0)
    expected = (LEFT > 0).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(labels, expected)


def test_several_images_come_as_they_are():
    maps = np.stack([CUE[None], RIGHT[None]])
    saliency = np.stack([LEFT, RIGHT])
    batch = guided_labels(np.stack([IMAGE] * 2), maps, saliency)
    np.testing.assert_array_equal(batch, saliency)
    listed = guided_labels(
        [IMAGE, IMAGE[:, :, 0]], list(maps), list(saliency), [[3], [0]]
    )
    assert isinstance(listed, list)
    np.testing.assert_array_equal(listed[0], 4 * LEFT)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"threshold": "x"}, "Received: threshold='x'"),
        ({"saliency_threshold": 1.0}, "Received: saliency_threshold=1.0"),
        ({"min_area": 2}, "Received: min_area=2"),
        ({"outside": "keep"}, "Received: outside='keep'"),
        ({"parameters": "voc"}, "Received: parameters='voc'"),
        ({"classes": [[0]]}, r"Received: classes=\[\[0\]\]"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        guided_labels(IMAGE, CUE[None], LEFT, **options)


@pytest.mark.parametrize(
    "images, maps, saliency, message",
    [
        (IMAGE / 255.0, CUE[None], LEFT, "Pass 255"),
        (IMAGE, CUE, LEFT, r"Received: maps.shape=\(12, 12\)"),
        (
            IMAGE,
            CUE[None],
            LEFT[None],
            r"Received: saliency.shape=\(1, 12, 12\)",
        ),
        ([IMAGE], [CUE[None]] * 2, [LEFT] * 2, r"len\(images\)=1"),
    ],
)
def test_arrays_that_do_not_fit_are_named(images, maps, saliency, message):
    with pytest.raises(ValueError, match=message):
        guided_labels(images, maps, saliency)
