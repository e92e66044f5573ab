import keras
import numpy as np
import pytest
from backend_gradients import gradient

from keras_xmap import layers

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(2, 10, 13, 3)).astype("float32")
MASK = np.zeros((2, 10, 13), "float32")
MASK[0, 3, 4] = MASK[1, 9, 12] = MASK[1, 0, :6] = 1.0
# Squares of four: which of them the mask touches, cut to the image.
TOUCHED = np.zeros((2, 12, 16, 1))
TOUCHED[0, :4, 4:8] = TOUCHED[1, 8:, 12:] = TOUCHED[1, :4, :8] = 1.0
TOUCHED = TOUCHED[:, :10, :13]


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def pair(kernel_size=3, **options):
    """A layer, and the dense one of the same weights."""
    options = {"data_format": "channels_last", "block_size": 4, **options}
    layer = layers.BlockSparseConv2D(4, kernel_size, **options)
    dense = keras.layers.Conv2D(
        4, kernel_size, padding="same", data_format="channels_last"
    )
    dense.build(FEATURES.shape)
    layer.build([FEATURES.shape, MASK.shape])
    weights = [RNG.normal(size=w.shape) for w in dense.weights]
    layer.set_weights(weights)
    dense.set_weights(weights)
    return layer, dense


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("capacity", [None, 5])
def test_touched_squares_are_exact_and_all_others_0(kernel_size, capacity):
    layer, dense = pair(kernel_size, capacity=capacity)
    y = numpy(layer([FEATURES, MASK]))
    expected = numpy(dense(FEATURES)) * TOUCHED
    np.testing.assert_allclose(y, expected, atol=1e-4)
    assert (y[TOUCHED[..., 0] == 0] == 0).all()


def test_a_mask_of_nothing_gives_0_and_one_of_all_the_dense_layer():
    layer, dense = pair()
    assert (numpy(layer([FEATURES, 0 * MASK])) == 0).all()
    y = numpy(layer([FEATURES, np.ones((2, 10, 13, 1), bool)]))
    np.testing.assert_allclose(y, numpy(dense(FEATURES)), atol=1e-4)


def test_gradients_are_those_of_the_dense_layer_there():
    layer, dense = pair()
    upstream = RNG.normal(size=(2, 10, 13, 4)).astype("float32")
    found = gradient(lambda x: layer([x, MASK]), FEATURES, upstream)
    touched = keras.ops.convert_to_tensor(TOUCHED.astype("float32"))
    expected = gradient(lambda x: dense(x) * touched, FEATURES, upstream)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_channels_first_is_channels_last_transposed():
    layer, _ = pair()
    first = layers.BlockSparseConv2D(
        4, block_size=4, data_format="channels_first"
    )
    features = np.moveaxis(FEATURES, -1, 1)
    first.build([features.shape, MASK.shape])
    first.set_weights(layer.get_weights())
    y = np.moveaxis(numpy(first([features, MASK[:, None]])), 1, -1)
    expected = numpy(layer([FEATURES, MASK]))
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="nothing is compiled there"
)
@pytest.mark.parametrize("order", [1, -1])
def test_too_few_squares_are_nan_where_functions_are_compiled(order):
    layer, dense = pair(capacity=2)  # the images want 1 and 3
    inputs = [keras.Input(x.shape[1:]) for x in (FEATURES, MASK)]
    model = keras.Model(inputs, layer(inputs))
    model.compile(jit_compile=keras.backend.backend() == "jax")
    y = model.predict([FEATURES[::order], MASK[::order]], verbose=0)[::order]
    expected = numpy(dense(FEATURES)) * TOUCHED
    np.testing.assert_allclose(y[0], expected[0], atol=1e-4)
    assert np.isnan(y[1]).all()


def test_mistakes_are_told():
    layer, _ = pair(capacity=1)
    with pytest.raises(ValueError, match="Received: capacity=1 .* 3"):
        layer([FEATURES, MASK])
    with pytest.raises(ValueError, match="Received: block_size=0"):
        layers.BlockSparseConv2D(4, block_size=0)
    with pytest.raises(ValueError, match="Received: features.shape"):
        layers.BlockSparseConv2D(4, data_format="channels_last")(
            [FEATURES, MASK[:, 1:]]
        )
