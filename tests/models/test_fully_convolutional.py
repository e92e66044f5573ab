import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_xmap.models import fully_convolutional


def images(*shape, count=2, seed=0):
    generator = np.random.default_rng(seed)
    return generator.uniform(size=(count, *shape)).astype("float32")


def randomized(model, seed=0):
    """Gives every weight a value: biases and statistics count, too."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        if "seed" in variable.path or "dtype" in variable.path:
            continue
        values = generator.normal(size=variable.shape)
        if len(variable.shape) < 2:
            values = 0.1 * values + ("variance" in variable.path)
        else:
            values /= np.sqrt(np.prod(variable.shape[:-1]))
        variable.assign(values.astype("float32"))
    return model


def chain(x, *parts):
    for part in parts:
        x = part(x)
    return x


def body():
    return [
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(6, 3, padding="same", activation="relu"),
    ]


HEADS = {
    "flatten": lambda: [layers.Flatten(), layers.Dense(5)],
    "vgg": lambda: [
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(7, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(6, use_bias=False),
        layers.ReLU(),
        layers.Dense(5, activation="softmax"),
    ],
    "average": lambda: [
        layers.GlobalAveragePooling2D(),
        layers.Dense(5, activation="softmax"),
    ],
    "maximum": lambda: [
        layers.GlobalMaxPooling2D(),
        layers.BatchNormalization(),
        layers.Dense(5, activation="sigmoid"),
    ],
    "mobilenet": lambda: [
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.Dropout(0.1),
        layers.Conv2D(5, 1, padding="same"),
        layers.Reshape((5,)),
        layers.Activation("softmax"),
    ],
    "mobilenet 3": lambda: [
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.Conv2D(8, 1),
        layers.LayerNormalization(),
        layers.Conv2D(5, 1),
        layers.Flatten(),
        layers.Softmax(),
    ],
    "reshaped": lambda: [
        layers.GlobalAveragePooling2D(),
        layers.Reshape((1, 1, 6)),
        layers.Flatten(),
        layers.Rescaling(2.0),
        layers.Dense(5),
    ],
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "kind",
    [
        "functional",
        pytest.param("sequential", marks=pytest.mark.slow),
        "nested",
    ],
)
def test_at_the_original_size_it_is_the_model(head, kind):
    inputs = keras.Input((10, 12, 3))
    if kind == "functional":
        model = keras.Model(inputs, chain(inputs, *body(), *HEADS[head]()))
    elif kind == "sequential":
        model = keras.Sequential([inputs, *body(), *HEADS[head]()])
    else:
        base = keras.Sequential([inputs, *body()], name="base")
        outer = keras.Input((10, 12, 3))
        x = chain(base(outer), keras.Sequential(HEADS[head](), name="head"))
        model = keras.Model(outer, x)
    x = images(10, 12, 3)
    randomized(model)
    expected = model.predict(x, verbose=0)
    actual = fully_convolutional(model).predict(x, verbose=0)
    assert actual.shape == (2, 1, 1, 5)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(actual[:, 0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_each_place_has_the_score_of_the_image_cut_out_there(head):
    model = randomized(
        keras.Sequential(
            [
                keras.Input((10, 8, 3)),
                layers.Conv2D(4, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Conv2D(6, 2, activation="relu"),
                *HEADS[head](),
            ]
        )
    )
    large = images(16, 12, 3)
    scores = fully_convolutional(model).predict(large, verbose=0)
    assert scores.shape == (2, 4, 3, 5)
    for row in range(4):
        for column in range(3):
            top, left = 2 * row, 2 * column  # the pooling steps by 2
            cut = large[:, top : top + 10, left : left + 8]
            np.testing.assert_allclose(
                scores[:, row, column],
                model.predict_on_batch(cut),
                atol=1e-5,
            )


def test_without_windows_the_mean_of_the_positions_is_the_score():
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            *body(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(5),
        ]
    )
    x = images(12, 12, 3)
    by_position = fully_convolutional(randomized(model), pooling="position")
    scores = by_position.predict(x, verbose=0)
    assert scores.shape == (2, 5, 5, 5)
    np.testing.assert_allclose(
        scores.mean((1, 2)), model.predict(x, verbose=0), atol=1e-5
    )
    assert by_position.predict(images(7, 9, 3), verbose=0).shape[1:3] == (2, 3)


def test_a_squeeze_and_excitation_block_is_no_head():
    inputs = keras.Input((12, 12, 3))
    x = chain(inputs, *body())
    for _ in range(2):
        gate = chain(
            x,
            layers.GlobalAveragePooling2D(),
            layers.Reshape((1, 1, 6)),
            layers.Conv2D(6, 1, activation="sigmoid"),
        )
        x = layers.Multiply()([x, gate])
    x = chain(x, layers.GlobalAveragePooling2D(), layers.Dense(4))
    model = randomized(keras.Model(inputs, x))
    sliding = fully_convolutional(model)
    kinds = [type(layer).__name__ for layer in sliding.layers]
    assert kinds.count("GlobalAveragePooling2D") == 2
    x = images(12, 12, 3)
    np.testing.assert_allclose(
        sliding.predict(x, verbose=0)[:, 0, 0],
        model.predict(x, verbose=0),
        atol=1e-5,
    )


def test_heads_of_two_poolings_several_outputs_and_operations():
    inputs = keras.Input((12, 12, 3), name="photo")
    x = chain(inputs, *body())
    joined = layers.Concatenate()(
        [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
    )
    model = keras.Model(
        inputs,
        {
            "class": ops.softmax(layers.Dense(4)(joined)),
            "scene": ops.sigmoid(layers.Dense(2)(layers.Flatten()(x))),
            "map": layers.Conv2D(1, 1)(x),
        },
    )
    x = images(12, 12, 3)
    expected = randomized(model).predict(x, verbose=0)
    actual = fully_convolutional(model).predict({"photo": x}, verbose=0)
    for name in ("class", "scene"):
        np.testing.assert_allclose(
            actual[name][:, 0, 0], expected[name], atol=1e-5
        )
    np.testing.assert_allclose(actual["map"], expected["map"], atol=1e-5)


def test_shared_layers_frozen_layers_and_inference_stay_so():
    inner = keras.Input((6, 6, 4))
    base = keras.Model(
        inner, layers.BatchNormalization(name="norm")(inner), name="base"
    )
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    shared.trainable = False
    inputs = keras.Input((6, 6, 4))
    x = shared(shared(base(inputs, training=False)))
    x = layers.Dense(3, name="norm_1")(layers.Flatten()(x))
    model = randomized(keras.Model(inputs, x))
    sliding = fully_convolutional(model)
    assert [layer.name for layer in sliding.layers].count("shared") == 1
    assert not sliding.get_layer("shared").trainable
    x = 5 + images(6, 6, 4)
    expected = model(x, training=True)
    np.testing.assert_allclose(
        ops.convert_to_numpy(sliding(x, training=True))[:, 0, 0],
        ops.convert_to_numpy(expected),
        atol=1e-4,
    )


def test_layers_of_one_name_in_two_inner_models_get_names_of_their_own():
    def part(name, *rest):
        return keras.Sequential(
            [layers.Conv2D(3, 3, name="conv"), *rest], name=name
        )

    model = keras.Sequential(
        [
            keras.Input((9, 9, 3)),
            part("one"),
            part("two", layers.Flatten(), layers.Dense(2, name="conv2")),
        ]
    )
    sliding = fully_convolutional(randomized(model), name="sliding")
    names = [layer.name for layer in sliding.layers]
    assert sliding.name == "sliding"
    assert names[1:] == ["conv", "two_conv", "conv2"]
    x = images(9, 9, 3)
    np.testing.assert_allclose(
        sliding.predict(x, verbose=0)[:, 0, 0],
        model.predict(x, verbose=0),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "pool", [layers.GlobalAveragePooling2D, layers.Flatten]
)
def test_channels_first_become_last_behind_the_body(pool):
    # Layers that CPUs run in either format.
    inputs = keras.Input((3, 8, 6))
    x = layers.BatchNormalization(axis=1)(inputs)
    x = pool(data_format="channels_first")(x)
    model = randomized(keras.Model(inputs, layers.Dense(4)(x)))
    sliding = fully_convolutional(model)
    x = images(3, 8, 6)
    np.testing.assert_allclose(
        sliding.predict(x, verbose=0)[:, 0, 0],
        model.predict(x, verbose=0),
        atol=1e-5,
    )
    assert sliding.predict(images(3, 9, 9), verbose=0).shape == (2, 2, 4, 4)


@pytest.mark.traces
@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.applications.VGG16(
            weights=None, input_shape=(32, 32, 3), classes=3
        ),
        lambda: keras.applications.MobileNetV2(
            (32, 32, 3), alpha=0.35, weights=None, classes=3
        ),
        pytest.param(
            lambda: keras.applications.MobileNetV3Small(
                (32, 32, 3), alpha=0.75, weights=None, classes=3
            ),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda: keras.applications.EfficientNetB0(
                input_shape=(32, 32, 3), weights=None, classes=3
            ),
            marks=[pytest.mark.slow, pytest.mark.sweep],
        ),
        pytest.param(
            lambda: keras.applications.ResNet50(
                input_shape=(32, 32, 3), weights=None, classes=3
            ),
            marks=[pytest.mark.slow, pytest.mark.sweep],
        ),
    ],
    ids=["VGG16", "MobileNetV2", "MobileNetV3", "EfficientNet", "ResNet50"],
)
def test_networks_of_keras_applications(make):
    model, x = make(), images(32, 32, 3)
    config, weights = model.get_config(), model.get_weights()
    expected = model.predict(x, verbose=0)
    sliding = fully_convolutional(model)
    np.testing.assert_allclose(
        sliding.predict(x, verbose=0)[:, 0, 0], expected, atol=1e-5
    )
    assert sliding.predict(images(96, 64, 3), verbose=0).shape == (2, 3, 2, 3)
    assert model.get_config() == config
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def sequential(*parts, size=(8, 8, 3)):
    return keras.Sequential([keras.Input(size), *parts])


REFUSED = {
    "no model": (lambda: layers.Dense(2), TypeError, "Received: model=<Dense"),
    "subclassed": (Subclassed, ValueError, "of the class Subclassed"),
    "not built": (
        lambda: keras.Sequential([layers.Flatten()], name="later"),
        ValueError,
        "Received: model='later', a sequential model of unknown",
    ),
    "no head": (
        lambda: sequential(layers.Conv2D(2, 1)),
        ValueError,
        r"puts out shapes \[\(None, 8, 8, 2\)\]",
    ),
    "no Dense": (
        lambda: sequential(layers.Flatten()),
        ValueError,
        r"a flattened map of shape \(None, 192\)",
    ),
    "normalised between Flatten and Dense": (
        lambda: sequential(
            layers.Flatten(),
            layers.BatchNormalization(name="norm"),
            layers.Dense(2),
        ),
        ValueError,
        "BatchNormalization 'norm' .* between a Flatten and its Dense",
    ),
    "weights per position": (
        lambda: sequential(
            layers.GlobalMaxPooling2D(), layers.PReLU(name="slope")
        ),
        ValueError,
        "Received: PReLU 'slope'",
    ),
    "a decoder": (
        lambda: sequential(
            layers.GlobalMaxPooling2D(),
            layers.Dense(12),
            layers.Reshape((2, 2, 3), name="grid"),
        ),
        ValueError,
        "Received: Reshape 'grid'",
    ),
    "a wide convolution of one position": (
        lambda: sequential(
            layers.GlobalMaxPooling2D(keepdims=True),
            layers.Conv2D(2, 3, padding="same", name="wide"),
        ),
        ValueError,
        "Received: Conv2D 'wide'",
    ),
    "a reshaped map": (
        lambda: sequential(
            layers.Reshape((4, 16, 3), name="folded"),
            layers.GlobalMaxPooling2D(),
        ),
        ValueError,
        "Received: Reshape 'folded' .* needs their size",
    ),
    "windows of no size": (
        lambda: sequential(
            layers.GlobalMaxPooling2D(name="pool"), size=(None, None, 3)
        ),
        ValueError,
        "Received: layer 'pool' .* pooling='position'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_is_named(case):
    make, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        fully_convolutional(make())


def test_a_wrong_pooling_is_refused():
    with pytest.raises(ValueError, match="Received: pooling='mean'"):
        fully_convolutional(sequential(layers.Flatten()), pooling="mean")
