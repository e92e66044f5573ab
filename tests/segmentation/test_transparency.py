"""Pictures with an alpha channel, as PNG files have one."""

import keras
import numpy as np
import pytest

import keras_xmap
from keras_xmap import segmentation

ROWS, COLUMNS = np.mgrid[:20, :30]
HEATMAP = np.exp(-((ROWS - 8.0) ** 2 + (COLUMNS - 14.0) ** 2) / 30)
MAPS = np.stack([1 - 0.8 * HEATMAP, 0.2 + 0.8 * HEATMAP])


def photo(channels):
    image = np.random.default_rng(0).integers(0, 40, (20, 30, channels))
    image[5:12, 8:22] += 150
    return image.astype("uint8")


def with_alpha(image, alpha=255):
    alpha = np.broadcast_to(np.asarray(alpha, "uint8"), image.shape[:2])
    return np.concatenate([image, alpha[..., None]], axis=-1)


def cut(image):
    return segmentation.grabcut(image, HEATMAP, method="watershed")


def refined(image):
    return segmentation.refine_with_crf(image, MAPS, num_iterations=2)


every_function = pytest.mark.parametrize("function", [cut, refined])


@every_function
@pytest.mark.parametrize("channels", [1, 3])
def test_an_opaque_alpha_has_no_effect(function, channels):
    image = photo(channels)
    found = function(with_alpha(image))
    np.testing.assert_array_equal(found, function(image))
    assert 0 < found.mean() < 1


@every_function
@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_picture_is_refused_and_the_remedy_works(
    function, channels
):
    visible = np.where(COLUMNS < 25, 255, 100)
    image = with_alpha(photo(channels), visible)
    with pytest.raises(ValueError, match="values of alpha from 100 to 255"):
        function(image)
    alpha = image[..., -1:] / 255
    image = alpha * image[..., :-1] + (1 - alpha) * 255
    np.testing.assert_array_equal(image[:, :25], photo(channels)[:, :25])
    assert 0 < function(image).mean() < 1


def test_pictures_of_a_batch_may_have_an_opaque_alpha():
    image = photo(3)
    maps = np.stack([MAPS] * 2)
    batch = segmentation.refine_with_crf(
        np.stack([with_alpha(image)] * 2), maps, num_iterations=2
    )
    np.testing.assert_array_equal(batch[1], refined(image))
    mixed = segmentation.refine_with_crf(
        [with_alpha(image), image], [MAPS] * 2, num_iterations=2
    )
    np.testing.assert_array_equal(mixed[0], mixed[1])


def test_colours_of_0_to_1_are_told_so_with_an_alpha_too():
    image = with_alpha(photo(3)) / 255.0
    with pytest.raises(ValueError, match=r"Pass 255 \* image"):
        cut(image)
    np.testing.assert_array_equal(cut(255 * image), cut(photo(3)))


def test_to_the_layer_an_opaque_alpha_is_a_channel_without_edges():
    crf = keras_xmap.layers.DenseCRF(
        num_iterations=2, from_logits=False, data_format="channels_last"
    )
    scores = np.moveaxis(MAPS, 0, -1)[None].astype("float32")
    outputs = [
        keras.ops.convert_to_numpy(crf([image[None], scores]))
        for image in (photo(3), with_alpha(photo(3)))
    ]
    np.testing.assert_allclose(*outputs, atol=1e-4)
