import keras
import numpy as np
import pytest

from keras_xmap import layers

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(2, 32, 24, 3)).astype("float32")
MASK = np.zeros((2, 32, 24), "bool")
MASK[0, 4:20, 2:9] = True
MASK[1, 30:, :] = True
COLOR = [0.1, 0.2, 0.3]


def erased(layer, images=IMAGES, mask=MASK, **kwargs):
    return np.asarray(layer([images, mask], **kwargs))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "kwargs, color",
    [
        ({"fill": "mean", "mean": COLOR}, COLOR),
        ({"fill": "mean", "mean": np.array(COLOR)}, COLOR),
        ({"fill": "mean", "mean": 0.5}, [0.5] * 3),
        ({"fill": "zero"}, [0.0] * 3),
        ({"fill": -2}, [-2.0] * 3),
        ({"fill": (1, 2, 3)}, [1.0, 2.0, 3.0]),
    ],
)
def test_what_is_erased_is_the_colour_and_the_rest_the_image(
    kwargs, color, training
):
    layer = layers.EraseRegions(**kwargs)
    y = erased(layer, training=training)
    assert (y[MASK] == np.float32(color)).all()
    assert (y[~MASK] == IMAGES[~MASK]).all()
    assert (erased(layer, y) == y).all()


@pytest.mark.parametrize("fill", ["mean", "noise", "blur"])
def test_an_empty_mask_erases_nothing_and_a_full_one_all(fill):
    layer = layers.EraseRegions(fill, mean=COLOR, stddev=1.0)
    assert (erased(layer, mask=np.zeros_like(MASK)) == IMAGES).all()
    y = erased(layer, mask=np.ones_like(MASK))
    assert (y != IMAGES).mean() > 0.99


def test_noise_has_the_mean_and_spread_of_each_channel():
    stddev = [0.5, 1.0, 2.0]
    layer = layers.EraseRegions("noise", COLOR, stddev, seed=1)
    images = np.zeros((8, 64, 64, 3), "float32")
    noise = erased(layer, images, np.ones((8, 64, 64)))
    # 32768 draws a channel: four standard errors are 2.2 % and 1.6 %.
    errors = (noise.mean(axis=(0, 1, 2)) - COLOR) / stddev
    assert np.abs(errors).max() < 0.022
    ratio = noise.std(axis=(0, 1, 2)) / stddev
    np.testing.assert_allclose(ratio, 1, atol=0.016)
    assert np.abs(np.corrcoef(noise.reshape((-1, 3)).T)[0, 1:]).max() < 0.03


def test_noise_is_fresh_at_every_call_and_a_seed_repeats_it():
    def make():
        return layers.EraseRegions("noise", 0.0, 1.0, seed=3)

    one, other = make(), make()
    first, second = erased(one), erased(one)
    assert (first[MASK] != second[MASK]).mean() > 0.99
    assert (first[~MASK] == second[~MASK]).all()
    assert (erased(other) == first).all()
    assert (erased(other) == second).all()


def blurred(image, radius):
    """A Gaussian average over the pixels that there are, pixel by pixel."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    result = np.zeros_like(image, "float64")
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            squares = (rows - row) ** 2 + (columns - column) ** 2
            weights = np.exp(-squares / (2 * radius**2))
            weights = weights[..., None] / weights.sum()
            result[row, column] = (weights * image).sum(axis=(0, 1))
    return result


@pytest.mark.parametrize("radius", [0.3, 2.0, 10.0])
def test_blur_is_a_gaussian_average_of_the_image(radius):
    layer = layers.EraseRegions("blur", blur_radius=radius)
    y = erased(layer)
    for image, mask, result in zip(IMAGES, MASK, y, strict=True):
        expected = blurred(image, radius)
        np.testing.assert_allclose(result[mask], expected[mask], atol=1e-5)
        assert (result[~mask] == image[~mask]).all()
    flat = np.full_like(IMAGES, 0.7)
    np.testing.assert_allclose(erased(layer, flat), flat, atol=1e-6)


@pytest.mark.parametrize("fill", ["blur", [1.0, 2.0, 3.0], "mean"])
@pytest.mark.parametrize("shape", [(2, 32, 24), (2, 1, 32, 24)])
def test_channels_first_erases_the_same(fill, shape):
    options = {"mean": COLOR, "blur_radius": 2.0}
    expected = erased(layers.EraseRegions(fill, **options))
    layer = layers.EraseRegions(fill, data_format="channels_first", **options)
    y = erased(layer, np.moveaxis(IMAGES, -1, 1), MASK.reshape(shape))
    np.testing.assert_allclose(np.moveaxis(y, 1, -1), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
def test_masks_of_every_kind_mean_the_same(dtype):
    layer = layers.EraseRegions(0.5)
    mask = 3 * MASK.astype(dtype)[..., None]
    assert (erased(layer, mask=mask.astype(dtype)) == erased(layer)).all()


def test_whole_number_images_become_floats():
    layer = layers.EraseRegions("mean", mean=101.25)
    y = erased(layer, (255 * IMAGES).astype("uint8"))
    assert y.dtype == np.float32 and (y[MASK] == 101.25).all()


def test_what_is_not_erased_is_all_a_gradient_sees():
    inputs = keras.Input((4, 4, 1))
    mask = keras.Input((4, 4))
    x = keras.layers.Conv2D(1, 1, use_bias=False)(inputs)
    x = layers.EraseRegions(5.0)([x, mask])
    model = keras.Model([inputs, mask], keras.layers.Flatten()(x))
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = model.get_weights()[0].copy()
    images = np.ones((2, 4, 4, 1))
    targets = np.zeros((2, 16))
    model.fit([images, np.ones((2, 4, 4))], targets, verbose=0)
    assert (model.get_weights()[0] == before).all()
    half = np.ones((2, 4, 4))
    half[:, :2] = 0
    model.fit([images, half], targets, verbose=0)
    # mean over 16 of (w * 1)^2 on 8 pixels has the slope w.
    np.testing.assert_allclose(model.get_weights()[0], 0.0, atol=1e-6)


def test_the_noise_on_two_replicas_differs(strategy):
    import tensorflow as tf

    with strategy.scope():
        layer = layers.EraseRegions("noise", 0.0, 1.0, seed=0)
    ones = np.ones((2, 32, 24), "float32")
    data = tf.data.Dataset.from_tensor_slices((IMAGES, ones)).batch(2)

    @tf.function
    def on_replicas(batch):
        return strategy.run(lambda batch: layer(list(batch)), args=(batch,))

    for batch in strategy.experimental_distribute_dataset(data):
        one, other = strategy.experimental_local_results(on_replicas(batch))
        assert np.abs(one.numpy() - other.numpy()).mean() > 0.5


@pytest.mark.parametrize(
    "kwargs, received",
    [
        ({}, "Received: mean=None"),
        ({"fill": "noise"}, "Received: mean=None"),
        ({"fill": "noise", "mean": 0}, "Received: stddev=None"),
        ({"fill": "white"}, "Received: fill='white'"),
        ({"fill": []}, r"Received: fill=\[\]"),
        ({"fill": float("nan")}, "Received: fill=nan"),
        ({"fill": True}, "Received: fill=True"),
        ({"fill": 0, "mean": "no"}, "Received: mean='no'"),
        ({"fill": "blur", "blur_radius": 0}, "Received: blur_radius=0"),
        ({"fill": "noise", "mean": 0, "stddev": 1, "seed": 0.5}, "seed=0.5"),
        ({"fill": 0, "data_format": "last"}, "Received: data_format='last'"),
    ],
)
def test_a_wrong_argument_is_named(kwargs, received):
    with pytest.raises(ValueError, match=received):
        layers.EraseRegions(**kwargs)


def test_colours_and_images_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"3 channels. Received: fill=\[1.0"):
        erased(layers.EraseRegions([1, 2]))
    with pytest.raises(ValueError, match=r"3 channels. Received: mean=\[1.0"):
        erased(layers.EraseRegions("mean", [1, 2]))
    with pytest.raises(ValueError, match=r"mask.shape=\(2, 32, 23\)"):
        erased(layers.EraseRegions(0), mask=MASK[:, :, 1:])
    with pytest.raises(ValueError, match="Received: input_shape="):
        layers.EraseRegions(0)(keras.Input((4, 4, 3)))


def test_a_layer_read_from_a_file_draws_on_where_it_stood(tmp_path):
    def make(fill="noise"):
        inputs = [keras.Input(IMAGES.shape[1:]), keras.Input(MASK.shape[1:])]
        layer = layers.EraseRegions(fill, 0.0, 1.0, seed=0)
        return keras.Model(inputs, layer(inputs))

    first = make()
    erased(first)
    first.save_weights(tmp_path / "model.weights.h5")
    following = erased(first)
    second = make()
    second.load_weights(tmp_path / "model.weights.h5")
    assert (erased(second) == following).all()
    assert (erased(make()) != following).any()
