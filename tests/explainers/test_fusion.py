import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xmap.explainers import CAM
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers import LayerCAM

pytestmark = pytest.mark.tensorflow

IMAGES = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype("float32")
LAYERS = ["first", "second"]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(6, 3, activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def divided_by_its_maximum(heatmap):
    peak = heatmap.max(axis=(1, 2), keepdims=True)
    return np.where(peak > 0, heatmap / np.where(peak > 0, peak, 1), 0)


@pytest.mark.parametrize("fusion", ["mean", "max"])
def test_maps_of_several_layers_are_fused_after_division_by_their_maximum(
    model, fusion
):
    alone = [GradCAM(model, name).explain(IMAGES, 1) for name in LAYERS]
    alone = np.stack([divided_by_its_maximum(heatmap) for heatmap in alone])
    expected = getattr(alone, fusion)(axis=0)
    explainer = GradCAM(model, LAYERS, fusion=fusion)
    actual = explainer.explain(IMAGES, 1)
    assert np.abs(actual).max() > 0
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert explainer.layers_used == LAYERS


def test_several_classes_are_fused_each_by_itself(model):
    explainer = HiResCAM(model, LAYERS)
    both = explainer.explain(IMAGES, [[0, 2], [1, 2]])
    np.testing.assert_allclose(
        both[:, 1], explainer.explain(IMAGES, 2), atol=1e-5
    )


def test_a_method_that_is_not_defined_at_one_layer_refuses_both(model):
    with pytest.raises(ValueError, match="between layer 'first'"):
        CAM(model, LAYERS).explain(IMAGES, 1)


def test_one_layer_in_a_list_is_divided_by_its_maximum_too(model):
    alone = GradCAM(model, "second").explain(IMAGES, 1)
    listed = GradCAM(model, ["second"]).explain(IMAGES, 1)
    np.testing.assert_allclose(listed, divided_by_its_maximum(alone), atol=1e-6)


def test_wrong_options_are_refused_when_made(model):
    with pytest.raises(ValueError, match=r"Received: target_layer=\[\]"):
        GradCAM(model, [])
    with pytest.raises(
        ValueError, match="Received: resize=False with target_layer=.*first"
    ):
        GradCAM(model, LAYERS, resize=False)
    with pytest.raises(ValueError, match="Received: fusion='sum'"):
        GradCAM(model, LAYERS, fusion="sum")


def test_which_names_the_input_of_another_size():
    image, other = keras.Input((12, 12, 3)), keras.Input((24, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(image)
    y = layers.Conv2D(4, (2, 1), strides=(2, 1))(other)
    y = layers.Resizing(12, 12)(y)
    x = layers.Conv2D(4, 3, name="joint")(layers.Add()([x, y]))
    outputs = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model({"image": image, "other": other}, outputs)
    data = {
        "image": IMAGES,
        "other": np.ones((2, 24, 8, 3), "float32"),
    }
    with pytest.raises(ValueError, match="Name the input by `input_name`"):
        HiResCAM(model).explain(data, 0)
    maps = HiResCAM(model, input_name="other").explain(data, 0)
    assert maps.shape == (2, 24, 8)
    assert HiResCAM(model, input_name="image").explain(data, 0).shape == (
        2,
        12,
        12,
    )
    with pytest.raises(ValueError, match="Received: input_name='mask'"):
        HiResCAM(model, input_name="mask").explain(data, 0)


def pyramid():
    """12, 6 and 3 rows; a layer that only pads stands after the first size."""
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, padding="same", name="fine_0")(inputs)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="fine")(x)
    x = layers.ZeroPadding2D(1, name="pad")(x)
    x = layers.Conv2D(4, 4, strides=2, activation="relu", name="middle")(x)
    x = layers.MaxPooling2D(name="coarse_0")(x)
    x = layers.Conv2D(4, 1, activation="relu", name="coarse")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.parametrize(
    "count, expected",
    [(1, ["coarse"]), (2, ["coarse", "middle"])]
    + [(3, ["coarse", "middle", "fine"])],
)
def test_a_number_fuses_the_last_layers_of_the_coarsest_sizes(count, expected):
    network = pyramid()
    explainer = LayerCAM(network, count)
    maps = explainer.explain(IMAGES, 1)
    assert explainer.layers_used == expected
    by_name = LayerCAM(network, expected).explain(IMAGES, 1)
    assert np.abs(by_name).max() > 0
    np.testing.assert_array_equal(maps, by_name)


def test_inside_a_nested_model_each_size_is_found_once():
    inputs = keras.Input((12, 12, 3))
    base = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(4, 3, activation="relu", name="fine"),
            layers.Conv2D(4, 3, strides=2, name="coarse"),
        ],
        name="base",
    )
    outputs = layers.GlobalAveragePooling2D()(base(inputs))
    network = keras.Model(inputs, layers.Dense(3)(outputs))
    explainer = GradCAM(network, 2)
    explainer.explain(IMAGES, 1)
    assert explainer.layers_used == ["base/coarse", "base/fine"]


def test_more_sizes_than_there_are_is_refused_with_those_there_are():
    with pytest.raises(
        ValueError, match=r"target_layer=4 .*'coarse', 'middle', 'fine'"
    ):
        GradCAM(pyramid(), 4).explain(IMAGES, 1)


@pytest.mark.slow
def test_sizes_that_are_unknown_while_tracing_are_refused():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, name="fine")(inputs)
    x = layers.Conv2D(4, 3, strides=2, name="coarse")(x)
    x = layers.GlobalAveragePooling2D()(x)
    explainer = GradCAM(keras.Model(inputs, layers.Dense(3)(x)), 2)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def explain(images):
        return explainer(images, 1)

    with pytest.raises(ValueError, match="'coarse' has shape .*list of layers"):
        explain(IMAGES)


@pytest.mark.parametrize("number", [0, -1, True])
def test_a_number_of_sizes_below_one_is_refused(model, number):
    with pytest.raises(ValueError, match=f"Received: target_layer={number}"):
        GradCAM(model, number)


@pytest.mark.slow
def test_stages_are_all_sizes_from_the_first_kernel_on():
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(2.0, name="pixels")(inputs)
    x = layers.BatchNormalization(name="scaled")(x)
    x = layers.Conv2D(4, 3, strides=2, name="fine")(x)
    x = layers.Conv2D(4, 3, activation="relu", name="fine_1")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Conv2D(4, 1, activation="relu", name="middle")(x)
    x = layers.Conv2D(4, 3, strides=2, name="coarse")(x)
    x = layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, layers.Dense(3)(x))
    images = np.random.default_rng(1).normal(size=(2, 32, 32, 3))
    explainer = LayerCAM(network, "stages")
    maps = explainer.explain(images, 1)
    assert explainer.layers_used == ["coarse", "middle", "fine_1"]
    by_name = LayerCAM(network, explainer.layers_used).explain(images, 1)
    assert np.abs(by_name).max() > 0
    np.testing.assert_array_equal(maps, by_name)
    # A number counts on, up to the pixels.
    explainer = LayerCAM(network, 4)
    explainer.explain(images, 1)
    assert explainer.layers_used[-1] == "scaled"


def test_stages_of_a_nested_model_and_of_one_size(model):
    network = pyramid()
    inputs = keras.Input((12, 12, 3))
    explainer = GradCAM(keras.Model(inputs, network(inputs)), "stages")
    explainer.explain(IMAGES, 1)
    names = [path.rpartition("/")[2] for path in explainer.layers_used]
    assert names == ["coarse", "middle", "fine"]
    alone = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(3, 3, padding="same", name="only"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    explainer = LayerCAM(alone, "stages")
    explainer.explain(IMAGES, 1)
    assert explainer.layers_used == ["only"]


def test_a_layer_that_is_called_stages_is_given_itself():
    network = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(3, 3, name="stages"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    with pytest.raises(ValueError, match="with a layer 'stages'. Pass the lay"):
        GradCAM(network, "stages").explain(IMAGES, 1)
    explainer = GradCAM(network, network.get_layer("stages"))
    explainer.explain(IMAGES, 1)
    assert explainer.layers_used == ["stages"]


def test_stages_are_not_kept_at_sizes_of_their_own(model):
    with pytest.raises(ValueError, match="resize=False with target_layer='sta"):
        GradCAM(model, "stages", resize=False)
