import keras
import numpy as np
import pytest

from keras_xmap.models import attention_network


def test_the_map_starts_as_the_ratio_everywhere():
    images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
    for ratio in (0.5, 0.9):
        network = attention_network((32, 32, 3), ratio)
        maps = keras.ops.convert_to_numpy(network(images))
        np.testing.assert_allclose(maps, np.full((2, 32, 32, 1), ratio), 1e-5)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (7, 9), (100, 25)])
def test_maps_have_the_size_of_the_images(size):
    network = attention_network((*size, 1), filters=4)
    assert network.output_shape == (None, *size, 1)
    maps = network.predict(np.ones((1, *size, 1)), verbose=0)
    assert maps.shape == (1, *size, 1)


def test_channels_first_mirrors_channels_last():
    last = attention_network((20, 26, 3))
    first = attention_network((3, 20, 26), data_format="channels_first")
    assert first.output_shape == (None, 1, 20, 26)
    shapes = [w.shape for w in last.get_weights()]
    assert [w.shape for w in first.get_weights()] == shapes


@pytest.mark.parametrize("shape, depth", [((32, 32, 1), 2), ((8, 90, 1), 0)])
def test_the_shorter_side_decides_the_depth(shape, depth):
    network = attention_network(shape)
    pooling = [
        layer
        for layer in network.layers
        if isinstance(layer, keras.layers.MaxPooling2D)
    ]
    assert len(pooling) == depth


@pytest.mark.slow
def test_a_map_can_follow_a_single_pixel():
    rng = np.random.default_rng(0)
    images = (rng.uniform(size=(64, 16, 16, 1)) < 0.05).astype("float32")
    network = attention_network((16, 16, 1), area_ratio=0.5, filters=8)
    network.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    network.fit(images, images, batch_size=8, epochs=10, verbose=0)
    maps = network.predict(images, verbose=0)
    assert maps[images == 1].min() > 3 * maps[images == 0].max()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="Received: area_ratio=1"):
        attention_network((8, 8, 1), area_ratio=1)
    with pytest.raises(ValueError, match="Received: filters=0"):
        attention_network((8, 8, 1), filters=0)
    with pytest.raises(ValueError, match="Received: depth=-1"):
        attention_network((8, 8, 1), depth=-1)
    for shape in [
        (None, 8, 1),
        (8, 8),
        (8, 8, None),
        8,
        (8, 8.0, 1),
        (0, 8, 1),
    ]:
        with pytest.raises(ValueError, match="Received: input_shape="):
            attention_network(shape)
    with pytest.raises(ValueError, match="Received: data_format='last'"):
        attention_network((8, 8, 1), data_format="last")
