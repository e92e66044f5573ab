"""Maps lie where their layer looks, whatever stands before it.

One bright square is shown to a model that sums what it sees. What the model
computes from it is linear, so the centre of `GradientInput` is the centre of
the square as the model sees it, and the map of the layer has the same.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import GradientInput
from keras_xmap.explainers import GuidedGradCAM
from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers import ScoreCAM

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

SIZE = (32, 48)
ONES = keras.initializers.Ones()


class Does(layers.Layer):
    """A layer that is a function of tensors of the backend."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        return self.function(x)


def model(*parts, size=SIZE, channels=3, last=True):
    """Sums what a convolution of stride 2, `"last"`, sees behind `parts`."""
    inputs = x = keras.Input((*size, channels))
    for part in parts:
        x = part(x)
    if last:
        rank = len(x.shape) - 2
        conv = [layers.Conv1D, layers.Conv2D, layers.Conv3D][rank - 1]
        x = conv(
            1,
            2,
            2,
            "same",
            use_bias=False,
            name="last",
            kernel_initializer=ONES,
        )(x)
    x = layers.Dense(2, kernel_initializer=ONES, name="sum")(
        layers.Flatten()(x)
    )
    return keras.Model(inputs, x)


def square(size=SIZE, at=(17, 29), side=6, channels=3):
    image = np.zeros((1, *size, channels), "float32")
    image[(0, *(slice(n, n + side) for n in at[: len(size)]))] = 1
    return image


def centre(heatmap):
    assert heatmap.min() >= 0 and heatmap.max() > 0
    grids = np.indices(heatmap.shape)
    axes = tuple(range(1, heatmap.ndim + 1))
    return (grids * heatmap).sum(axes) / heatmap.sum()


def assert_laid(network, x, layer="last", tolerance=0.3):
    by_input = GradientInput(network, channel_reduction="sum").explain(x, 0)[0]
    for chosen in (layer, None):
        explainer = HiResCAM(network, chosen)
        heatmap = explainer.explain(x, 0)[0]
        assert heatmap.shape == by_input.shape
        np.testing.assert_allclose(
            centre(heatmap), centre(by_input), atol=tolerance
        )


REARRANGED = {
    "nothing": [],
    "crop": [layers.CenterCrop(22, 30)],
    "cropping": [layers.Cropping2D(((9, 1), (11, 0)))],
    "letterbox": [layers.Resizing(48, 48, pad_to_aspect_ratio=True)],
    "crop to aspect": [layers.Resizing(32, 32, crop_to_aspect_ratio=True)],
    "zero padding": [layers.ZeroPadding2D(((16, 0), (3, 20)))],
    "slice": [lambda x: x[:, :, 20:]],
    "strides": [lambda x: x[:, ::2]],
    "negative strides": [lambda x: x[:, ::-1, ::-2]],
    "flip": [lambda x: ops.flip(x, axis=2)],
    "permute": [layers.Permute((2, 1, 3))],
    "rotation": [lambda x: ops.rot90(x, axes=(1, 2))],
    "half a turn": [Does(lambda x: tf.reverse(x, [1, 2]))],
    "two flips": [lambda x: ops.flip(ops.flip(x, axis=1), axis=2)],
    "roll": [lambda x: ops.roll(x, (10, -13), axis=(1, 2))],
    "gather": [lambda x: ops.take(x, np.arange(47, 9, -1), axis=2)],
    "enlarged": [layers.UpSampling2D(2)],
    "enlarged linearly": [layers.UpSampling2D(2, interpolation="bilinear")],
    "transposed convolution": [
        layers.Conv2DTranspose(2, 3, strides=2, kernel_initializer=ONES)
    ],
    "dilation": [layers.Conv2D(1, 3, dilation_rate=3, kernel_initializer=ONES)],
    "valid strides": [layers.Conv2D(1, 3, 2, kernel_initializer=ONES)],
    "same strides": [layers.Conv2D(1, 5, 2, "same", kernel_initializer=ONES)],
    "pooling that leaves a border": [layers.AveragePooling2D(3)],
    "resized": [layers.Resizing(20, 36)],
    "resized to the nearest": [
        layers.Resizing(20, 36, interpolation="nearest")
    ],
    "resized without aliasing": [layers.Resizing(20, 36, antialias=True)],
    "dense": [layers.Dense(4, kernel_initializer=ONES)],
    "patches": [
        Does(
            lambda x: tf.image.extract_patches(
                x, [1, 4, 4, 1], [1, 4, 4, 1], [1, 1, 1, 1], "VALID"
            )
        ),
    ],
    "space to depth": [Does(lambda x: tf.nn.space_to_depth(x, 2))],
    "depth to space": [
        layers.Dense(8, kernel_initializer=ONES),
        Does(lambda x: tf.nn.depth_to_space(x, 2)),
    ],
    "compiled function": [Does(tf.function(lambda x: x[:, 4:, ::-1]))],
}
CHANNELS = {
    "channel reversal": [lambda x: ops.flip(x, axis=-1)],
    "normalisation": [layers.Normalization(mean=0.0, variance=4.0)],
    "rescaling": [layers.Rescaling(2.0)],
    "grey to RGB": [lambda x: ops.concatenate([x[..., :1]] * 3, -1)],
    "chosen channels": [lambda x: ops.take(x, [2, 0], axis=-1)],
    "augmentation": [
        layers.RandomFlip(),
        layers.RandomRotation(0.2),
        layers.RandomZoom(0.2),
        layers.RandomTranslation(0.1, 0.1),
        layers.RandomContrast(0.1),
    ],
    "gate": [lambda x: x * (1 + ops.mean(x, axis=(1, 2), keepdims=True))],
    "branches": [
        lambda x: ops.concatenate(
            [
                x,
                ops.max_pool(x, 3, 1, "same"),
                ops.average_pool(x, 3, 1, "same"),
            ],
            axis=-1,
        )
    ],
}


@pytest.mark.parametrize("kind", REARRANGED)
def test_the_map_lies_where_the_model_looks(kind):
    assert_laid(model(*REARRANGED[kind]), square(), tolerance=0.6)


@pytest.mark.parametrize("kind", CHANNELS)
def test_operations_along_channels_leave_positions_alone(kind):
    network, x = model(*CHANNELS[kind]), square()
    maps = HiResCAM(network).explain(x, 0)[0]
    np.testing.assert_allclose(centre(maps), (19.5, 31.5), atol=0.1)


def test_a_crop_is_laid_inside_the_image_and_nothing_outside():
    x = np.ones((1, *SIZE, 3), "float32")
    maps = HiResCAM(model(layers.CenterCrop(16, 20))).explain(x, 0)[0]
    expected = np.zeros(SIZE, "float32")
    expected[8:24, 14:34] = maps.max()
    np.testing.assert_array_equal(maps, expected)


@pytest.mark.parametrize(
    "size, parts",
    [
        ((40,), [layers.Cropping1D(6), lambda x: ops.flip(x, 1)]),
        ((12, 20, 16), [layers.Cropping3D((1, 4, 0)), layers.UpSampling3D(2)]),
        ((12, 20, 16), [lambda x: ops.transpose(x, (0, 3, 1, 2, 4))]),
    ],
    ids=["one axis", "three axes", "three axes in another order"],
)
def test_sequences_and_volumes_are_laid_too(size, parts):
    x = square(size, at=(5, 9, 4), side=4)
    assert_laid(model(*parts, size=size), x, tolerance=0.6)


def test_channels_first_maps_are_laid_too():
    options = {"data_format": "channels_first"}
    inputs = keras.Input((3, *SIZE))
    x = layers.Cropping2D(((5, 0), (9, 2)), **options)(inputs)
    x = layers.Conv2D(1, 1, name="last", kernel_initializer=ONES, **options)(x)
    outputs = layers.Dense(2, kernel_initializer=ONES)(layers.Flatten()(x))
    x = square().transpose(0, 3, 1, 2)
    maps = HiResCAM(keras.Model(inputs, outputs)).explain(x, 0)[0]
    np.testing.assert_array_equal(maps > 0, x[0, 0] > 0)


def test_behind_a_product_over_rows_each_position_is_a_column():
    turned = np.eye(SIZE[0], dtype="float32")[::-1]
    network = model(lambda x: ops.einsum("bhwc,hk->bkwc", x, turned))
    heatmap = HiResCAM(network).explain(square(), 0)[0]
    assert heatmap.shape == SIZE
    np.testing.assert_allclose(heatmap, np.tile(heatmap[:1], (SIZE[0], 1)))
    np.testing.assert_allclose(centre(heatmap)[1], 31.5, atol=0.6)


def test_a_permutation_to_channels_first_is_seen():
    """The channels are those the layer has no positions on."""
    inputs = keras.Input((3, *SIZE))
    x = layers.Permute((2, 3, 1))(inputs)
    x = layers.Conv2D(1, 1, name="last", kernel_initializer=ONES)(x)
    outputs = layers.Dense(2, kernel_initializer=ONES)(layers.Flatten()(x))
    x = square().transpose(0, 3, 1, 2)
    maps = HiResCAM(keras.Model(inputs, outputs)).explain(x, 0)[0]
    np.testing.assert_array_equal(maps > 0, x[0, 0] > 0)


def test_a_grey_image_without_channels_has_a_map_of_two_axes():
    inputs = keras.Input(SIZE)
    x = layers.Reshape((*SIZE, 1))(inputs)
    x = layers.Conv2D(1, 1, name="last", kernel_initializer=ONES)(x)
    outputs = layers.Dense(2, kernel_initializer=ONES)(layers.Flatten()(x))
    x = square()[..., 0]
    for kind in (HiResCAM, ScoreCAM, GradCAM):
        maps = kind(keras.Model(inputs, outputs), "last").explain(x, 0)
        assert maps.shape == x.shape
        np.testing.assert_array_equal(maps[0] > 0, x[0] > 0)


class Attends(layers.Layer):
    """Attention by hand, of tokens to themselves, added to them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.query, self.key, self.value = (layers.Dense(4) for _ in range(3))

    def call(self, x):
        scores = ops.matmul(
            self.query(x), ops.transpose(self.key(x), (0, 2, 1))
        )
        return x + ops.matmul(ops.softmax(0.01 * scores), self.value(x)) * 0.01


class ClassToken(layers.Layer):
    def call(self, x):
        token = ops.zeros((ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([token, x], axis=1)


def patches(kind, size=4):
    rows, columns = SIZE[0] // size, SIZE[1] // size
    count = rows * columns
    if kind == "convolution":
        convolution = layers.Conv2D(4, size, size, kernel_initializer=ONES)
        return [convolution, layers.Reshape((count, 4))]
    if kind == "extracted":
        return [
            lambda x: ops.image.extract_patches(x, size),
            layers.Reshape((count, size * size * 3)),
            layers.Dense(4, kernel_initializer=ONES),
        ]
    return [
        layers.Reshape((rows, size, columns, size, 3)),
        layers.Permute((1, 3, 2, 4, 5)),
        layers.Reshape((count, size * size * 3)),
        layers.Dense(4, kernel_initializer=ONES),
    ]


@pytest.mark.parametrize("kind", ["convolution", "extracted", "reshaped"])
def test_tokens_lie_where_their_patches_were_cut(kind):
    network = model(
        *patches(kind), ClassToken(), Attends(name="tokens"), last=False
    )
    x = square(at=(16, 28), side=4)
    maps = HiResCAM(network, "tokens").explain(x, 0)[0]
    inside = np.maximum(maps, 0) * (maps > 0.5 * maps.max())
    np.testing.assert_allclose(centre(inside), (17.5, 29.5), atol=0.3)
    grid = HiResCAM(network, "tokens", resize=False).explain(x, 0)
    assert grid.shape == (1, 8, 12)
    assert np.unravel_index(grid[0].argmax(), (8, 12)) == (4, 7)
    given = HiResCAM(network, "tokens", resize=False, tokens=(8, 12))
    np.testing.assert_array_equal(given.explain(x, 0), grid)


def test_windows_that_were_shifted_and_turned_back_are_followed():
    class Windows(layers.Layer):
        def call(self, x):
            x = ops.roll(x, (-2, -2), axis=(1, 2))
            x = ops.reshape(x, (-1, 8, 4, 12, 4, 3))
            x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 16, 3))
            scores = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
            x = x + 0.01 * ops.matmul(ops.softmax(scores), x)
            x = ops.reshape(x, (-1, 8, 12, 4, 4, 3))
            x = ops.reshape(
                ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, *SIZE, 3)
            )
            return ops.roll(x, (2, 2), axis=(1, 2))

    assert_laid(model(Windows()), square(), tolerance=0.6)


def mirrored(x):
    return x + ops.flip(x, axis=2)


def sorted_rows(x):
    order = tf.argsort(tf.reduce_mean(x, (2, 3)), axis=1)
    return tf.gather(x, order, axis=1, batch_dims=1)


def warped(x):
    """As a spatial transformer does, by what the image holds."""
    shift = tf.cast(tf.reduce_sum(x, (1, 2, 3)) > 0, "int32")[0]
    return tf.roll(x, shift, 1)


UNKNOWN = {
    "mirrored sum": (mirrored, "AddV2"),
    "sorted rows": (sorted_rows, "TopKV2"),
    "warped": (warped, "Roll"),
    "shuffled columns": (
        lambda x: ops.take(x, np.random.default_rng(0).permutation(48), 2),
        "Conv2D",
    ),
    "rows of two halves by turns": (
        lambda x: ops.reshape(
            ops.stack([x[:, :16], x[:, 16:]], axis=2), (-1, *SIZE, 1)
        ),
        "Conv2D",
    ),
    "columns read as rows": (
        lambda x: ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, *SIZE, 1)),
        "Conv2D",
    ),
    "halves side by side": (
        lambda x: ops.concatenate([x[:, :, :24], x[:, :, 24:]], -1),
        "Conv2D",
    ),
}


@functools.cache
def unknown(kind):
    return model(
        layers.Conv2D(1, 1, name="before", kernel_initializer=ONES),
        Does(UNKNOWN[kind][0]),
    )


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_cannot_be_followed_is_refused_by_default_and_by_name(kind):
    network, x = unknown(kind), square()
    cause = UNKNOWN[kind][1]
    with pytest.raises(ValueError, match=f"'last' .* at {cause}"):
        HiResCAM(network).explain(x, 0)
    remedy = f"'last', of shape .*at {cause} .*resize=False"
    with pytest.raises(ValueError, match=remedy):
        HiResCAM(network, "last").explain(x, 0)
    for method in (ScoreCAM, GuidedGradCAM):
        with pytest.raises(ValueError, match="resize=False|needs a ReLU"):
            method(network, "last").explain(x, 0)


@pytest.mark.parametrize("kind", UNKNOWN)
def test_the_remedy_is_the_map_of_the_layers_own_positions(kind):
    network, x = unknown(kind), square()
    maps = HiResCAM(network, "last", resize=False).explain(x, 0)
    rest = keras.Model(network.input, network.get_layer("last").output)
    np.testing.assert_allclose(maps, rest(x)[..., 0])
    before = HiResCAM(network, "before").explain(x, 0)
    np.testing.assert_array_equal(before > 0, x[..., 0] > 0)


def test_two_images_that_are_moved_against_each_other_are_told_apart():
    inputs = [keras.Input((*SIZE, 3)), keras.Input((*SIZE, 3))]
    x = layers.Concatenate()([inputs[0], ops.flip(inputs[1], 2)])
    x = layers.Conv2D(1, 1, name="last", kernel_initializer=ONES)(x)
    outputs = layers.Dense(2, kernel_initializer=ONES)(layers.Flatten()(x))
    network = keras.Model(inputs, outputs)
    data = [square(), np.zeros((1, *SIZE, 3), "float32")]
    with pytest.raises(ValueError, match="Name the input by `input_name`"):
        HiResCAM(network).explain(data, 0)
    first = HiResCAM(network, input_name=0).explain(data, 0)
    np.testing.assert_array_equal(first > 0, data[0][..., 0] > 0)
    second = HiResCAM(network, input_name=1).explain(data, 0)
    np.testing.assert_array_equal(second, first[:, :, ::-1])


def test_recurrent_layers_keep_the_order_or_turn_it():
    size, x = (24,), square((24,), at=(5,), side=4)
    for options in ({}, {"go_backwards": True}):
        network = model(
            layers.SimpleRNN(
                1,
                activation="relu",
                return_sequences=True,
                name="steps",
                kernel_initializer=ONES,
                recurrent_initializer="zeros",
                **options,
            ),
            size=size,
            last=False,
        )
        maps = HiResCAM(network, "steps").explain(x, 0)
        np.testing.assert_array_equal(maps > 0, x[..., 0] > 0)


def test_sizes_known_only_at_the_call_are_laid_alike():
    inputs = keras.Input((None, None, 3))
    x = layers.Cropping2D(3)(inputs)
    x = layers.Conv2D(4, 3, 2, "same", activation="relu", name="last")(x)
    x = layers.GlobalAveragePooling2D()(x)
    explainer = HiResCAM(keras.Model(inputs, layers.Dense(2)(x)))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def mine(x):
        return explainer(x, 1)

    for size in ((20, 15), (17, 24)):
        x = np.random.default_rng(0).normal(size=(2, *size, 3))
        x = x.astype("float32")
        expected = explainer.explain(x, 1)
        np.testing.assert_allclose(mine(x), expected, atol=1e-6)
