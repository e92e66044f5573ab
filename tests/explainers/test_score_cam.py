import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import NUMBER
from explainers.networks import WINDOWS
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import random_network
from explainers.networks import randomize
from explainers.networks import sizes_and
from keras import layers
from reference import laid
from reference import weighted_cam as reference
from tf_keras_vis.scorecam import Scorecam as Theirs
from tf_keras_vis.utils.scores import CategoricalScore

from keras_xmap.explainers import ScoreCAM

pytestmark = pytest.mark.tensorflow

WEIGHTINGS = ("softmax", "increase", "score")
CLASSES = np.array([0, 3, 1])
X = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")[None, ..., None]


def linear(bias=0.0):
    """f(X) = X[0, 0] + X[1, 1] + bias, behind the channels X and -2 X."""
    inputs = keras.Input((2, 2, 1))
    x = layers.Conv2D(2, 1, use_bias=False, name="maps")(inputs)
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))
    head = np.zeros((8, 1))
    head[[0, 6]] = 1
    kernel = np.reshape([1.0, -2.0], (1, 1, 1, 2))
    model.set_weights([kernel, head, np.array([bias])])
    return model


def probabilities(size=(9, 7), **options):
    """A random network that ends in a softmax."""
    model = random_network(size, **options)
    return keras.Model(model.inputs[0], keras.ops.softmax(model.outputs[0]))


def expected_maps(model, x, classes, layer="last", **options):
    bottom = keras.Model(model.inputs[0], model.get_layer(layer).output)
    maps = []
    for image, category in zip(x, classes, strict=True):

        def score_at(masked, category=category):
            return float(model(np.float32(masked)[None])[0, category])

        activations = bottom(image[None])[0].numpy()
        maps.append(
            reference.score_cam(
                activations,
                image,
                score_at,
                windows=WINDOWS.get(layer),
                **options,
            )
        )
    return np.array(maps)


@pytest.mark.parametrize(
    "weighting, weights",
    [
        # H_1 = [0, 1/3, 2/3, 1] and H_2 = 1 - H_1: f(X * H) is 4 and 1.
        ("increase", (4, 1)),
        ("score", (3.5, 0.5)),
        ("softmax", (1 / (1 + np.exp(-3)), 1 / (1 + np.exp(3)))),
    ],
)
def test_of_a_linear_model_the_weights_are_known(weighting, weights):
    explainer = ScoreCAM(linear(-0.5), "maps", weighting=weighting)
    expected = np.maximum((weights[0] - 2 * weights[1]) * X[..., 0], 0)
    assert expected.max() > 0
    np.testing.assert_allclose(
        explainer.explain(X, NUMBER), expected, rtol=1e-6
    )


@sizes_and("weighting", WEIGHTINGS)
def test_random_networks_have_the_maps_of_the_reference(size, weighting):
    model, x = probabilities(size, head="mlp"), images(*size, 3)
    expected = expected_maps(model, x, CLASSES, weighting=weighting)
    explainer = ScoreCAM(model, weighting=weighting, resize=False)
    assert_close(explainer.explain(x, CLASSES), expected, 5e-6)
    if weighting != "softmax":
        return
    # Maps are resized alike, whatever has weighed them.
    resized = [laid.lay(heatmap, size, WINDOWS["last"]) for heatmap in expected]
    assert_close(ScoreCAM(model).explain(x, CLASSES), resized, 5e-6)


def test_probabilities_are_the_default_and_logits_a_choice():
    logits = random_network(head="mlp")
    model = keras.Model(logits.inputs[0], keras.ops.softmax(logits.outputs[0]))
    x = images(9, 7, 3)
    by_logits = ScoreCAM(logits).explain(x, CLASSES)
    maps = ScoreCAM(model, score="logits").explain(x, CLASSES)
    assert_close(maps, by_logits)
    explainer = ScoreCAM(model)
    maps = explainer.explain(x, CLASSES)
    assert np.abs(maps - by_logits).max() > 0.05 * by_logits.max()
    assert explainer.score_used == "the output itself"


def test_the_softmax_weights_sum_to_one():
    """So maps of channels that are all alike are one such channel."""
    model, x = probabilities(), images(9, 7, 3)
    kernel, bias = model.get_layer("last").get_weights()
    kernel[:], bias[:] = kernel[..., :1], 1
    model.get_layer("last").set_weights([kernel, bias])
    bottom = keras.Model(model.inputs[0], model.get_layer("last").output)
    maps = ScoreCAM(model, resize=False).explain(x, CLASSES)
    assert_close(maps, bottom(x)[..., 0])


@pytest.mark.parametrize(
    "value", [pytest.param(0.0, marks=pytest.mark.slow), 5.0]
)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_dead_or_flat_channel_has_no_effect(weighting, value):
    full, x = probabilities(head="mlp"), images(9, 7, 3)
    kernel, bias = full.get_layer("last").get_weights()
    kernel[..., 2], bias[2] = 0, value
    full.get_layer("last").set_weights([kernel, bias])
    maps = ScoreCAM(full, weighting=weighting, resize=False).explain(x, 1)
    expected = expected_maps(full, x, [1, 1, 1], weighting=weighting)
    assert_close(maps, expected, 2e-6)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_where_all_channels_are_flat_the_map_is_zero(weighting):
    model, x = probabilities(), images(9, 7, 3)
    kernel, bias = model.get_layer("last").get_weights()
    model.get_layer("last").set_weights([0 * kernel, bias + 1])
    maps = ScoreCAM(model, weighting=weighting).explain(x, 1)
    np.testing.assert_array_equal(maps, np.zeros((3, 9, 7)))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize(
    "score", ["logits", pytest.param("output", marks=pytest.mark.slow)]
)
def test_constant_and_large_images_have_finite_maps(score, weighting):
    explainer = ScoreCAM(probabilities(), weighting=weighting, score=score)
    for value in (0.0, 1.0, 1e18, -1e18):
        x = np.full((2, 9, 7, 3), value, "float32")
        assert np.isfinite(explainer.explain(x, 2)).all()
        x = images(9, 7, 3) * np.float32(value)
        assert np.isfinite(explainer.explain(x, 2)).all()


def test_max_channels_takes_those_of_largest_variance_in_each_image():
    model, x = probabilities(head="mlp"), images(9, 7, 3)
    # A channel of large values that vary little is not among them.
    kernel, bias = model.get_layer("last").get_weights()
    kernel[..., 0] *= 0.1
    bias[0] = 50
    model.get_layer("last").set_weights([kernel, bias])
    bottom = keras.Model(model.inputs[0], model.get_layer("last").output)
    activations = bottom(x).numpy()
    expected = []
    for i in range(3):
        order = np.argsort(-activations[i].var(axis=(0, 1)))[:2]
        assert 0 not in order

        def score_at(masked, i=i):
            return float(model(np.float32(masked)[None])[0, CLASSES[i]])

        chosen = activations[i][..., order]
        expected.append(
            reference.score_cam(chosen, x[i], score_at, windows=WINDOWS["last"])
        )
    explainer = ScoreCAM(model, max_channels=2, resize=False)
    assert_close(explainer.explain(x, CLASSES), expected, 2e-6)


def test_as_many_channels_as_there_are_is_all_of_them():
    model, x = probabilities(), images(9, 7, 3)
    expected = ScoreCAM(model).explain(x, 2)
    for count in (6, 7, 1000):
        maps = ScoreCAM(model, max_channels=count).explain(x, 2)
        np.testing.assert_array_equal(maps, expected)


class CountsPasses(layers.Layer):
    """Notes the number of images of each forward pass that really runs."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def call(self, x):
        def note(size):
            self.sizes.append(int(size))
            return np.float32(0)

        nothing = tf.numpy_function(note, [tf.shape(x)[0]], tf.float32)
        return x + tf.ensure_shape(nothing, ())


@pytest.mark.parametrize(
    "options, passes",
    [
        ({}, 1 + 5),
        ({"max_channels": 3}, 1 + 3),
        ({"weighting": "score"}, 1 + 5),
        ({"weighting": "increase"}, 1 + 5 + 1),
    ],
)
def test_each_pass_has_the_size_of_the_batch_and_classes_share_it(
    options, passes
):
    counter = CountsPasses()
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            counter,
            layers.Conv2D(5, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    x, classes = images(6, 6, 3, count=6), np.arange(18).reshape(6, 3) % 4
    explainer = ScoreCAM(model, **options)
    explainer.explain(x, classes, verbose=0)
    counter.sizes.clear()
    explainer.explain(x, classes, batch_size=2, verbose=0)
    assert counter.sizes == [2] * 3 * passes


def test_a_single_channel_is_the_map_whatever_its_score(recwarn):
    model, x = probabilities(), images(9, 7, 3)
    explainer = ScoreCAM(model, max_channels=1, resize=False)
    maps = explainer.explain(x, CLASSES)
    assert not [w for w in recwarn if "softmax" in str(w.message)]
    bottom = keras.Model(model.inputs[0], model.get_layer("last").output)
    activations = bottom(x).numpy()
    chosen = activations.var(axis=(1, 2)).argmax(axis=-1)
    expected = [a[..., k] for a, k in zip(activations, chosen, strict=True)]
    assert_close(maps, expected)


def test_the_class_is_that_of_the_image_not_of_its_masked_copies():
    model, x = probabilities(head="flatten"), images(9, 7, 3, count=8)
    top = model.predict(x, verbose=0).argmax(-1)
    explainer = ScoreCAM(model)
    maps = explainer.explain(x)
    np.testing.assert_allclose(maps, explainer.explain(x, top), rtol=1e-5)


def test_no_gradient_is_needed():
    """A score of 0 and 1: is the image still of class 1?"""
    model, x = probabilities(), images(9, 7, 3)

    def is_class_one(scores):
        return keras.ops.cast(keras.ops.argmax(scores, -1) == 1, "float32")

    maps = ScoreCAM(model, weighting="score").explain(x, is_class_one)
    assert np.isfinite(maps).all()


def test_channels_first_is_as_channels_last():
    def network(data_format):
        shape = (6, 5, 3) if data_format == "channels_last" else (3, 6, 5)
        options = {"data_format": data_format}
        inputs = keras.Input(shape)
        x = layers.Conv2D(4, 3, activation="relu", **options)(inputs)
        x = layers.GlobalAveragePooling2D(**options)(x)
        return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))

    last, first = network("channels_last"), network("channels_first")
    first.set_weights(last.get_weights())
    x = images(6, 5, 3)
    expected = ScoreCAM(last).explain(x, 2)
    maps = ScoreCAM(first).explain(x.transpose(0, 3, 1, 2), 2)
    assert_close(maps, expected, 2e-6)


def two_inputs(first=(8, 6, 3), second=(8, 6, 3), last=(5,)):
    """Two images that make the maps, and a vector that does not."""
    shapes = {"a": first, "b": second, "v": last}
    inputs = {k: keras.Input(shape, name=k) for k, shape in shapes.items()}
    image, other, vector = inputs.values()
    pooled = layers.AveragePooling2D(second[0] // first[0])(other)
    x = layers.Concatenate()([image, pooled])
    x = layers.Conv2D(5, 3, activation="relu", name="last")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Concatenate()([x, vector])
    outputs = layers.Dense(4, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    randomize(model)
    return model


def test_all_images_that_make_the_layer_are_masked_and_nothing_else():
    """Also where they have sizes of their own."""
    for second in [(8, 6, 3), (16, 12, 3)]:
        model = two_inputs(second=second)
        data = {
            "a": images(8, 6, 3),
            "b": images(*second, seed=1),
            "v": images(5, seed=2),
        }
        bottom = keras.Model(model.input, model.get_layer("last").output)
        activations = bottom(data).numpy()
        explainer = ScoreCAM(model, weighting="score", resize=False)
        maps = explainer.explain(data, CLASSES)
        for i, category in enumerate(CLASSES):
            total = 0
            for k in range(5):
                channel = activations[i, ..., k]
                if channel.max() == channel.min():
                    continue
                masked = {"v": data["v"][i : i + 1]}
                for name in "ab":
                    image = data[name][i]
                    pool = len(image) // 8 if name == "b" else 1
                    windows = [(pool, pool), (3, 1)]
                    mask = laid.lay(channel, image.shape[:-1], windows)
                    mask = (mask - mask.min()) / (mask.max() - mask.min())
                    masked[name] = np.float32(image * mask[..., None])[None]
                total = total + float(model(masked)[0, category]) * channel
            assert_close(maps[i], total, 2e-6)


@pytest.mark.slow
def test_sizes_known_only_at_the_call_are_all_the_same():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(5, 3, activation="relu", name="last")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(x))
    explainer = ScoreCAM(model, max_channels=4)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def run(x):
        return explainer(x, 1)

    for size in [(6, 7), (9, 8)]:
        x = images(*size, 3)
        assert_close(run(x), explainer.explain(x, 1), 2e-6)


def test_the_model_is_traced_no_more_often_for_more_channels():
    traces = []
    for channels in (2, 50):

        class CountsTraces(layers.Layer):
            count = 0

            def call(self, x):
                CountsTraces.count += 1
                return x

        model = keras.Sequential(
            [
                keras.Input((4, 4, 3)),
                CountsTraces(),
                layers.Conv2D(channels, 1, name="maps"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(2),
            ]
        )
        CountsTraces.count = 0
        ScoreCAM(model, "maps").explain(images(4, 4, 3), 0)
        traces.append(CountsTraces.count)
    assert traces == [2, 2]


def test_the_map_of_one_image_does_not_depend_on_its_batch():
    model, x = probabilities(head="mlp"), images(9, 7, 3, count=5)
    explainer = ScoreCAM(model, max_channels=3)
    together = explainer.explain(x, np.arange(5) % 4)
    for i in range(5):
        alone = explainer.explain(x[i : i + 1], i % 4)
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-5, atol=1e-6)


def test_an_input_of_integers_alone_cannot_be_masked():
    inputs = keras.Input((4,), dtype="int32")
    vector = keras.Input((3,))
    x = layers.Embedding(5, 3, name="words")(inputs)
    x = layers.GlobalAveragePooling1D()(layers.Conv1D(3, 2, name="conv")(x))
    x = layers.Dense(2)(layers.Concatenate()([x, vector]))
    explainer = ScoreCAM(keras.Model([inputs, vector], x), "conv", resize=False)
    data = [np.ones((2, 4), "int32"), np.ones((2, 3), "float32")]
    with pytest.raises(ValueError, match=r"\(None, 3, 3\), shows. Received"):
        explainer.explain(data, 0)


def test_the_tokens_of_a_transformer_mask_the_image():
    inputs = keras.Input((4, 4, 3))
    x = layers.Reshape((16, 3), name="tokens")(inputs)
    x = layers.Dense(2)(layers.GlobalAveragePooling1D()(x))
    explainer = ScoreCAM(keras.Model(inputs, x), "tokens")
    maps = explainer.explain(images(4, 4, 3), 0)
    assert maps.shape == (len(images(4, 4, 3)), 4, 4)
    assert maps.max() > 0


BAD = [
    ({"max_channels": 0}, "Received: max_channels=0"),
    ({"max_channels": 2.5}, "Received: max_channels=2.5"),
    ({"weighting": "mean"}, "Received: weighting='mean'"),
    ({"score": "softmax"}, "Received: score='softmax'"),
]


@pytest.mark.parametrize("options, message", BAD, ids=lambda x: str(x))
def test_bad_arguments_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        ScoreCAM(random_network(), **options)


def full_size():
    """Maps of the size of the input, which need no resizing."""
    inputs = keras.Input((6, 5, 3))
    x = layers.Conv2D(4, 3, padding="same", name="last")(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Activation("relu")(x))
    model = keras.Model(inputs, layers.Dense(4)(x))
    randomize(model)
    return model


def test_weighed_by_probabilities_of_a_model_of_logits_it_is_tf_keras_vis():
    """Its softmax comes on top of whatever ends the model.

    So it is right for models that put out logits only. Its masks are resized
    with aligned corners, so that they are equal at the size of the input; it
    takes the weights of the authors' code, without their skipping of flat
    channels; and chooses one set of channels for the whole batch.
    """
    logits, x = full_size(), images(6, 5, 3)
    theirs = Theirs(logits)(
        CategoricalScore(list(CLASSES)),
        x,
        penultimate_layer="last",
        expand_cam=False,
        normalize_cam=False,
    )
    model = keras.Model(logits.inputs[0], keras.ops.softmax(logits.outputs[0]))
    explainer = ScoreCAM(model, "last", weighting="score")
    assert_close(explainer.explain(x, CLASSES), theirs, 2e-6)
