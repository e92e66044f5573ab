import logging
import warnings

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_xmap.explainers import GradCAM

pytestmark = pytest.mark.tensorflow

X = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype("float32")


def classifier(*parts):
    inputs = x = keras.Input((12, 12, 3))
    for part in parts:
        x = part(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def layers_used(model, target_layer=None, x=X):
    explainer = GradCAM(model, target_layer)
    explainer.explain(x, 0)
    return explainer.layers_used


def conv(name, filters=3, size=3):
    return layers.Conv2D(filters, size, padding="same", name=name)


def base(*parts):
    return keras.Sequential([keras.Input((12, 12, 3)), *parts], name="base")


def test_the_last_spatial_layer_is_chosen_and_logged(caplog):
    model = classifier(conv("a"), conv("b"), layers.Dropout(0.5, name="idle"))
    with caplog.at_level(logging.INFO, logger="keras_xmap"):
        assert layers_used(model) == ["b"]
    assert "'b', chosen automatically" in caplog.text


def test_inside_a_nested_model_the_layer_itself_is_chosen():
    assert layers_used(classifier(base(conv("a"), conv("b")))) == ["base/b"]


def test_a_layer_of_one_position_is_not_spatial():
    squeeze = layers.GlobalAveragePooling2D(keepdims=True, name="one")
    model = classifier(conv("a"), squeeze, conv("b"))
    assert layers_used(model) == ["a"]


@pytest.mark.parametrize("name", ["base/b", "b"])
def test_a_layer_is_found_by_its_path_or_its_name(name):
    model = classifier(base(conv("a"), conv("b")), conv("c"))
    assert layers_used(model, name) == ["base/b"]


def test_a_layer_is_found_by_the_object():
    wanted = conv("a")
    assert layers_used(classifier(base(wanted, conv("b"))), wanted) == [
        "base/a"
    ]


def test_a_name_that_fits_two_layers_is_refused_with_their_paths():
    model = classifier(base(conv("b")), conv("b"))
    # The exact path goes first; two nested ones cannot be told apart.
    assert layers_used(model, "b") == ["b"]
    first = keras.Sequential([keras.Input((12, 12, 3)), conv("x")], name="one")
    second = keras.Sequential([keras.Input((12, 12, 3)), conv("x")], name="two")
    with pytest.raises(ValueError, match="fits one/x, two/x. Pass the path"):
        layers_used(classifier(first, second), "x")


def test_a_layer_called_twice_is_refused_by_naming_its_calls():
    shared = conv("shared")
    model = classifier(shared, layers.MaxPooling2D(), shared)
    with pytest.raises(
        ValueError,
        match="'shared', which is called 2 times: 'shared:0' made from the "
        "input, 'shared:1' made from the input. Pass .* target_layer='shared:0",
    ):
        GradCAM(model, "shared").explain(X, 0)
    default = GradCAM(model, resize=False)
    last = default.explain(X, 0)
    assert default.layers_used == ["shared:1"]
    first = GradCAM(model, "shared:0", resize=False).explain(X, 0)
    second = GradCAM(model, "shared:1", resize=False).explain(X, 0)
    assert first.shape == (2, 12, 12)
    np.testing.assert_array_equal(second, last)
    with pytest.raises(
        ValueError, match="Received: target_layer='shared:2', .* 2 times"
    ):
        GradCAM(model, "shared:2").explain(X, 0)


def test_an_unknown_layer_is_refused_with_those_there_are():
    model = classifier(base(conv("a"), conv("b")))
    with pytest.raises(
        ValueError, match="Received: target_layer='c'. Layers that run: base/a"
    ):
        layers_used(model, "c")
    with pytest.raises(ValueError, match="Received: target_layer='other'"):
        layers_used(model, conv("other"))
    with pytest.raises(TypeError, match="Received: target_layer=3.5"):
        layers_used(model, 3.5)


def test_a_layer_without_positions_is_refused():
    model = classifier(conv("a"))
    with pytest.raises(ValueError, match=r"with shape \(None, 2\)"):
        layers_used(model, model.layers[-1].name)


def test_a_layer_that_has_no_part_in_the_target_is_refused():
    inputs = keras.Input((12, 12, 3))
    used, unused = conv("used")(inputs), conv("unused")(inputs)
    pool = layers.GlobalAveragePooling2D
    model = keras.Model(
        inputs, [layers.Dense(2)(pool()(used)), layers.Dense(2)(pool()(unused))]
    )
    first = GradCAM(model)
    first.explain(X, lambda outputs: outputs[0][:, 0])
    assert first.layers_used == ["used"]
    with pytest.raises(ValueError, match="does not depend"):
        GradCAM(model, "unused").explain(X, lambda outputs: outputs[0][:, 0])


def test_heads_of_attention_are_not_taken_for_pixels():
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 4, strides=4, name="patches")(inputs)
    x = layers.Reshape((9, 4), name="tokens")(x)
    x = layers.MultiHeadAttention(2, 2, name="mha")(x, x)
    outputs = layers.Dense(2)(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, outputs)
    assert layers_used(model) == ["mha/attention_output"]


def test_dense_layers_on_maps_keep_the_positions():
    norm = layers.LayerNormalization()
    model = classifier(conv("a"), norm, layers.Dense(5, name="mlp"))
    assert layers_used(model) == ["mlp"]


def test_operations_between_layers_keep_the_positions():
    model = classifier(conv("a"), ops.relu, conv("b"), lambda x: x * 2)
    assert layers_used(model) == ["b"]


def test_upsampling_and_padding_keep_the_positions():
    model = classifier(
        conv("a"),
        layers.UpSampling2D(),
        layers.ZeroPadding2D(),
        layers.Conv2DTranspose(2, 2, strides=2, name="b"),
    )
    assert layers_used(model) == ["b"]


def test_a_layer_behind_rearranged_axes_is_found_where_they_are_followed():
    """Neighbours become channels; the channels alone hold no positions."""
    model = classifier(
        conv("a", filters=4),
        layers.Reshape((12, 6, 8)),
        conv("after"),
    )
    assert layers_used(model) == ["after"]
    reshaped = classifier(conv("a", filters=4), layers.Reshape((12, 6, 8)))
    assert layers_used(reshaped) == ["a"]


def test_positions_that_cannot_be_followed_are_refused_rather_than_guessed():
    def mirrored(x):
        return x + ops.flip(x, axis=2)

    model = classifier(conv("a"), mirrored, conv("after"))
    message = (
        r"layer 'after' .* at AddV2 .*places that lie far apart "
        "come together"
    )
    with pytest.raises(ValueError, match=message):
        layers_used(model)
    message = "where the positions of layer 'after'.*resize=False"
    with pytest.raises(ValueError, match=message):
        layers_used(model, "after")
    maps = GradCAM(model, "after", resize=False).explain(X, 0)
    assert maps.shape == (2, 12, 12)


def test_the_size_of_the_map_follows_the_input_the_layer_is_made_from():
    image, other = keras.Input((12, 12, 3)), keras.Input((8, 6, 3))
    x = layers.GlobalAveragePooling2D()(conv("a")(image))
    y = layers.GlobalAveragePooling2D()(conv("b")(other))
    outputs = layers.Dense(2)(layers.Concatenate()([x, y]))
    model = keras.Model([image, other], outputs)
    data = [X, np.ones((2, 8, 6, 3), "float32")]
    assert GradCAM(model, "a").explain(data, 0).shape == (2, 12, 12)
    assert GradCAM(model, "b").explain(data, 0).shape == (2, 8, 6)


def classified(x):
    return layers.Dense(2)(layers.GlobalAveragePooling2D()(x))


HEADS = {
    "reshaped": lambda x: layers.Reshape((-1, 7))(conv("head", 7)(x)),
    "squashed": lambda x: layers.Activation("sigmoid")(
        layers.Reshape((-1, 7))(conv("head", 7)(x))
    ),
    "permuted": lambda x: layers.Permute((3, 1, 2))(conv("head", 7)(x)),
    "of two": lambda x: layers.Concatenate()(
        [layers.Reshape((-1, n))(conv(f"head_{n}", n)(x)) for n in (4, 3)]
    ),
    "decoded": lambda x: decoded(layers.Reshape((-1, 7))(conv("head", 7)(x))),
    "upsampled": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(
        conv("head", 7)(x)
    ),
}


def decoded(raw):
    centre, size = 2 * ops.sigmoid(raw[..., :2]), ops.exp(raw[..., 2:4])
    corners = [centre - size / 2, centre + size / 2, raw[..., 4:]]
    return ops.concatenate(corners, axis=-1)


@pytest.mark.parametrize("head", HEADS)
def test_what_only_moves_or_squashes_the_output_is_no_default_layer(head):
    inputs = keras.Input((12, 12, 3))
    x = conv("features")(layers.ReLU()(conv("before")(inputs)))
    model = keras.Model(inputs, HEADS[head](x))
    explainer = GradCAM(model, score="output")
    axes = tuple(range(1, len(model.output_shape)))
    explainer.explain(X, lambda outputs: ops.sum(outputs**2, axis=axes))
    assert explainer.layers_used == ["features"]


def test_heads_of_two_scales_are_summed():
    inputs = keras.Input((12, 12, 3))
    fine = conv("fine")(inputs)
    coarse = conv("coarse")(layers.MaxPooling2D()(fine))
    heads = [
        layers.Reshape((-1, 7))(conv(f"head_{n}", 7)(x))
        for n, x in enumerate((fine, coarse))
    ]
    model = keras.Model(inputs, layers.Concatenate(axis=1)(heads))
    explainer = GradCAM(model)
    explainer.explain(X, lambda boxes: ops.max(boxes[..., 4], axis=1))
    assert explainer.layers_used == ["fine", "coarse"]


def test_a_sum_of_features_is_no_head():
    inputs = keras.Input((12, 12, 3))
    x = conv("stem")(inputs)
    x = layers.Add(name="add")([x, conv("branch")(x)])
    model = keras.Model(inputs, layers.ReLU(name="end")(x))
    explainer = GradCAM(model, score="output")
    explainer.explain(X, lambda maps: ops.mean(maps[..., 1], axis=(1, 2)))
    assert sorted(explainer.layers_used) == ["branch", "stem"]


def tokens_of_patches(attention):
    inputs = keras.Input((12, 12, 3))
    x = layers.Reshape((9, 48))(ops.image.extract_patches(inputs, 4))
    x = layers.Dense(6, name="embedded")(x)
    if attention:
        y = layers.LayerNormalization(name="norm")(x)
        x = x + layers.MultiHeadAttention(2, 3)(y, y)
    x = layers.GlobalAveragePooling1D()(layers.Dense(6, name="mlp")(x))
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.mark.parametrize("attention", [True, False])
def test_tokens_are_found_without_an_image_shaped_layer_before_them(attention):
    assert layers_used(tokens_of_patches(attention)) == ["mlp"]


def test_a_vector_model_is_refused_with_the_layers_that_were_found():
    model = keras.Sequential(
        [keras.Input((9,)), layers.Dense(4, name="a"), layers.Dense(2)]
    )
    with pytest.raises(
        ValueError,
        match=r"no spatial layer: .*Received: the input of shapes \[\(None, 9\)"
        r"\], and layers 'a' \(None, 4\), .* Explain the input by Saliency",
    ):
        layers_used(model, x=np.ones((2, 9), "float32"))


@pytest.mark.slow
def test_masks_are_no_ways_and_loops_are():
    inputs = keras.Input((12, 3))
    mask = ops.any(ops.not_equal(inputs, 0.0), axis=-1)
    x = layers.Conv1D(4, 3, padding="same", name="last")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.LSTM(4)(x, mask=mask)))
    assert layers_used(model, x=X[:, 0]) == ["last"]


def test_padding_sees_nothing_new():
    model = classifier(conv("a"), layers.ZeroPadding2D(name="pad"))
    assert layers_used(model) == ["a"]


def test_a_last_block_of_one_position_is_explained_where_it_comes_from():
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, 4, padding="same", name="joined")(inputs)
    branch = conv("branch")(x)
    reduced = [
        layers.Conv2D(4, 3, name="reduced")(branch),
        layers.MaxPooling2D(3)(x),
    ]
    x = conv("after", size=1)(layers.Concatenate()(reduced))
    assert layers_used(keras.Model(inputs, classified(x))) == ["joined"]


def of_rows(inputs, x):
    x = layers.Conv1D(4, 3, padding="same", name="last")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def without_channels(kind):
    """Models, and data of them, whose input has no axis of channels."""
    generator = np.random.default_rng(0)
    if kind == "ids":
        inputs = keras.Input((12,), dtype="int32")
        x = layers.Embedding(9, 4)(inputs)
        return of_rows(inputs, x), generator.integers(9, size=(2, 12))
    if kind == "signal":
        inputs = keras.Input((12,))
        x = X[:, 0, :, 0]
        return of_rows(inputs, layers.Reshape((12, 1))(inputs)), x
    if kind == "sequence":
        inputs = keras.Input((12, 3))
        regrouped = layers.Reshape((6, 6))(inputs)
        return of_rows(inputs, regrouped), X[:, 0]
    inputs = keras.Input((12, 12), dtype="uint8" if kind == "grey" else None)
    x = layers.Reshape((12, 12, 1))(inputs)
    if kind == "grey":
        x = layers.Rescaling(1 / 255)(inputs[..., None])
    model = keras.Model(inputs, classified(conv("last")(x)))
    return model, np.uint8(99 * np.abs(X[..., 0]))


@pytest.mark.parametrize(
    "kind", ["reshaped", "grey", "signal", "sequence", "ids"]
)
def test_inputs_without_channels_have_maps_of_their_own_shape(kind):
    model, x = without_channels(kind)
    explainer = GradCAM(model)
    maps = explainer.explain(x, 0)
    assert explainer.layers_used == ["last"]
    assert maps.shape == (x.shape[:-1] if kind == "sequence" else x.shape)
    if kind == "reshaped":
        with_channels = keras.Input((12, 12, 1))
        twin = keras.Model(
            with_channels, classified(model.get_layer("last")(with_channels))
        )
        twin.set_weights(model.get_weights())
        np.testing.assert_array_equal(
            maps, GradCAM(twin).explain(x[..., None], 0)
        )


def test_a_matrix_whose_columns_are_no_channels_has_no_layer():
    inputs = keras.Input((12, 12))
    x = layers.Flatten()(layers.Rescaling(0.1, name="scaled")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(ValueError, match="The model has no spatial layer"):
        layers_used(model, x=X[..., 0])
    with pytest.raises(ValueError, match="no single axis of channels"):
        layers_used(model, "scaled", x=X[..., 0])


class OwnAttention(layers.Layer):
    """Attention of one head, of no class of Keras."""

    def __init__(self, name):
        super().__init__(name=name)
        self.all = layers.Dense(12, name="all")

    def call(self, x):
        query, key, value = ops.split(self.all(x), 3, axis=-1)
        scores = ops.matmul(query, ops.transpose(key, (0, 2, 1)))
        return ops.matmul(ops.softmax(scores), value)


class ClassToken(layers.Layer):
    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]))

    def call(self, x):
        token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([token, x], axis=1)


def attending(head, attention=OwnAttention):
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 4, strides=4, name="patches")(inputs)
    x = layers.Reshape((9, 4))(x)
    if head == "class token":
        x = ClassToken()(x)
    for block in range(2):
        y = layers.LayerNormalization(name=f"norm_{block}")(x)
        x = x + attention(f"attention_{block}")(y)
    x = layers.LayerNormalization(name="norm")(x)
    x = ops.mean(x, axis=1) if head == "mean" else x[:, 0]
    return keras.Model(inputs, layers.Dense(2)(x))


def written_out(name):
    """The same, of operations of the functional model."""

    def attention(x):
        query, key, value = (layers.Dense(4)(x) for _ in range(3))
        scores = ops.matmul(query, ops.transpose(key, (0, 2, 1)))
        return ops.matmul(ops.softmax(scores), value)

    return attention


@pytest.mark.parametrize(
    "head, layer, attention",
    [
        ("class token", "norm_1", OwnAttention),
        ("mean", "norm", written_out),
        pytest.param(
            "class token", "norm_1", written_out, marks=pytest.mark.slow
        ),
        pytest.param("mean", "norm", OwnAttention, marks=pytest.mark.slow),
    ],
)
def test_attention_is_known_by_what_it_computes(head, layer, attention):
    model = attending(head, attention)
    explainer = GradCAM(model, resize=False)
    maps = explainer.explain(X, 0)
    assert explainer.layers_used == [layer]
    assert maps.shape == (2, 3, 3)
    with warnings.catch_warnings():
        # What runs beside the attention is no way past its tokens.
        warnings.filterwarnings("error", message="The score sees")
        GradCAM(model, layer).explain(X, 0)


def test_products_that_are_no_attention_change_nothing():
    inputs = keras.Input((12, 12, 3))
    x = layers.Reshape((144, 3))(conv("last")(inputs))
    gram = ops.matmul(ops.transpose(x, (0, 2, 1)), x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(gram)))
    assert layers_used(model) == ["last"]


def test_a_last_block_of_one_position_is_explained_by_the_fewest_layers():
    """Each cell reads the two before it, as those of NASNet do."""
    inputs = keras.Input((12, 12, 3))
    reduce = {"filters": 4, "kernel_size": 3, "strides": 4, "padding": "same"}
    x = conv("finer")(inputs)
    before = layers.Conv2D(**reduce, name="before")(x)
    last = layers.Concatenate(name="last")(
        [conv("of_before")(before), layers.Conv2D(**reduce)(x)]
    )
    ways = [
        layers.Conv2D(4, 3, name=f"way_{n}")(conv(f"in_{n}", 4)(x))
        for n, x in enumerate((before, before, last, last))
    ]
    x = conv("after", size=1)(layers.Concatenate()(ways))
    explainer = GradCAM(keras.Model(inputs, classified(x)))
    explainer.explain(X, 0)
    assert sorted(explainer.layers_used) == ["before", "last"]


def test_one_number_an_image_has_no_places():
    number = keras.Input(())
    x = layers.Dense(16)(ops.expand_dims(number, -1))
    x = layers.Conv2D(2, 3)(layers.Reshape((4, 4, 1))(x))
    model = keras.Model(number, layers.GlobalAveragePooling2D()(x))
    with pytest.raises(ValueError, match="no spatial layer.*known place"):
        GradCAM(model).explain(np.ones(3), 0)


def test_of_many_layers_those_of_a_like_name_are_told_and_the_last():
    network = keras.Sequential([keras.Input((4, 4, 3))])
    for number in range(40):
        network.add(keras.layers.Activation("relu", name=f"block_{number}"))
    network.add(keras.layers.Conv2D(2, 1, name="features"))
    network.add(keras.layers.GlobalAveragePooling2D(name="pool"))
    with pytest.raises(ValueError, match="Did you mean features") as error:
        GradCAM(network, "Feature").explain(np.ones((1, 4, 4, 3)), 0)
    said = str(error.value)
    assert "run: 42, listed by `model.summary(expand_nested=True)`" in said
    assert said.endswith("block_38, block_39, features, pool.")
    assert "block_20" not in said
