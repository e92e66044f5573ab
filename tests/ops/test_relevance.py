import keras
import numpy as np
import pytest

from keras_xmap.ops import relevance
from keras_xmap.visualization import grayscale_attention

MAPS = np.array([[[0.0, 0.2, 1.0], [0.5, 0.75, 0.998]]], "float32")


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 2, 3, 1), (1, 1, 2, 3)])
def test_both_by_hand_for_every_place_of_the_channel(shape):
    np.testing.assert_allclose(
        relevance(MAPS.reshape(shape)),
        [[[1, 0.8, 0], [0.5, 0.25, 0.002]]],
        atol=1e-6,
    )
    grey = grayscale_attention(MAPS.reshape(shape))
    assert grey.dtype == "uint8"
    assert grey.tolist() == [[[0, 51, 255], [128, 191, 254]]]


def test_rounding_never_leaves_eight_bits():
    grey = grayscale_attention(np.array([[[1.0000001, -1e-9]]]))
    assert grey.tolist() == [[[255, 0]]]


def test_half_precision_is_taken():
    half = keras.ops.cast(MAPS, "float16")
    assert grayscale_attention(half)[0, 0].tolist() == [0, 51, 255]


@pytest.mark.parametrize("convert", [relevance, grayscale_attention])
def test_several_maps_an_image_are_refused(convert):
    with pytest.raises(ValueError, match=r"noise_mask.shape=\(1, 4, 4, 2\)"):
        convert(np.ones((1, 4, 4, 2)))
