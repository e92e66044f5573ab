"""Layers that run several times: on two images, or once a frame."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import randomize
from keras import layers
from keras import ops

from keras_xmap.explainers import CAM
from keras_xmap.explainers import EigenCAM
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import GradientInput
from keras_xmap.explainers import GuidedGradCAM
from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers import IntegratedGradients
from keras_xmap.explainers import Occlusion
from keras_xmap.explainers import Saliency
from keras_xmap.targets import Component

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

SIZE = (8, 8)
PAIR = {"left": images(*SIZE, 3), "right": images(*SIZE, 3, seed=1)}


def encoder(name="encoder"):
    return keras.Sequential(
        [
            keras.Input((*SIZE, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
        ],
        name=name,
    )


def comparison(left, right):
    """Compares two images by two encoders, which may be one."""
    inputs = {name: keras.Input((*SIZE, 3), name=name) for name in PAIR}
    x = layers.Concatenate()([left(inputs["left"]), right(inputs["right"])])
    x = layers.Dense(5, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.fixture(scope="module")
def siamese():
    shared = encoder()
    model = comparison(shared, shared)
    randomize(model, 0.4, 0.2)
    return model


@pytest.fixture(scope="module")
def twin(siamese):
    """The same function, of two encoders with the same weights."""
    model = comparison(encoder("one"), encoder("two"))
    weights = siamese.get_weights()
    model.set_weights([*weights[:2], *weights])
    np.testing.assert_allclose(
        model.predict(PAIR, verbose=0), siamese.predict(PAIR, verbose=0)
    )
    return model


@pytest.mark.parametrize("method", [GradCAM, HiResCAM, GuidedGradCAM])
@pytest.mark.parametrize("side, number", [("left", 0), ("right", 1)])
def test_the_input_that_is_named_selects_the_call(
    method, side, number, siamese, twin
):
    separate = ["one/conv", "two/conv"][number]
    expected = method(twin, separate, input_name=side).explain(PAIR, 1)
    for chosen in (None, "conv"):
        explainer = method(siamese, chosen, input_name=side)
        assert_close(explainer.explain(PAIR, 1), expected)
        assert explainer.layers_used == [f"encoder/conv:{number}"]


@pytest.fixture(scope="module")
def listed(siamese):
    """The same function of a list of inputs, which have names."""
    inputs = [keras.Input((*SIZE, 3), name=name) for name in PAIR]
    outputs = siamese(dict(zip(PAIR, inputs, strict=True)))
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    "method",
    [GradCAM, Saliency, Occlusion, GuidedGradCAM, IntegratedGradients],
)
def test_an_input_of_a_list_has_a_name_and_a_number(method, siamese, listed):
    data = list(PAIR.values())
    options = {"num_steps": 2} if method is IntegratedGradients else {}
    for name in PAIR:
        expected = method(siamese, input_name=name, **options).explain(PAIR, 1)
        by_name = method(listed, input_name=name, **options)
        assert_close(by_name.explain(data, 1), expected)
    by_number = method(listed, input_name=1, **options)
    assert_close(by_number.explain(tuple(data), 1), expected)


def test_inputs_of_nested_structures_have_the_names_of_their_layers():
    parts = {
        "image": keras.Input((2,), name="image"),
        "others": [keras.Input((2,), name="age"), keras.Input((2,), name="b")],
    }
    x = layers.Concatenate()([parts["image"], *parts["others"]])
    model = keras.Model(parts, layers.Dense(1, use_bias=False)(x))
    kernel = model.get_weights()[0][:, 0]
    x = np.ones((2, 2), "float32")
    data = {"image": x, "others": [x, x]}
    for number, name in enumerate(["image", "age", "b"]):
        explainer = GradientInput(model, input_name=name)
        maps = explainer.explain(data, Component())
        assert_close(maps[0], kernel[2 * number : 2 * number + 2])
    for name in ("others", "c", True, 0, 1.0):
        with pytest.raises(
            ValueError,
            match=f"input_name={name!r}. Inputs: 'image', 'age', 'b'",
        ):
            Saliency(model, input_name=name).explain(data, Component())


def test_of_two_inputs_one_has_to_be_named(siamese, twin):
    for model, name in ((siamese, "encoder/conv:0"), (twin, "one/conv")):
        with pytest.raises(
            ValueError,
            match=f"input_name=None for layers '{name}' made from input 'left'"
            ", .* made from input 'right'. .* as `input_name`",
        ):
            GradCAM(model).explain(PAIR, 1)
        maps = GradCAM(model, input_name="left").explain(PAIR, 1)
        assert_close(GradCAM(model, name).explain(PAIR, 1), maps)


@pytest.mark.parametrize("method", [EigenCAM, GradCAM])
def test_several_calls_are_refused_by_naming_them(method, siamese):
    with pytest.raises(
        ValueError,
        match="'encoder/conv:0' made from input 'left', 'encoder/conv:1' made "
        "from input 'right'. Pass .*'encoder/conv:0', or .*`input_name`.",
    ):
        method(siamese, "conv").explain(PAIR, 1)
    by_layer = siamese.get_layer("encoder").get_layer("conv")
    with pytest.raises(
        ValueError, match="target_layer='conv', which is called"
    ):
        method(siamese, by_layer).explain(PAIR, 1)
    first = method(siamese, "encoder/conv:0").explain(PAIR, 1)
    assert_close(
        method(siamese, by_layer, input_name="left").explain(PAIR, 1), first
    )


def test_hidden_layers_follow_the_same_rule(siamese, twin):
    with pytest.raises(
        ValueError, match="called 2 times.*target_layer='encoder/conv:0'\\.$"
    ):
        Saliency(siamese, target_layer=["conv"]).explain(PAIR, 1)
    explainer = Saliency(siamese, target_layer=["conv:1", "encoder/conv:0"])
    right, left = explainer.explain(PAIR, 1)
    names = ["one/conv", "two/conv"]
    expected = Saliency(twin, target_layer=names).explain(PAIR, 1)
    assert_close(left, expected[0])
    assert_close(right, expected[1])


def test_a_call_made_from_another_input_is_refused(siamese):
    with pytest.raises(
        ValueError,
        match="target_layer='conv:1' for input 'left', but it is "
        "'encoder/conv:1', made from input 'right'",
    ):
        GradCAM(siamese, "conv:1", input_name="left").explain(PAIR, 1)


def test_only_calls_with_a_part_in_the_target_count():
    shared = encoder()
    inputs = [keras.Input((*SIZE, 3)) for _ in range(2)]
    dense = layers.Dense(2)
    model = keras.Model(inputs, [dense(shared(x)) for x in inputs])
    randomize(model, 0.4, 0.05)
    data = list(PAIR.values())
    alone = keras.Sequential([keras.Input((*SIZE, 3)), shared, dense])
    used = set()
    for number, image in enumerate(data):
        explainer = HiResCAM(model, "conv")
        maps = explainer.explain(data, lambda x, n=number: x[n][:, 0])
        assert_close(maps, HiResCAM(alone).explain(image, 0))
        used.update(explainer.layers_used)
    assert used == {"encoder/conv:0", "encoder/conv:1"}


def test_one_encoder_on_two_sizes_of_one_image_is_summed():
    shared = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Conv2D(4, 3, activation="relu", padding="same", name="conv"),
            layers.GlobalAveragePooling2D(),
        ],
        name="encoder",
    )
    inputs = keras.Input((*SIZE, 3))
    x = layers.Add()(
        [shared(inputs), shared(layers.AveragePooling2D(2)(inputs))]
    )
    model = keras.Model(inputs, layers.Dense(2, use_bias=False)(x))
    randomize(model, 0.4, 0.05)
    explainer = CAM(model)
    means = explainer.explain(PAIR["left"], 1).mean(axis=(1, 2))
    scores = model.predict(PAIR["left"], verbose=0)[:, 1]
    np.testing.assert_allclose(means, scores, rtol=1e-4)
    assert sorted(explainer.layers_used) == ["encoder/conv:0", "encoder/conv:1"]


FRAMES = images(3, *SIZE, 3)


def features():
    inputs = keras.Input((*SIZE, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="first")(inputs)
    x = layers.Conv2D(5, 3, activation="relu", name="last")(x)
    return keras.Model(inputs, x, name="base")


def video(frames=3, pooled=False):
    """A network on every frame, and an LSTM or a mean over them."""
    base = features()
    if pooled:
        inner = keras.Input((*SIZE, 3))
        x = layers.GlobalAveragePooling2D()(base(inner))
        base = keras.Model(inner, x, name="pooled")
    inputs = keras.Input((frames, *SIZE, 3))
    x = layers.TimeDistributed(base, name="frames")(inputs)
    if not pooled:
        pool = layers.GlobalAveragePooling2D()
        x = layers.TimeDistributed(pool, name="pools")(x)
    x = layers.LSTM(4)(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    randomize(model, 0.5, 0.1)
    return model


@pytest.fixture(scope="module")
def on_frames():
    return video()


def by_hand(model, k):
    """Activations and derivatives at the frames, by a tape."""
    base, pools = model.get_layer("frames"), model.get_layer("pools")
    maps = tf.convert_to_tensor(base(FRAMES))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        x = pools(maps)
        for layer in model.layers[-2:]:
            x = layer(x)
        score = x[:, k]
    return maps.numpy(), tape.gradient(score, maps).numpy()


@pytest.mark.parametrize(
    "chosen", [None, "frames", "last", "base", "frames/base/last", "last:0"]
)
def test_a_layer_on_frames_has_a_map_of_each(chosen, on_frames):
    activations, gradients = by_hand(on_frames, 1)
    explainer = HiResCAM(on_frames, chosen, resize=False)
    maps = explainer.explain(FRAMES, 1)
    assert maps.shape == (3, 3, 4, 4)
    assert_close(maps, (activations * gradients).sum(-1))
    full = HiResCAM(on_frames, chosen).explain(FRAMES, 1)
    assert full.shape == (3, 3, *SIZE)


def test_gradients_at_a_layer_on_frames_are_those_of_each(on_frames):
    _, gradients = by_hand(on_frames, 1)
    explainer = Saliency(on_frames, None, target_layer=["last", "frames"])
    for values in explainer.explain(FRAMES, 1):
        assert_close(values, gradients)
    assert explainer.layers_used == ["frames/base/last", "frames"]


def test_each_frame_of_a_mean_is_as_the_frame_alone():
    """Without an LSTM, the score is the mean of that of the frames."""
    base, head = features(), layers.Dense(2, use_bias=False)
    inputs = keras.Input((3, *SIZE, 3))
    x = layers.TimeDistributed(base)(inputs)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    model = keras.Model(inputs, head(layers.GlobalAveragePooling1D()(x)))
    randomize(model, 0.4, 0.05)
    inputs = keras.Input((*SIZE, 3))
    x = layers.GlobalAveragePooling2D()(base(inputs))
    alone = keras.Model(inputs, head(x))
    maps = HiResCAM(model).explain(FRAMES, 1)
    for frame in range(3):
        expected = HiResCAM(alone).explain(FRAMES[:, frame], 1) / 3
        assert_close(maps[:, frame], expected, 1e-5)


def test_a_network_that_pools_each_frame_is_explained_inside_it():
    explainer = GradCAM(video(pooled=True))
    maps = explainer.explain(FRAMES, 1)
    assert explainer.layers_used == ["frames/pooled/base/last"]
    assert maps.shape == (3, 3, *SIZE) and np.abs(maps).max() > 0


def by_hand_of_frames(model, inner):
    """HiResCAM of folded frames, by a tape on the layers by hand."""
    base, dense = model.get_layer("base"), model.layers[-1]
    frames = FRAMES.reshape(-1, *SIZE, 3)
    maps = tf.convert_to_tensor(base(frames))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        x = tf.reshape(tf.reduce_mean(maps, (1, 2)), (len(FRAMES), 3, -1))
        score = dense(inner(x))[:, 1]
    found = (maps * tape.gradient(score, maps)).numpy().sum(-1)
    return found.reshape(len(FRAMES), 3, *found.shape[1:])


@pytest.mark.parametrize("over", ["a mean", "an LSTM"])
def test_frames_that_are_folded_by_hand_have_a_map_of_each(over):
    inputs = keras.Input((3, *SIZE, 3))
    x = features()(ops.reshape(inputs, (-1, *SIZE, 3)))
    x = layers.GlobalAveragePooling2D()(x)
    inner = layers.GlobalAveragePooling1D()
    if over == "an LSTM":
        inner = layers.LSTM(4)
    x = inner(ops.reshape(x, (-1, 3, x.shape[-1])))
    model = keras.Model(inputs, layers.Dense(2)(x))
    randomize(model, 0.5, 0.1)
    with pytest.raises(ValueError, match="`target_layer` .* such as 'base'"):
        HiResCAM(model).explain(FRAMES, 1)
    explainer = HiResCAM(model, "base", resize=False)
    maps = explainer.explain(FRAMES, 1)
    assert_close(maps, by_hand_of_frames(model, inner))
    assert HiResCAM(model, "base").explain(FRAMES, 1).shape == (3, 3, *SIZE)


def test_channels_may_be_first_inside_of_frames():
    turned = np.moveaxis(FRAMES, -1, 2)
    maps = []
    for is_first in (False, True):
        options = {"padding": "same"}
        if is_first:
            options["data_format"] = "channels_first"
        inner = keras.Sequential(
            [
                keras.Input((3, *SIZE) if is_first else (*SIZE, 3)),
                layers.Conv2D(4, 3, activation="relu", **options),
                layers.Conv2D(5, 3, activation="relu", **options),
            ],
            name="base",
        )
        data = turned if is_first else FRAMES
        inputs = keras.Input(data.shape[1:])
        x = layers.TimeDistributed(inner)(inputs)
        x = ops.mean(x, (1, 3, 4) if is_first else (1, 2, 3))
        model = keras.Model(inputs, layers.Dense(2)(x))
        randomize(model, 0.4, 0.1)
        found = [method(model).explain(data, 1) for method in (CAM, Saliency)]
        maps.append(np.stack(found))
    assert_close(maps[1], maps[0], 1e-5)


def test_convolutions_that_are_wrapped_one_by_one_are_found_by_name():
    inputs = keras.Input((3, *SIZE, 3))
    x = layers.TimeDistributed(layers.Conv2D(4, 3, name="inner"), name="outer")(
        inputs
    )
    x = layers.GlobalAveragePooling3D()(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    randomize(model, 0.4, 0.05)
    maps = CAM(model).explain(FRAMES, 1)
    for name in ("inner", "outer", "outer/inner"):
        assert_close(CAM(model, name).explain(FRAMES, 1), maps)
    assert maps.shape == (3, 3, *SIZE)
