import numpy as np
import pytest

from keras_xmap.segmentation import background_cue

HEATMAP = np.arange(100.0).reshape(10, 10)


def test_the_lowest_tenth_is_background():
    background = background_cue(HEATMAP)
    assert np.flatnonzero(background).tolist() == list(range(10))
    assert background.dtype == bool
    assert background_cue(HEATMAP, 0.25).sum() == 25
    assert background_cue(HEATMAP, 1.0).all()
    assert not background_cue(HEATMAP, 0).any()


def test_a_single_pixel_does_not_count():
    heatmap = HEATMAP.copy()
    heatmap[5, 5] = -100
    np.testing.assert_array_equal(
        background_cue(heatmap), background_cue(HEATMAP)
    )


def test_all_of_the_lowest_value_are_background():
    heatmap = np.maximum(HEATMAP - 60, 0)
    assert background_cue(heatmap)[:6].all()
    assert not background_cue(heatmap)[7:].any()


def test_a_flat_map_says_nothing():
    assert not background_cue(np.ones((4, 5))).any()


def test_several_maps_come_as_they_are():
    maps = background_cue(np.stack([HEATMAP, HEATMAP[::-1]]))
    assert maps.shape == (2, 10, 10)
    np.testing.assert_array_equal(maps[1], maps[0][::-1])
    assert isinstance(background_cue([HEATMAP, HEATMAP[:3]]), list)
    assert background_cue(np.zeros((0, 3, 4))).shape == (0, 3, 4)


@pytest.mark.parametrize(
    "maps, share, message",
    [
        (HEATMAP, 1.5, "Received: share=1.5"),
        (HEATMAP[0], 0.1, r"Received: map.shape=\(10,\)"),
        (HEATMAP * np.nan, 0.1, "NaN"),
    ],
)
def test_what_is_no_map_or_no_share_is_named(maps, share, message):
    with pytest.raises(ValueError, match=message):
        background_cue(maps, share)
