import keras
import numpy as np
import pytest

from keras_xmap import layers

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(6, 20, 14, 3)).astype("float32")
COLOR = [2.0, 3.0, 4.0]


def hide(layer, images=IMAGES):
    return np.asarray(layer(images, training=True))


def hidden(layer, num_images=6, size=(20, 14)):
    """Where images of ones are hidden, `(batch, height, width)`."""
    return hide(layer, np.ones((num_images, *size, 1)))[..., 0] == 0


def test_images_pass_untouched_outside_training():
    layer = layers.HideAndSeek(4, rate=1.0, fill=0.0)
    assert (np.asarray(layer(IMAGES)) == IMAGES).all()
    assert (np.asarray(layer(IMAGES, training=False)) == IMAGES).all()


@pytest.mark.parametrize("patch_sizes", [1, 5, 100, (2, 3), (0, 16, 32)])
def test_a_pixel_is_the_image_or_the_fill_exactly(patch_sizes):
    y = hide(layers.HideAndSeek(patch_sizes, fill=COLOR, seed=0))
    is_fill = (y == np.float32(COLOR)).all(axis=-1)
    assert (is_fill | (y == IMAGES).all(axis=-1)).all()
    assert 0 < is_fill.mean() < 1


def test_the_limits_of_the_rate():
    nothing = layers.HideAndSeek((3, 5), rate=0.0, fill=COLOR)
    assert (hide(nothing) == IMAGES).all()
    everything = layers.HideAndSeek((3, 5), rate=1.0, fill=COLOR)
    assert (hide(everything) == np.float32(COLOR)).all()
    size_0 = layers.HideAndSeek(0, rate=1.0, fill=COLOR)
    assert (hide(size_0) == IMAGES).all()


def test_patches_are_whole_and_cut_off_at_the_far_borders_only():
    layer = layers.HideAndSeek(6, fill=0.0, seed=1)
    masks = hidden(layer, 200)
    grid = masks[:, ::6, ::6]
    assert grid.shape == (200, 4, 3)  # 20 = 3 * 6 + 2, 14 = 2 * 6 + 2
    whole = np.repeat(np.repeat(grid, 6, axis=1), 6, axis=2)[:, :20, :14]
    assert (masks == whole).all()
    # Each of the 12 patches for itself: 200 draws, four standard errors.
    assert np.abs(grid.mean(axis=0) - 0.5).max() < 4 * 0.5 / np.sqrt(200)
    patches = grid.reshape((200, 12)).astype("float64")
    correlations = np.corrcoef(patches.T) - np.eye(12)
    assert np.abs(correlations).max() < 4 / np.sqrt(200)


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_the_share_hidden_is_the_rate(rate):
    # 5 x 4 patches of 4 an image, of equal area but for the last column.
    share = hidden(layers.HideAndSeek(4, rate, fill=0.0, seed=0), 10000)
    error = np.sqrt(rate * (1 - rate) / 20 / 10000)
    assert abs(share[:, :, :12].mean() - rate) < 5 * error
    assert abs(share.mean() - rate) < 5 * error


def test_each_image_takes_one_size_of_the_set():
    layer = layers.HideAndSeek((0, 3, 4, 7), fill=0.0, seed=0)
    masks = hidden(layer, 2000, (28, 28))

    def fits(mask, size):
        grid = mask[::size, ::size]
        whole = np.repeat(np.repeat(grid, size, axis=0), size, axis=1)
        return (whole[:28, :28] == mask).all()

    sizes = [
        tuple(s for s in (3, 4, 7) if fits(mask, s)) if mask.any() else (0,)
        for mask in masks
    ]
    assert set(sizes) == {(0,), (3,), (4,), (7,)}
    for size in set(sizes):
        share = sizes.count(size) / 2000
        assert abs(share - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 2000)


def test_the_expectation_of_a_window_is_exact_under_its_formula():
    # E[w . x'] = (1 - p) w . x + p w . fill, by all 2^4 patterns of hiding.
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(8, 8, 3))
    w = rng.normal(size=(8, 8, 3))
    fill, p = np.array(COLOR), 0.3
    expected = (1 - p) * (w * x).sum() + p * (w * fill).sum()
    total, weights = 0.0, 0.0
    for pattern in range(16):
        grid = np.array([pattern >> i & 1 for i in range(4)]).reshape((2, 2))
        mask = np.repeat(np.repeat(grid, 4, axis=0), 4, axis=1)[..., None]
        chance = p ** grid.sum() * (1 - p) ** (4 - grid.sum())
        total += chance * (w * np.where(mask, fill, x)).sum()
        weights += chance
    assert weights == pytest.approx(1)
    assert total == pytest.approx(expected, rel=1e-12)
    # And so on the average over draws of the layer.
    layer = layers.HideAndSeek(4, p, fill=COLOR, seed=0)
    y = hide(layer, np.broadcast_to(x, (20000, 8, 8, 3)).astype("float32"))
    scores = (w * y).sum(axis=(1, 2, 3))
    error = scores.std() / np.sqrt(20000)
    assert abs(scores.mean() - expected) < 4 * error
    assert abs((w * x).sum() - expected) > 20 * error


def test_the_mean_as_fill_keeps_the_expectation_and_zero_does_not():
    # The mean image is the fill at every position: training is unbiased.
    rng = np.random.default_rng(2)
    images = rng.normal(0.5, 0.1, size=(5000, 8, 8, 1)).astype("float32")
    mean = float(images.mean())
    for fill, expected in ((mean, mean), (0.0, 0.5 * mean)):
        y = hide(layers.HideAndSeek(4, fill=fill, seed=0), images)
        assert y.mean() == pytest.approx(expected, rel=0.02)


def test_every_image_and_step_draws_anew_and_a_seed_repeats():
    one, other = (layers.HideAndSeek(2, fill=0.0, seed=3) for _ in range(2))
    first, second = hidden(one), hidden(one)
    assert 0.3 < (first != second).mean() < 0.7
    assert 0.3 < (first[0] != first[1]).mean() < 0.7
    assert (hidden(other) == first).all() and (hidden(other) == second).all()
    assert (hidden(layers.HideAndSeek(2, fill=0.0, seed=4)) != first).any()


def test_all_channels_are_hidden_together_in_both_formats():
    last = layers.HideAndSeek((2, 5), fill=COLOR, seed=1)
    first = layers.HideAndSeek(
        (2, 5), fill=COLOR, seed=1, data_format="channels_first"
    )
    y = hide(first, np.moveaxis(IMAGES, -1, 1))
    assert (np.moveaxis(y, 1, -1) == hide(last)).all()


def test_two_replicas_hide_different_patches(strategy):
    import tensorflow as tf

    with strategy.scope():
        layer = layers.HideAndSeek(2, fill=-1.0, seed=0)
    data = tf.data.Dataset.from_tensor_slices(IMAGES[:2]).batch(2)

    @tf.function
    def on_replicas(batch):
        return strategy.run(lambda x: layer(x, training=True), args=(batch,))

    for batch in strategy.experimental_distribute_dataset(data):
        one, other = strategy.experimental_local_results(on_replicas(batch))
        one, other = one.numpy() == -1, other.numpy() == -1
        assert 0.2 < (one != other).mean() < 0.8


@pytest.mark.parametrize(
    "kwargs, received",
    [
        ({"patch_sizes": -1}, "Received: patch_sizes=-1"),
        ({"patch_sizes": (0, 2**31)}, "Received: patch_sizes=2147483648"),
        ({"patch_sizes": ()}, r"Received: patch_sizes=\(\)"),
        ({"patch_sizes": (2.5,)}, r"patch_sizes=2.5. It is one of \(2.5,\)"),
        ({"rate": 1.5}, "Received: rate=1.5"),
        ({"rate": True}, "Received: rate=True"),
        ({"fill": "mean"}, "Received: fill='mean'"),
        ({"seed": 0.5}, "Received: seed=0.5"),
        ({"data_format": "last"}, "Received: data_format='last'"),
    ],
)
def test_a_wrong_argument_is_named(kwargs, received):
    with pytest.raises(ValueError, match=received):
        layers.HideAndSeek(**{"fill": 0.0, **kwargs})


def test_colours_and_images_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"Received: fill=\[1.0, 2.0\]"):
        hide(layers.HideAndSeek(2, fill=[1, 2]))
    with pytest.raises(TypeError, match="fill"):
        layers.HideAndSeek(2)


def test_a_layer_read_from_a_file_draws_on_where_it_stood(tmp_path):
    def make():
        inputs = keras.Input((20, 14, 3))
        layer = layers.HideAndSeek((2, 5), fill=COLOR, seed=0)
        return keras.Model(inputs, layer(inputs))

    first = make()
    hide(first)
    first.save_weights(tmp_path / "model.weights.h5")
    following = hide(first)
    second = make()
    second.load_weights(tmp_path / "model.weights.h5")
    assert (hide(second) == following).all()
    assert (hide(make()) != following).any()
