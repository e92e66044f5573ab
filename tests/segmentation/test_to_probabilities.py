import numpy as np
import pytest

from keras_xmap.segmentation import to_probabilities

MAPS = np.array([[[0.0, 2.0, 8.0, -3.0]], [[0.0, 0.3, 0.0, 0.15]]])


def test_values_by_hand():
    p = to_probabilities(MAPS, 0.25)
    expected = [[[1, 0.25 / 1.5, 0.2, 0.25 / 0.75]]]
    expected += [[[0, 0.25 / 1.5, 0.8, 0]], [[0, 1 / 1.5, 0, 0.5 / 0.75]]]
    assert p.shape == (3, 1, 4) and p.dtype == np.float32
    np.testing.assert_allclose(p, expected, rtol=1e-6)


def test_the_background_ends_at_its_share_of_the_highest_value():
    maps = np.array([[[1.0, 9.9, 10.1, 50.0]]])
    labels = to_probabilities(maps, 0.2).argmax(0)
    assert labels.tolist() == [[0, 0, 1, 1]]


def test_a_map_without_evidence_is_nowhere():
    p = to_probabilities(np.stack([np.zeros((2, 3)), -np.ones((2, 3))]))
    assert (p[0] == 1).all() and (p[1:] == 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_a_map_does_not_matter(scale):
    scaled = MAPS * np.array([scale, 1])[:, None, None]
    np.testing.assert_allclose(
        to_probabilities(scaled), to_probabilities(MAPS), rtol=1e-5
    )


def test_several_images_come_as_they_are():
    p = to_probabilities(MAPS)
    batch = to_probabilities(np.stack([MAPS, MAPS[::-1]]))
    assert batch.shape == (2, 3, 1, 4)
    np.testing.assert_array_equal(batch[1], p[[0, 2, 1]])
    ragged = to_probabilities([MAPS, MAPS[:1]])
    assert [part.shape for part in ragged] == [(3, 1, 4), (2, 1, 4)]
    assert to_probabilities(batch[:0]).shape == (0, 4, 1, 4)


BAD = [
    (MAPS, {"background_threshold": 0}, "Received: background_threshold=0"),
    (MAPS[0], {}, r"Received: maps.shape=\(1, 4\)"),
    (MAPS * np.nan, {}, "Received: maps with values from nan"),
    (np.where(MAPS > 1, np.inf, MAPS), {}, "Received: maps with values from"),
]


@pytest.mark.parametrize("maps, options, message", BAD)
def test_what_does_not_fit_is_refused(maps, options, message):
    with pytest.raises(ValueError, match=message):
        to_probabilities(maps, **options)
