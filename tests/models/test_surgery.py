"""Models recorded, opened up and copied: what every builder stands on."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xmap.models import DataFormats
from keras_xmap.models import Recording
from keras_xmap.models import Replay
from keras_xmap.models import copy_weights


def images(*shape):
    rng = np.random.default_rng(0)
    return rng.uniform(size=(2, *shape)).astype("float32")


def block(name):
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(3, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="norm"),
        ],
        name=name,
    )


def nested():
    """Two inner models with layers of the same names, one of them shared."""
    inputs = keras.Input((8, 8, 3))
    one, other = block("one"), block("other")
    x = one(inputs, training=False)
    x = other(one(x)) * 2.0 + inputs
    return keras.Model(inputs, {"map": x, "mean": layers.Flatten()(x)})


def copied(model):
    recording = Recording(model)
    inputs = [keras.Input(x.shape[1:], name=x.name) for x in model.inputs]
    return keras.Model(inputs, Replay(recording).outputs(inputs))


def test_a_recording_opens_inner_models_and_keeps_their_options():
    calls = Recording(nested()).calls
    paths = [call.path for call in calls]
    assert paths[:2] == ["one/conv", "one/norm"]
    assert paths.count("one/conv") == 2 and paths.count("other/norm") == 1
    norms = [call for call in calls if call.path == "one/norm"]
    assert norms[0].kwargs["training"] is False
    assert not norms[1].kwargs.get("training")


def test_the_maker_of_a_tensor_is_found_through_inner_models():
    inputs = keras.Input((8, 8, 3))
    recording = Recording(keras.Model(inputs, block("one")(inputs)))
    assert recording.maker(recording.outputs).path == "one/norm"
    assert recording.maker(recording.inputs) is None


def test_a_copy_computes_the_same_and_shares_nothing():
    model, x = nested(), images(8, 8, 3)
    for weight in model.weights:
        shape = weight.shape
        weight.assign(np.linspace(0.1, 1.0, int(np.prod(shape))).reshape(shape))
    copy = copied(model)
    expected = model.predict(x, verbose=0)
    made = copy.predict(x, verbose=0)
    for name in ("map", "mean"):
        np.testing.assert_allclose(made[name], expected[name], rtol=1e-6)
    # Both calls of `one` share a copy: 6 weights of each of two blocks.
    assert len(copy.weights) == len(model.weights) == 12
    names = [layer.name for layer in copy.layers]
    assert {"conv", "norm", "other_conv", "other_norm"} <= set(names)
    for weight in copy.weights:
        weight.assign(0 * weight)
    again = model.predict(x, verbose=0)
    assert (again["map"] == expected["map"]).all()


def test_names_that_are_taken_are_left_alone():
    model = block("one")
    inputs = keras.Input((8, 8, 3))
    outputs = Replay(Recording(model), taken=["conv"]).outputs([inputs])
    names = [layer.name for layer in keras.Model(inputs, outputs).layers]
    assert "conv_2" in names and "norm" in names


def test_what_is_frozen_stays_frozen_in_the_copy():
    model = nested()
    model.get_layer("other").get_layer("conv").kernel.trainable = False
    one = model.get_layer("one")
    one.trainable = False
    one.get_layer("norm").trainable = True
    trainable = {w.path for w in copied(model).trainable_weights}
    expected = {w.path for w in model.trainable_weights}
    expected = {path.replace("other/", "other_") for path in expected}
    assert trainable == {path.replace("one/", "") for path in expected}
    assert len(trainable) == 5


def test_weights_are_copied_with_what_a_normalization_adapted_to():
    layer = layers.Normalization()
    layer.adapt(images(4, 4, 3))
    copy = layers.Normalization.from_config(layer.get_config())
    copy.build((None, 4, 4, 3))
    copy_weights(layer, copy)
    x = images(4, 4, 3)
    np.testing.assert_allclose(copy(x), layer(x), atol=1e-6)


def formats(inputs, outputs):
    recording = Recording(keras.Model(inputs, outputs))
    found = DataFormats(recording)
    return keras.tree.flatten(
        keras.tree.map_structure(
            found.of, (recording.inputs, recording.outputs)
        )
    )


FIRST, LAST = "channels_first", "channels_last"


@pytest.mark.parametrize("data_format", [FIRST, LAST])
@pytest.mark.parametrize(
    "make",
    [
        lambda data_format: layers.Conv2D(2, 3, data_format=data_format),
        lambda data_format: layers.MaxPooling2D(data_format=data_format),
        lambda data_format: keras.Sequential(
            [layers.ReLU(), layers.Conv2D(2, 3, data_format=data_format)]
        ),
    ],
)
def test_an_image_is_in_the_format_of_the_first_layer_that_has_one(
    make, data_format
):
    inputs = keras.Input((8, 8, 8))
    x = make(data_format)(layers.Rescaling(2.0)(inputs))
    assert formats(inputs, layers.ReLU()(x)) == [data_format] * 2


@pytest.mark.parametrize(
    "move",
    [
        lambda x: layers.Permute((3, 1, 2))(x),
        lambda x: keras.ops.transpose(x, (0, 3, 1, 2)),
    ],
)
def test_a_transposition_changes_the_format(move):
    inputs = keras.Input((8, 8, 3))
    x = move(layers.Rescaling(2.0)(inputs))
    x = layers.MaxPooling2D(data_format=FIRST)(x)
    assert formats(inputs, x) == [LAST, FIRST]
    assert formats(inputs, layers.Permute((2, 3, 1))(x)) == [LAST, LAST]
    # One that only swaps height and width changes nothing.
    assert formats(inputs, layers.Permute((1, 3, 2))(x)) == [LAST, FIRST]


def test_branches_may_be_in_different_formats():
    inputs = keras.Input((8, 8, 3))
    first = layers.Permute((3, 1, 2))(inputs)
    first = layers.MaxPooling2D(data_format=FIRST)(first)
    last = layers.MaxPooling2D(data_format=LAST)(inputs)
    assert formats(inputs, [first, last]) == [LAST, FIRST, LAST]
    together = layers.Add()([layers.Permute((2, 3, 1))(first), last])
    assert formats(inputs, together) == [LAST, LAST]


def test_of_layers_that_contradict_each_other_the_first_is_believed():
    inputs = keras.Input((8, 8, 8))
    x = layers.MaxPooling2D(data_format=FIRST)(inputs)
    y = layers.MaxPooling2D(data_format=LAST)(inputs)
    # Keras calls first what lies further from the outputs.
    assert formats(inputs, [layers.ReLU()(x), y]) == [FIRST, FIRST, LAST]


def test_without_a_layer_that_tells_it_is_that_of_keras():
    inputs = keras.Input((8, 8, 8))
    own = keras.config.image_data_format()
    other = LAST if own == FIRST else FIRST
    x = layers.ReLU()(inputs)
    moved = layers.Permute((3, 1, 2))(x)
    assert formats(inputs, [x, moved]) == [own, own, other]
    vectors = keras.Input((5,))
    assert formats(vectors, layers.Dense(2)(vectors)) == [own, own]
