import keras
import numpy as np
import pytest

from keras_xmap import layers
from keras_xmap import ops

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(2, 5, 4, 3)).astype("float32")
MASK = (RNG.uniform(size=(2, 10, 8)) > 0.5).astype("float32")


def trained(merge="multiply", gain=4.0, **kwargs):
    """A layer whose weights are no longer those of the start."""
    layer = layers.ROIAttention(
        merge, gain=gain, data_format="channels_last", **kwargs
    )
    layer.build([FEATURES.shape, MASK.shape])
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    return layer


def reference(features, mask, kernel, bias, merge, gain):
    """Slow convolution of the resized mask, in float64."""
    height, width = features.shape[1:3]
    mask = keras.ops.convert_to_numpy(
        ops.resize(mask[..., None], (height, width))
    )[..., 0]
    reach = kernel.shape[0] // 2
    padded = np.pad(mask, ((0, 0), (reach, reach), (reach, reach)))
    attention = np.zeros(features.shape) + bias
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            window = padded[:, i : i + height, j : j + width, None]
            attention += window * kernel[i, j, 0]
    if merge == "multiply":
        return features * (1 + gain * attention)
    return features + gain * attention


@pytest.mark.parametrize("merge", ["multiply", "add"])
@pytest.mark.parametrize("kernel_size, gain", [(1, 1), (3, 100), (5, 0.5)])
def test_the_formula_holds_in_float64(merge, kernel_size, gain):
    layer = trained(merge, gain, kernel_size=kernel_size)
    kernel, bias = layer.get_weights()
    expected = reference(FEATURES, MASK, kernel, bias, merge, gain)
    y = keras.ops.convert_to_numpy(layer([FEATURES, MASK]))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_a_mask_as_attention_is_hard_attention():
    layer = layers.ROIAttention(
        kernel_size=1, gain=2, data_format="channels_last"
    )
    layer.build([FEATURES.shape, (2, 5, 4)])
    layer.set_weights([np.full((1, 1, 1, 3), 0.5), np.full(3, -0.5)])
    mask = MASK[:, ::2, ::2]
    y = keras.ops.convert_to_numpy(layer([FEATURES, mask]))
    assert (y == FEATURES * mask[..., None]).all()


@pytest.mark.parametrize("merge", ["multiply", "add"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "policy", ["float32", "mixed_float16", "mixed_bfloat16"]
)
def test_at_first_the_output_is_the_features_exactly(
    merge, data_format, policy
):
    # A gain that half precision does not hold.
    layer = layers.ROIAttention(
        merge, gain=1e6, data_format=data_format, dtype=policy
    )
    features = keras.ops.cast(FEATURES, layer.compute_dtype)
    if data_format == "channels_first":
        features = keras.ops.moveaxis(features, -1, 1)
    y = layer([features, MASK])
    difference = keras.ops.cast(y - features, "float32")
    assert np.abs(keras.ops.convert_to_numpy(difference)).max() == 0


@pytest.mark.parametrize("shape", [(2, 10, 8), (2, 1, 10, 8)])
@pytest.mark.parametrize("merge", ["multiply", "add"])
def test_channels_first_is_channels_last_transposed(merge, shape):
    layer = trained(merge)
    first = layers.ROIAttention(merge, gain=4, data_format="channels_first")
    features = np.moveaxis(FEATURES, -1, 1)
    first.build([features.shape, shape])
    first.set_weights(layer.get_weights())
    y = keras.ops.convert_to_numpy(first([features, MASK.reshape(shape)]))
    expected = keras.ops.convert_to_numpy(layer([FEATURES, MASK]))
    np.testing.assert_allclose(np.moveaxis(y, 1, -1), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
@pytest.mark.parametrize("shape", [(2, 10, 8), (2, 10, 8, 1)])
def test_masks_of_every_kind_mean_the_same(shape, dtype):
    layer = trained()
    mask = MASK.astype(dtype).reshape(shape)
    expected = keras.ops.convert_to_numpy(layer([FEATURES, MASK]))
    assert (
        keras.ops.convert_to_numpy(layer([FEATURES, mask])) == expected
    ).all()
    inputs = [keras.Input((5, 4, 3)), keras.Input(shape[1:], dtype=dtype)]
    model = keras.Model(inputs, layer(inputs))
    y = keras.ops.convert_to_numpy(model([FEATURES, mask]))
    np.testing.assert_allclose(y, expected, atol=1e-6)
    y = model.predict([FEATURES, mask], verbose=0)
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_sizes_may_be_unknown_until_the_call(interpolation):
    layer = trained(interpolation=interpolation)
    inputs = [keras.Input((None, None, 3)), keras.Input((None, None))]
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, None, 3)
    expected = keras.ops.convert_to_numpy(layer([FEATURES, MASK]))
    y = model.predict([FEATURES, MASK], verbose=0)
    np.testing.assert_allclose(y, expected, atol=1e-6)
    assert model.predict([FEATURES[:, :3], MASK], verbose=0).shape[1] == 3


@pytest.mark.tensorflow
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_sizes_may_stay_unknown_in_a_traced_function(interpolation):
    import tensorflow as tf

    layer = trained(interpolation=interpolation)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, 3)),
            tf.TensorSpec((None, None, None), tf.bool),
        ]
    )
    def traced(features, mask):
        return layer([features, mask])

    expected = keras.ops.convert_to_numpy(layer([FEATURES, MASK]))
    y = traced(FEATURES, MASK.astype(bool))
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.tensorflow
@pytest.mark.parametrize("merge", ["multiply", "add"])
def test_the_start_is_not_a_dead_end(merge):
    import tensorflow as tf

    layer = layers.ROIAttention(merge, data_format="channels_last")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer([FEATURES, MASK]) ** 2)
    for slope in tape.gradient(loss, [w.value for w in layer.weights]):
        assert (np.abs(slope) > 0).all()


@pytest.mark.tensorflow
@pytest.mark.parametrize("merge", ["multiply", "add"])
@pytest.mark.parametrize(
    "optimizer, times",
    [("SGD", 1), ("Adam", 32), ("RMSprop", 32), ("Lion", 32)],
)
def test_who_divides_by_gradients_moves_the_attention_gain_times_as_far(
    optimizer, times, merge
):
    import tensorflow as tf

    moved = []
    for gain in (1, 32):
        layer = layers.ROIAttention(
            merge, gain=gain, data_format="channels_last"
        )
        layer.build([FEATURES.shape, MASK.shape])
        start = keras.ops.convert_to_numpy(layer.attention(MASK))
        # Small enough a step for no float of the sum to be rounded off.
        steps = getattr(keras.optimizers, optimizer)(2**-10)
        for _ in range(2):
            with tf.GradientTape() as tape:
                # Of the same slope at every step, and one far above epsilons.
                loss = 1000 * tf.reduce_sum(layer([FEATURES, MASK]))
            weights = layer.trainable_variables
            slopes = tape.gradient(loss, [w.value for w in weights])
            steps.apply(slopes, weights)
        end = keras.ops.convert_to_numpy(layer.attention(MASK))
        moved.append(end - start)
    assert (moved[0] != 0).mean() > 0.9
    np.testing.assert_allclose(moved[1], times * moved[0], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_adam_learns_to_look_where_the_mask_points():
    # Two objects, one value each: the answer is the one under the mask.
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(256, 1, 2, 1)).astype("float32")
    left = rng.integers(0, 2, size=256)
    mask = np.stack([left, 1 - left], axis=-1)[:, None].astype("float32")
    y = np.where(left, x[:, 0, 0, 0], x[:, 0, 1, 0])

    def trained_errors(**kwargs):
        inputs = [keras.Input((1, 2, 1)), keras.Input((1, 2))]
        layer = layers.ROIAttention(
            kernel_size=1, data_format="channels_last", **kwargs
        )
        outputs = keras.layers.GlobalAveragePooling2D()(layer(inputs))
        model = keras.Model(inputs, outputs)
        model.compile("adam", "mse")
        model.fit([x, mask], y, epochs=40, verbose=0)
        flipped = mask[:, :, ::-1]
        there = model.predict([x, mask], verbose=0)[:, 0]
        other = model.predict([x, flipped], verbose=0)[:, 0]
        return np.abs(there - y), np.abs(other - x.sum((1, 2, 3)) + y)

    for errors in trained_errors():
        assert errors.max() < 0.05
    # Of the learning rate of any other weight it is under way.
    for errors in trained_errors(gain=1):
        assert errors.max() > 0.5


def test_the_weights_can_be_exempt_from_weight_decay():
    # TensorFlow matches the name of the layer too, other backends do not.
    layer = trained(name="another_name")
    dense = keras.layers.Dense(1)
    dense.build((None, 3))
    optimizer = keras.optimizers.AdamW(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["roi_attention"])
    variables = layer.trainable_variables + dense.trainable_variables
    before = [keras.ops.convert_to_numpy(w).copy() for w in variables]
    optimizer.build(variables)
    optimizer.apply([keras.ops.zeros(w.shape) for w in variables], variables)
    after = [keras.ops.convert_to_numpy(w) for w in variables]
    changed = [bool((a != b).any()) for a, b in zip(before, after, strict=True)]
    assert changed == [False, False, True, False]


@pytest.mark.parametrize("shape", [(2, 5, 4), (2, 5, 4, 1)])
def test_hard_attention_multiplies_by_the_mask(shape):
    layer = layers.ROIAttention("hard", data_format="channels_last")
    mask = MASK[:, ::2, ::2]
    y = keras.ops.convert_to_numpy(layer([FEATURES, mask.reshape(shape)]))
    assert (y == FEATURES * mask[..., None]).all()
    assert layer.weights == []
    first = layers.ROIAttention("hard", data_format="channels_first")
    y = keras.ops.convert_to_numpy(first([np.moveaxis(FEATURES, -1, 1), mask]))
    assert (np.moveaxis(y, 1, -1) == FEATURES * mask[..., None]).all()


@pytest.mark.parametrize("merge", ["multiply", "add", "hard"])
def test_values_of_the_mask_are_clipped_to_0_and_1(merge):
    layer = layers.ROIAttention("hard", data_format="channels_last")
    if merge != "hard":
        layer = trained(merge)
    expected = keras.ops.convert_to_numpy(layer([FEATURES, MASK]))
    for mask in ((255 * MASK).astype("uint8"), 3 * MASK - 1):
        assert (
            keras.ops.convert_to_numpy(layer([FEATURES, mask])) == expected
        ).all()


@pytest.mark.parametrize("merge", ["multiply", "add"])
def test_an_empty_mask_leaves_the_bias(merge):
    layer = trained(merge, gain=3)
    bias = 3 * layer.get_weights()[1]
    y = keras.ops.convert_to_numpy(layer([FEATURES, np.zeros_like(MASK)]))
    expected = FEATURES * (1 + bias) if merge == "multiply" else FEATURES + bias
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize("merge", ["multiply", "add"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_attention_shows_what_the_features_met(merge, data_format):
    layer = trained(merge)
    features, size = FEATURES, (5, 4)
    if data_format == "channels_first":
        weights = layer.get_weights()
        layer = layers.ROIAttention(merge, gain=4, data_format=data_format)
        features = np.moveaxis(FEATURES, -1, 1)
        layer.build([features.shape, MASK.shape])
        layer.set_weights(weights)
    attention = keras.ops.convert_to_numpy(layer.attention(MASK, size))
    y = keras.ops.convert_to_numpy(layer([features, MASK]))
    met = features * attention if merge == "multiply" else features + attention
    np.testing.assert_allclose(y, met, atol=1e-6)
    shape = np.shape(layer.attention(MASK.astype(bool)))
    last = data_format == "channels_last"
    assert shape == ((2, 10, 8, 3) if last else (2, 3, 10, 8))


def test_hard_attention_shows_the_mask():
    layer = layers.ROIAttention("hard", data_format="channels_last")
    layer([FEATURES, MASK])
    assert (
        keras.ops.convert_to_numpy(layer.attention(MASK))[..., 0] == MASK
    ).all()


def test_attention_says_what_it_needs():
    with pytest.raises(ValueError, match="Received: built=False"):
        layers.ROIAttention().attention(MASK)
    with pytest.raises(ValueError, match=r"Received: mask.shape=\(10, 8\)"):
        trained().attention(MASK[0])


def test_a_mask_that_is_not_of_real_numbers_is_named():
    with pytest.raises(TypeError, match="Received: mask.dtype=complex64"):
        trained()([FEATURES, MASK.astype("complex64")])


@pytest.mark.parametrize(
    "kwargs, received",
    [
        ({"merge": "concat"}, "Received: merge='concat'"),
        ({"kernel_size": 0}, "Received: kernel_size=0"),
        ({"gain": 0}, "Received: gain=0"),
        ({"gain": True}, "Received: gain=True"),
        ({"gain": float("inf")}, "Received: gain=inf"),
        ({"interpolation": "cubic"}, "Received: interpolation='cubic'"),
        ({"data_format": "last"}, "Received: data_format='last'"),
    ],
)
def test_a_wrong_argument_is_named(kwargs, received):
    with pytest.raises(ValueError, match=received):
        layers.ROIAttention(**kwargs)


@pytest.mark.parametrize(
    "features, mask, received",
    [
        ((2, 4, 4), (2, 4, 4), r"Received: features.shape=\(2, 4, 4\)"),
        ((2, 4, 4, 3), (4, 4), r"Received: mask.shape=\(4, 4\)"),
        ((2, 4, 4, 3), (2, 4, 4, 2), r"Received: mask.shape=\(2, 4, 4, 2\)"),
        ((2, 4, 4, 3), (3, 4, 4), r"Received: features.shape=\(2, 4, 4, 3\)"),
    ],
)
def test_a_pair_that_does_not_fit_is_named(features, mask, received):
    layer = layers.ROIAttention(data_format="channels_last")
    pair = [np.zeros(features, "float32"), np.zeros(mask, "float32")]
    with pytest.raises(ValueError, match=received):
        layer(pair)
    symbolic = [keras.Input(batch_shape=shape) for shape in (features, mask)]
    with pytest.raises(ValueError, match=received):
        layer(symbolic)
    with pytest.raises(ValueError, match=received):
        trained()(pair)


def test_unusable_inputs_are_named():
    with pytest.raises(ValueError, match="Received: input_shape="):
        layers.ROIAttention()(keras.Input((4, 4, 3)))
    pair = [keras.Input((4, 4, None)), keras.Input((4, 4))]
    with pytest.raises(ValueError, match=r"Received: features\.shape="):
        layers.ROIAttention(data_format="channels_last")(pair)
