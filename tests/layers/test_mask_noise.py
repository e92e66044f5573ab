import keras
import numpy as np
import pytest

from keras_xmap import layers

IMAGES = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
IMAGES = IMAGES.astype("float32")
ONES = np.ones((2, 32, 32), "float32")


def noise(layer, images=IMAGES, mask=ONES):
    return np.asarray(layer([images, mask], training=True)) - images


def test_images_pass_untouched_outside_training():
    layer = layers.MaskNoise()
    assert (np.asarray(layer([IMAGES, ONES])) == IMAGES).all()
    y = layer([IMAGES, ONES], training=False)
    assert (np.asarray(y) == IMAGES).all()


def test_noise_falls_where_the_mask_is():
    mask = ONES.copy()
    mask[:, :, :16] = 0
    change = noise(layers.MaskNoise(), mask=mask)
    assert (change[:, :, :16] == 0).all()
    assert (change[:, :, 16:] != 0).mean() > 0.99


def test_the_mask_scales_the_noise():
    full = noise(layers.MaskNoise(seed=1))
    half = noise(layers.MaskNoise(seed=1), mask=0.5 * ONES)
    np.testing.assert_allclose(half, 0.5 * full, atol=1e-6)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_stddev_means_the_same_for_both_distributions(distribution):
    x = np.zeros((8, 32, 32, 3), "float32")
    layer = layers.MaskNoise(0.5, distribution, seed=0)
    change = noise(layer, x, np.ones((8, 32, 32), "float32"))
    # 24576 draws: three standard errors are 0.010 and 0.007.
    assert abs(change.mean()) < 0.012
    assert abs(change.std() - 0.5) < 0.008
    if distribution == "uniform":
        reach = np.abs(change).max()
        assert 0.5 * np.sqrt(3) - 0.01 < reach <= 0.5 * np.sqrt(3) + 1e-6


def test_every_step_image_and_channel_draws_anew():
    layer = layers.MaskNoise()
    first, second = noise(layer), noise(layer)
    assert (first != second).mean() > 0.99
    assert (first[0] != first[1]).mean() > 0.99
    assert (first[..., 0] != first[..., 1]).mean() > 0.99


def test_a_seed_repeats_the_draws_step_by_step():
    one, other = layers.MaskNoise(seed=3), layers.MaskNoise(seed=3)
    for _ in range(2):
        assert (noise(one) == noise(other)).all()
    assert (noise(layers.MaskNoise(seed=4)) != noise(one)).any()


def test_whole_number_images_tell_batches_apart():
    # Replicas share their seed and differ in their images only.
    one, other = layers.MaskNoise(seed=3), layers.MaskNoise(seed=3)
    images = np.round(255 * IMAGES)
    images_2 = images.copy()
    images_2[0, 0, 0, 0] += 1
    a = np.asarray(noise(one, images))
    b = np.asarray(noise(other, images_2))
    assert np.abs(a - b).mean() > 0.5


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
@pytest.mark.parametrize("shape", [(2, 32, 32), (2, 32, 32, 1)])
def test_masks_of_every_kind_mean_the_same(shape, dtype):
    mask = np.zeros((2, 32, 32), dtype)
    mask[:, 8:24] = 1
    expected = noise(layers.MaskNoise(seed=1), mask=mask.astype("float32"))
    change = noise(layers.MaskNoise(seed=1), mask=mask.reshape(shape))
    assert (change == expected).all() and expected.any()


@pytest.mark.parametrize("shape", [(2, 32, 32), (2, 1, 32, 32)])
def test_channels_first_masks_the_same_pixels(shape):
    mask = np.zeros((2, 32, 32), "float32")
    mask[:, 8:24] = 1
    images = np.moveaxis(IMAGES, -1, 1)
    layer = layers.MaskNoise(data_format="channels_first")
    change = noise(layer, images, mask.reshape(shape))
    assert (change[:, :, 8:24] != 0).mean() > 0.99
    assert not change[:, :, :8].any() and not change[:, :, 24:].any()


def test_the_noise_on_two_replicas_differs(strategy):
    import tensorflow as tf

    with strategy.scope():
        layer = layers.MaskNoise(seed=0)
    data = tf.data.Dataset.from_tensor_slices((IMAGES, ONES)).batch(2)

    @tf.function
    def on_replicas(batch):
        return strategy.run(
            lambda batch: layer(list(batch), training=True) - batch[0],
            args=(batch,),
        )

    for batch in strategy.experimental_distribute_dataset(data):
        one, other = strategy.experimental_local_results(on_replicas(batch))
        assert np.abs(one.numpy() - other.numpy()).mean() > 0.5


@pytest.mark.parametrize(
    "kwargs, received",
    [
        ({"stddev": -1}, "Received: stddev=-1"),
        ({"distribution": "poisson"}, "Received: distribution='poisson'"),
        ({"data_format": "last"}, "Received: data_format='last'"),
        ({"seed": 0.5}, "Received: seed=0.5"),
    ],
)
def test_a_wrong_argument_is_named(kwargs, received):
    with pytest.raises(ValueError, match=received):
        layers.MaskNoise(**kwargs)


@pytest.mark.parametrize(
    "images, mask, received",
    [
        ((2, 4, 4), (2, 4, 4), r"Received: images.shape=\(2, 4, 4\)"),
        ((2, 4, 4, 3), (4, 4), r"Received: mask.shape=\(4, 4\)"),
        ((2, 4, 4, 3), (2, 4, 4, 3), r"Received: mask.shape=\(2, 4, 4, 3\)"),
        ((2, 4, 4, 3), (3, 4, 4), r"Received: images.shape=\(2, 4, 4, 3\), m"),
        ((2, 4, 4, 3), (2, 4, 5), r"Received: images.shape=\(2, 4, 4, 3\), m"),
    ],
)
def test_a_pair_that_does_not_fit_is_named(images, mask, received):
    pair = [np.zeros(images, "float32"), np.zeros(mask, "float32")]
    with pytest.raises(ValueError, match=received):
        layers.MaskNoise()(pair)
    symbolic = [keras.Input(batch_shape=shape) for shape in (images, mask)]
    with pytest.raises(ValueError, match=received):
        layers.MaskNoise()(symbolic)


def test_images_without_a_mask_are_named():
    with pytest.raises(ValueError, match="Received: input_shape="):
        layers.MaskNoise()(keras.Input((4, 4, 3)))


def test_a_layer_read_from_a_file_draws_on_where_it_stood(tmp_path):
    def model():
        images, mask = keras.Input((32, 32, 3)), keras.Input((32, 32))
        noisy = layers.MaskNoise(seed=3)([images, mask])
        return keras.Model([images, mask], noisy)

    first = model()
    first([IMAGES, ONES], training=True)
    first.save_weights(tmp_path / "model.weights.h5")
    expected = np.asarray(first([IMAGES, ONES], training=True))
    second = model()
    second.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(
        second([IMAGES, ONES], training=True), expected
    )
    assert (
        np.asarray(model()([IMAGES, ONES], training=True)) != expected
    ).any()
