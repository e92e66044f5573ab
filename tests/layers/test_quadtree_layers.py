"""Layers on leaves, beside slow convolutions and the layers of Keras."""

import keras
import numpy as np
import pytest
from backend_gradients import differences
from backend_gradients import gradient
from reference import quadtree as reference

from keras_xmap import layers
from keras_xmap import ops

RNG = np.random.default_rng(0)
# Flat, but for a few places: leaves of all sizes beside each other.
IMAGES = np.where(RNG.uniform(size=(2, 13, 21, 1)) < 0.07, 9.0, 0.0)
IMAGES = (IMAGES + RNG.uniform(size=(2, 13, 21, 3))).astype("float32")
LEVELS = np.asarray(ops.quadtree(IMAGES, 1.0, num_levels=4))


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def leaves(images=IMAGES, threshold=1.0, num_levels=4, **options):
    layer = layers.QuadtreeLeaves(
        threshold, num_levels, data_format="channels_last", **options
    )
    return layer(images)


def painted(values, table):
    layer = layers.QuadtreeImage(data_format="channels_last")
    return numpy(layer([values, table]))


def convolved(values, table, kernel_size=3, filters=4):
    """Values after a layer of random weights, and its kernel."""
    layer = layers.QuadtreeConv2D(filters, kernel_size, use_bias=False)
    y = layer([values, table])
    return y, numpy(layer.kernel)


@pytest.mark.sizes
def test_leaves_hold_the_means_and_images_show_them():
    assert set(np.unique(LEVELS)) == {0, 1, 2, 3}
    values, table = leaves()
    expected = ops.quadtree_decode(ops.quadtree_encode(IMAGES, LEVELS), LEVELS)
    np.testing.assert_allclose(painted(values, table), expected, atol=1e-6)
    of_given, _ = layers.QuadtreeLeaves(
        num_levels=4, data_format="channels_last"
    )([IMAGES, LEVELS])
    np.testing.assert_array_equal(numpy(of_given), numpy(values))


def test_the_level_is_a_channel_from_0_to_1():
    values, table = leaves(with_level=True)
    level = painted(values, table)[..., -1]
    np.testing.assert_allclose(level, LEVELS / 3, atol=1e-6)


@pytest.mark.parametrize("capacity", [None, 200])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_each_leaf_is_convolved_at_its_own_scale(kernel_size, capacity):
    values, table = leaves(kernel_size=5, capacity=capacity)
    y, kernel = convolved(values, table, kernel_size)
    found, means = painted(y, table), painted(values, table)
    for image, levels, result in zip(means, LEVELS, found, strict=True):
        expected = reference.convolution(image, levels, kernel)
        np.testing.assert_allclose(result, expected, atol=2e-5)


@pytest.mark.sizes
def test_where_all_leaves_are_pixels_the_layers_are_those_of_keras():
    layer = layers.QuadtreeLeaves(num_levels=4, data_format="channels_last")
    values, table = layer([IMAGES, np.zeros_like(LEVELS)])
    options = {"padding": "same", "data_format": "channels_last"}
    dense = keras.layers.Conv2D(
        4, 3, activation="relu", bias_initializer="ones", **options
    )
    expected = numpy(dense(IMAGES))
    layer = layers.QuadtreeConv2D(4, activation="relu")
    layer([values, table])
    layer.set_weights(dense.get_weights())
    y = layer([values, table])
    np.testing.assert_allclose(painted(y, table), expected, atol=1e-5)
    for pooling, kind in (
        ("max", keras.layers.MaxPooling2D),
        ("mean", keras.layers.AveragePooling2D),
    ):
        of_keras = kind(2, **options)(expected)
        pooled = layers.QuadtreePooling2D(pooling)([y, table])
        np.testing.assert_allclose(painted(*pooled), numpy(of_keras), atol=1e-5)
        back = layers.QuadtreeUnpooling2D()([*pooled, table])
        up = keras.layers.UpSampling2D(2, data_format="channels_last")
        np.testing.assert_allclose(
            painted(back, table), numpy(up(of_keras))[:, :13, :21], atol=1e-5
        )


def test_pooling_joins_single_pixels_and_keeps_larger_leaves():
    values, table = leaves()
    pooled, smaller = layers.QuadtreePooling2D("mean")([values, table])
    means = painted(values, table)
    expected = keras.layers.AveragePooling2D(
        2, padding="same", data_format="channels_last"
    )(means)
    np.testing.assert_allclose(
        painted(pooled, smaller), numpy(expected), atol=1e-5
    )
    filled = numpy(smaller["filled"])
    joined = (LEVELS[:, ::2, ::2] == 0).sum()
    kept = (numpy(table["leaves"])[..., 2] > 0).sum()
    assert filled.sum() == joined + kept < numpy(table["filled"]).sum()


def test_gradients_are_those_of_finite_differences():
    values, table = leaves()
    weights = RNG.normal(size=numpy(values).shape[:2] + (2,))
    weights = (weights * numpy(table["filled"])[..., None]).astype("float32")
    layer = layers.QuadtreeConv2D(2, use_bias=False)
    layer([values, table])
    kernel, means = numpy(layer.kernel), painted(values, table)
    on_pixels = painted(weights, table)
    area = np.stack([4.0**levels for levels in LEVELS])[..., None]
    down, across = np.mgrid[:13, :21]
    side = 2**LEVELS
    area = np.minimum(side, 13 - down // side * side)
    area = area * np.minimum(side, 21 - across // side * side)

    def loss(images, kernel):
        # Each leaf once, not once for each of its pixels.
        y = [
            reference.convolution(image, levels, kernel)
            for image, levels in zip(images, LEVELS, strict=True)
        ]
        return (np.stack(y) * on_pixels / area[..., None]).sum()

    some = np.argwhere(LEVELS >= 0)[:: len(LEVELS.ravel()) // 12]
    found = gradient(lambda x: layer([x, table]), numpy(values), weights)
    numbers = numpy(table["numbers"])
    for image, row, column in some:
        own = LEVELS[image, row, column]
        corner = row >> own << own, column >> own << own
        leaf = (
            image,
            *(slice(first, first + 2**own) for first in corner),
            0,
        )
        high, low = means.astype("float64"), means.astype("float64")
        high[leaf] += 0.5
        low[leaf] -= 0.5
        expected = loss(high, kernel) - loss(low, kernel)  # linear
        number = numbers[image, row, column]
        assert found[image, number, 0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.tensorflow
def test_the_gradient_in_the_kernel_is_that_of_finite_differences():
    import tensorflow as tf

    values, table = leaves()
    layer = layers.QuadtreeConv2D(2, use_bias=False)
    layer([values, table])
    weights = RNG.normal(size=(*numpy(values).shape[:2], 2)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer([values, table]) * weights)
    found = tape.gradient(loss, layer.kernel.value).numpy()
    start = numpy(layer.kernel)

    def of(kernel):
        layer.kernel.assign(kernel)
        y = numpy(layer([values, table])).astype("float64")
        return (y * weights).sum()

    expected = differences(of, start, step=0.5)  # linear
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.tensorflow
def test_images_of_any_number_of_leaves_share_one_trace():
    import tensorflow as tf

    inputs = keras.Input((16, 16, 1))
    x, table = layers.QuadtreeLeaves(0.5, data_format="channels_last")(inputs)
    x = layers.QuadtreeConv2D(2)([x, table])
    outputs = layers.QuadtreeImage(data_format="channels_last")([x, table])
    model, traces = keras.Model(inputs, outputs), []

    @tf.function
    def call(x):
        traces.append(1)
        return model(x)

    for share in (0.0, 0.02, 0.3):
        images = RNG.uniform(size=(2, 16, 16, 1)) < share
        images = images.astype("float32")
        y = call(tf.constant(images))
        np.testing.assert_allclose(y, model(images), atol=1e-6)
    assert len(traces) == 1


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="nothing is compiled there"
)
def test_too_few_slots_are_an_error_or_nan_but_never_half_an_image():
    counts = numpy(leaves()[1]["filled"]).sum(axis=1)
    least, most = int(counts.min()), int(counts.max())
    assert least + 1 < most
    with pytest.raises(ValueError, match=f"Received: capacity=8 for .* {most}"):
        leaves(capacity=8)
    inputs = keras.Input((13, 21, 3))
    layer = layers.QuadtreeLeaves(
        1.0, 4, capacity=least, data_format="channels_last"
    )
    x, table = layer(inputs)
    x = layers.QuadtreeConv2D(2)([x, table])
    outputs = layers.QuadtreeImage(data_format="channels_last")([x, table])
    model = keras.Model(inputs, outputs)
    model.compile(jit_compile=keras.backend.backend() == "jax")
    fits = counts == least
    # Neither first nor last in its batch does such an image touch others.
    for order in (1, -1):
        y, is_whole = model.predict(IMAGES[::order], verbose=0), fits[::order]
        assert np.isfinite(y[is_whole]).all()
        assert np.isnan(y[~is_whole]).all()


def test_empty_slots_do_not_count_in_batch_normalization():
    values, table = leaves(capacity=250)
    filled = numpy(table["filled"])
    y, _ = convolved(values, table)
    normalized = keras.layers.BatchNormalization()(y, training=True)
    of_leaves = numpy(normalized)[filled]
    np.testing.assert_allclose(of_leaves.mean(axis=0), 0.0, atol=1e-5)
    assert not filled.all()


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="sizes are known elsewhere"
)
def test_under_jit_the_capacity_is_asked_for():
    import jax

    def call(x, capacity):
        return leaves(x, capacity=capacity)[0]

    with pytest.raises(ValueError, match="Received: capacity=None"):
        jax.jit(lambda x: call(x, None))(IMAGES)
    count = len(ops.quadtree_leaves(LEVELS))  # what the remedy says
    y = jax.jit(lambda x: call(x, count))(IMAGES)
    assert np.isfinite(numpy(y)).all()


def test_mistakes_are_told_with_a_remedy():
    values, table = leaves()
    with pytest.raises(ValueError, match=r"\[values, table\].*Received"):
        layers.QuadtreeConv2D(2)(values)
    with pytest.raises(ValueError, match="Received: values.shape"):
        layers.QuadtreeConv2D(2)([values[:, :3], table])
    with pytest.raises(ValueError, match="Received: kernel_size=5 for a table"):
        layers.QuadtreeConv2D(2, 5)([values, table])
    layers.QuadtreeConv2D(2, 5)(list(leaves(kernel_size=5)))
    with pytest.raises(ValueError, match="Received: kernel_size=4"):
        layers.QuadtreeConv2D(2, 4)
    with pytest.raises(ValueError, match="Received: threshold=None"):
        layers.QuadtreeLeaves()(IMAGES)
    with pytest.raises(ValueError, match="Received: threshold=1.0"):
        layers.QuadtreeLeaves(1.0)([IMAGES, LEVELS])
    with pytest.raises(ValueError, match="Received: levels.shape"):
        layers.QuadtreeLeaves(data_format="channels_last")(
            [IMAGES, LEVELS[:, 1:]]
        )
    pooled = layers.QuadtreePooling2D()([values, table])
    with pytest.raises(ValueError, match="Received: images of"):
        layers.QuadtreeUnpooling2D()([values, table, pooled[1]])


@pytest.mark.sizes
def test_above_the_crossing_a_layer_warns_once():
    images = RNG.uniform(size=(1, 64, 64, 1))
    values, table = leaves(images, threshold=0.0)
    layer = layers.QuadtreeConv2D(1)
    with pytest.warns(UserWarning, match="Conv2D is as fast") as caught:
        layer([values, table])
        layer([values, table])
    assert len(caught) == 1


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="shows there what is kept"
)
def test_training_keeps_values_and_not_what_is_gathered_around_them():
    import jax

    values, table = leaves()
    layer = layers.QuadtreeConv2D(2, use_bias=False)
    layer([values, table])
    kernel = layer.kernel.value

    def call(values, kernel):
        return layer.stateless_call([kernel], [], [values, table])[0]

    _, back = jax.vjp(call, values, kernel)
    kept = [x for x in jax.tree_util.tree_leaves(back) if x.ndim == 3]
    assert max(x.size for x in kept if x.dtype == "float32") <= values.size
