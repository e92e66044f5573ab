import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers._spatial_layer import to_grid
from keras_xmap.explainers._spatial_layer import token_grid

pytestmark = pytest.mark.tensorflow


def test_a_given_grid_is_used():
    assert token_grid(20, (6, 3)) == (2, 6, 3)
    with pytest.raises(ValueError, match=r"Received: tokens=\(6, 4\) for 20"):
        token_grid(20, (6, 4))


def test_prefix_tokens_are_dropped_and_rows_come_first():
    x = np.arange(7, dtype="float32").reshape(1, 7, 1)
    grid = np.asarray(to_grid(x, (1, 2, 3)))
    np.testing.assert_array_equal(grid[0, ..., 0], [[1, 2, 3], [4, 5, 6]])


def vision_transformer(head, num_patches=16, prefix=1):
    """Two blocks over 4 x 4 patches of a 16 x 16 image, with a class token."""

    class ClassToken(layers.Layer):
        def build(self, shape):
            self.token = self.add_weight(shape=(1, prefix, shape[-1]))

        def call(self, x):
            token = ops.broadcast_to(
                self.token, (ops.shape(x)[0], prefix, x.shape[-1])
            )
            return ops.concatenate([token, x], axis=1)

    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 4, strides=4, name="patches")(inputs)
    x = layers.Reshape((num_patches, 8))(x)
    x = ClassToken()(x)
    for block in range(2):
        y = layers.LayerNormalization(name=f"norm_{block}")(x)
        y = layers.MultiHeadAttention(2, 4, name=f"attention_{block}")(y, y)
        x = layers.Add(name=f"add_{block}")([x, y])
    x = layers.LayerNormalization(name="norm")(x)
    if head == "class token":
        x = layers.Lambda(lambda x: x[:, 0])(x)
    else:
        x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(3)(x))


IMAGES = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")


@pytest.mark.parametrize("head", ["class token", "mean"])
def test_a_transformer_is_explained_at_the_last_attended_tokens(head):
    explainer = HiResCAM(vision_transformer(head))
    maps = explainer.explain(IMAGES, 1)
    assert explainer.layers_used == ["norm_1"]
    assert maps.shape == (2, 16, 16)
    assert np.abs(maps).max() > 0


def test_the_map_of_tokens_is_that_of_the_arrays():
    model = vision_transformer("class token")
    layer = model.get_layer("norm_1")
    until = keras.Model(model.inputs, layer.output)
    tokens = tf.constant(until(IMAGES))
    # The rest of the network, by hand: attention, residual, head.
    before = keras.Model(model.inputs, model.get_layer("add_0").output)(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        attended = model.get_layer("attention_1")(tokens, tokens)
        x = model.get_layer("norm")(before + attended)
        score = model.layers[-1](x[:, 0])[:, 2]
    gradient = tape.gradient(score, tokens).numpy()
    weighed = (gradient * tokens.numpy()).sum(axis=-1)[:, 1:]
    actual = HiResCAM(model, resize=False).explain(IMAGES, 2)
    np.testing.assert_allclose(
        actual, weighed.reshape(2, 4, 4), rtol=1e-4, atol=1e-6
    )


def test_a_layer_that_is_reached_by_the_class_token_alone_is_refused():
    model = vision_transformer("class token")
    with pytest.raises(ValueError, match="class token alone"):
        HiResCAM(model, "norm").explain(IMAGES, 1)
    assert HiResCAM(vision_transformer("mean"), "norm").explain(
        IMAGES, 1
    ).shape == (2, 16, 16)


def test_a_signal_that_is_shuffled_is_not_told_to_be_tokens():
    inputs = keras.Input((8, 3))
    x = layers.Conv1D(2, 3, name="last")(ops.sort(inputs, axis=1))
    model = keras.Model(inputs, layers.GlobalAveragePooling1D()(x))
    with pytest.raises(ValueError, match="of its own positions\\.$"):
        HiResCAM(model, "last").explain(IMAGES[:, :8, 0], 1)


def test_two_prefix_tokens_are_dropped_as_well():
    model = vision_transformer("mean", prefix=2)
    maps = HiResCAM(model, resize=False).explain(IMAGES, 1)
    assert maps.shape == (2, 4, 4)
    given = HiResCAM(model, resize=False, tokens=(4, 4)).explain(IMAGES, 1)
    np.testing.assert_array_equal(given, maps)


def test_a_grid_that_is_none_is_refused_when_made():
    with pytest.raises(ValueError, match="Received: tokens='square'"):
        HiResCAM(vision_transformer("mean"), tokens="square")
