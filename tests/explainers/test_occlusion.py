import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import NUMBER
from explainers.networks import CountsTraces
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import random_network
from explainers.networks import sizes_and
from keras import layers
from reference.perturbation import occlusion

from keras_xmap.explainers import Occlusion
from keras_xmap.targets import Difference

pytestmark = pytest.mark.tensorflow


def linear(*shape, weights=None, seed=0):
    """One score `w . I`; returns the model and `w` in the image's shape."""
    if weights is None:
        weights = np.random.default_rng(seed).normal(size=shape)
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Flatten(),
            layers.Dense(1, use_bias=False),
        ]
    )
    weights = np.asarray(weights, "float32").reshape(shape)
    model.set_weights([weights.reshape(-1, 1)])
    return model, weights


def explain(model, x, target=NUMBER, **options):
    return Occlusion(model, **options).explain(x, target, verbose=0)


ROW = [1.0, 2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize(
    "patch_size, strides, expected",
    [
        (1, None, ROW),
        (2, None, [3, 3, 12, 12, 16]),
        (3, None, [7, 7, 7, 24, 24]),
        # Windows 0-1, 1-2, 2-3, 3-4: effects 3, 6, 12, 24.
        (2, 1, [3, 4.5, 9, 18, 24]),
        # Windows 0-2, 2-4: effects 7, 28.
        (3, 2, [7, 7, 17.5, 28, 28]),
        # Windows 0-3 and 3-4, cut at the border: effects 15, 24.
        (4, 3, [15, 15, 15, 19.5, 24]),
        (5, None, [31] * 5),
        (9, None, [31] * 5),
    ],
)
def test_a_row_has_the_effects_counted_by_hand(patch_size, strides, expected):
    model, _ = linear(1, 5, 1, weights=ROW)
    maps = explain(
        model,
        np.ones((1, 1, 5, 1), "float32"),
        patch_size=patch_size,
        strides=strides,
    )
    np.testing.assert_allclose(maps, [[expected]], rtol=1e-6)


def test_windows_may_be_of_another_size_along_each_axis():
    model, w = linear(3, 4, 1)
    x = images(3, 4, 1)
    maps = explain(model, x, patch_size=(3, 1))
    columns = (x * w)[..., 0].sum(axis=1, keepdims=True)
    assert_close(maps, np.broadcast_to(columns, (3, 3, 4)))


@sizes_and(
    "windows", [(3, 2), (4, 4), (2, 1)], sizes=[(11,), (7, 9), (5, 4, 6)]
)
def test_random_networks_have_the_maps_of_the_reference(size, windows):
    patch_size, strides = windows
    # Small enough that the second convolution has something left.
    convolution = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
    inputs = keras.Input((*size, 2))
    x = convolution[len(size)](4, 3, activation="relu")(inputs)
    outputs = layers.Dense(3)(layers.Flatten()(x))
    model, data = keras.Model(inputs, outputs), images(*size, 2)

    def score_of(image):
        return model(image[None].astype("float32")).numpy()[0, 1]

    rank = len(size)
    expected = [
        occlusion(score_of, image, [patch_size] * rank, [strides] * rank, 0.5)
        for image in data
    ]
    maps = explain(
        model, data, 1, patch_size=patch_size, strides=strides, baseline=0.5
    )
    assert_close(maps, expected, 3e-6)


@pytest.mark.parametrize("baseline", [0, -1.5, "mean", "array", "image"])
def test_tiles_sum_to_the_effect_of_the_whole_input(baseline):
    """Of a linear model: `S(I) - S(baseline)`, whether tiles fit or not."""
    model, w = linear(7, 5, 2)
    x = images(7, 5, 2)
    value = np.asarray(0.0)
    if baseline == "mean":
        value = x.mean(axis=(1, 2), keepdims=True)
    elif baseline == "array":
        baseline = value = np.array([0.5, -2.0])
    elif baseline == "image":
        baseline = value = images(7, 5, 2, seed=1)[0]
    else:
        value = baseline
    maps = explain(model, x, patch_size=(3, 2), baseline=baseline)
    effects = maps[:, ::3, ::2]  # one pixel of each tile
    whole = ((x - value) * w).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(effects.sum(axis=(1, 2)), whole, rtol=1e-4)


def test_single_pixels_of_a_linear_model_have_weight_times_input():
    model, w = linear(4, 3, 2)
    x = images(4, 3, 2)
    maps = explain(model, x, patch_size=1)
    np.testing.assert_allclose(maps, (x * w).sum(-1), atol=2e-6)


def test_channels_first_is_channels_last_with_its_axes_moved():
    x = images(3, 6, 5)
    first = keras.Sequential(
        [
            keras.Input((3, 6, 5)),
            layers.AveragePooling2D(1, data_format="channels_first"),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    weights = np.random.default_rng(2).normal(size=(3, 6, 5)).astype("float32")
    first.set_weights([weights.reshape(-1, 1), np.zeros(1, "float32")])
    last, _ = linear(6, 5, 3, weights=np.moveaxis(weights, 0, -1))
    assert_close(
        explain(first, x, patch_size=2, strides=1),
        explain(last, np.moveaxis(x, 1, -1), patch_size=2, strides=1),
    )


def two_inputs():
    inputs = {"image": keras.Input((4, 4, 1)), "vector": keras.Input((3,))}
    x = layers.Concatenate()(
        [layers.Flatten()(inputs["image"]), inputs["vector"]]
    )
    return keras.Model(inputs, layers.Dense(2)(x))


def test_several_inputs_are_occluded_one_at_a_time():
    model = two_inputs()
    data = {"image": images(4, 4, 1), "vector": images(3, seed=1)}
    maps = explain(model, data, 1, patch_size=2)
    weights = model.get_weights()[0][:, 1]
    products = data["image"][..., 0] * weights[:16].reshape(4, 4)
    tiles = products.reshape(3, 2, 2, 2, 2).sum(axis=(2, 4))
    assert_close(maps["image"], tiles.repeat(2, 1).repeat(2, 2))
    products = data["vector"] * weights[16:]
    pair = products[:, :2].sum(-1)
    expected = np.stack([pair, pair, products[:, 2]], axis=-1)
    assert_close(maps["vector"], expected)


def test_inputs_of_integers_are_left_as_they_are_and_have_no_map():
    inputs = [keras.Input((4, 4, 1)), keras.Input((2,), dtype="int32")]
    x = layers.Flatten()(layers.Embedding(5, 3)(inputs[1]))
    x = layers.Concatenate()([layers.Flatten()(inputs[0]), x])
    model = keras.Model(inputs, layers.Dense(2)(x))
    data = [images(4, 4, 1), np.array([[0, 1], [2, 3], [4, 0]])]
    of_image, of_words = explain(model, data, 1, patch_size=2)
    assert of_image.shape == (3, 4, 4)
    assert of_words is None


def test_scores_that_round_and_compare_are_explained():
    model, w = linear(4, 4, 1)
    x = images(4, 4, 1)

    def is_high(scores):
        return tf.cast(scores[:, 0] > 0, "float32")

    maps = explain(model, x, is_high, patch_size=2)
    total = (x * w).sum(axis=(1, 2, 3))
    tiles = (x * w).reshape(3, 2, 2, 2, 2).sum(axis=(2, 4))
    tiles = tiles.repeat(2, 1).repeat(2, 2)
    rest = total[:, None, None] - tiles
    high = total[:, None, None] > 0
    np.testing.assert_array_equal(maps, 1.0 * high - (rest > 0))
    assert len(np.unique(maps)) > 1


def test_the_class_is_that_of_the_image_not_of_its_occluded_copies():
    model = random_network(head="mlp")
    x = images(9, 7, 3, count=8)
    top = model.predict(x, verbose=0).argmax(-1)
    assert_close(
        explain(model, x, None, patch_size=4),
        explain(model, x, top, patch_size=4),
    )


def test_differences_of_classes_have_differences_of_maps():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    together = explain(model, x, Difference(2, 0), patch_size=4)
    maps = [explain(model, x, k, patch_size=4) for k in (2, 0)]
    assert_close(together, maps[0] - maps[1], 3e-6)


def test_probabilities_are_explained_on_request():
    inputs = keras.Input((1, 2, 1))
    x = layers.Dense(1, use_bias=False)(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Activation("sigmoid")(x))
    model.set_weights([np.array([[1.0], [2.0]], "float32")])
    x = np.ones((1, 1, 2, 1), "float32")
    maps = explain(model, x, patch_size=1, score="output")

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    expected = [sigmoid(3) - sigmoid(2), sigmoid(3) - sigmoid(1)]
    np.testing.assert_allclose(maps, [[expected]], rtol=1e-5)
    logits = explain(model, x, patch_size=1)
    np.testing.assert_allclose(logits, [[[1.0, 2.0]]])


def test_sizes_may_be_unknown_until_the_call():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    x = layers.Dense(2)(layers.GlobalMaxPooling2D()(x))
    model = keras.Model(inputs, x)
    explainer = Occlusion(model, patch_size=4, strides=3)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def mine(x):
        return explainer(x, 1)

    for size in ((9, 7), (3, 12)):
        x = images(*size, 3)
        assert_close(mine(x), explainer.explain(x, 1, verbose=0))


def test_the_model_is_traced_no_more_often_for_more_windows():
    traces = []
    for size in (2, 8, 64):
        counter = CountsTraces()
        model = keras.Sequential(
            [keras.Input((size,)), counter, layers.Dense(2)]
        )
        counter.count = 0
        explain(model, images(size), patch_size=1)
        traces.append(counter.count)
    assert len(set(traces)) == 1
    assert traces[0] <= 3


@pytest.mark.parametrize("baseline", [0, "mean"])
def test_an_image_that_is_the_baseline_has_no_effects(baseline):
    x = np.full((2, 9, 7, 3), 0.0, "float32")
    maps = explain(random_network(), x, patch_size=4, baseline=baseline)
    np.testing.assert_array_equal(maps, 0)


def test_large_images_have_finite_maps():
    x = images(9, 7, 3) * np.float32(1e18)
    assert np.isfinite(explain(random_network(), x, patch_size=4)).all()


BAD = [
    ({"patch_size": 0}, "Received: patch_size=0"),
    ({"patch_size": 2.5}, "Received: patch_size=2.5"),
    ({"patch_size": (4, 0)}, "Received: patch_size=0"),
    ({"strides": -1}, "Received: strides=-1"),
    ({"patch_size": 4, "strides": 5}, "Received: strides=5, patch_size=4"),
    ({"patch_size": (4, 2), "strides": 3}, r"Received: strides=3, patch"),
    ({"patch_size": (4, 2), "strides": (1,)}, r"Received: strides=\(1,\)"),
    ({"baseline": "black"}, "Received: baseline='black'"),
    ({"baseline": None}, "Received: baseline=None"),
    ({"baseline": float("nan")}, "Received: baseline=nan"),
    ({"baseline": True}, "Received: baseline=True"),
]


@pytest.mark.parametrize("options, message", BAD, ids=lambda x: str(x))
def test_bad_arguments_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        Occlusion(random_network(), **options)


def test_sizes_and_baselines_that_do_not_fit_the_image_are_refused():
    model, x = random_network(), images(9, 7, 3)
    with pytest.raises(ValueError, match=r"patch_size=\(2, 2, 2\) for an inp"):
        explain(model, x, patch_size=(2, 2, 2))
    for shape in ((2,), (9, 1), (3, 9, 7, 3)):
        with pytest.raises(ValueError, match="Received: baseline"):
            explain(model, x, baseline=np.zeros(shape))
