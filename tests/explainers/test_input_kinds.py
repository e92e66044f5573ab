"""Inputs that are no images: ids, texts, truth values, matrices, nothing."""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import images
from explainers.networks import input_gradients
from keras import layers
from keras import ops

from keras_xmap import explainers
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import GradientInput
from keras_xmap.explainers import IntegratedGradients
from keras_xmap.explainers import Occlusion
from keras_xmap.explainers import Saliency
from keras_xmap.explainers import SmoothGrad

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

STEPS, WORDS = 6, 12
TEXTS = np.array(["a good film", "bad so bad a film", "good"])
IDS = np.array([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8], [9, 7, 9, 3, 0, 0]])
# Of a model that takes numbers of words.
METHODS = ("GradientInput", "IntegratedGradients", "Saliency", "SmoothGrad")


class Scores(layers.Layer):
    """Smooth scores of sequences of vectors, with fixed weights."""

    def build(self, shape):
        values = np.random.default_rng(1).normal(size=(shape[-1], 3))
        self.kernel = self.add_weight(shape=values.shape, name="kernel")
        self.kernel.assign(values)

    def call(self, x):
        return ops.sum(ops.tanh(ops.matmul(x, self.kernel)) ** 2, axis=1)


def text_model(dtype):
    inputs = keras.Input((1 if dtype == "string" else STEPS,), dtype=dtype)
    ids = inputs
    if dtype == "string":
        split = layers.TextVectorization(WORDS, output_sequence_length=STEPS)
        split.adapt(TEXTS)
        ids = split(inputs)
    embedding = layers.Embedding(WORDS, 4, name="embedding")
    x = layers.Conv1D(5, 3, padding="same", name="conv")(embedding(ids))
    model = keras.Model(inputs, Scores()(x))
    embedding.embeddings.assign(images(4, seed=2, count=WORDS))
    return model


@pytest.fixture(scope="module")
def text_models():
    return functools.cache(text_model)


def data_of(dtype):
    return TEXTS[:, None] if dtype == "string" else IDS


every_kind_of_text = pytest.mark.parametrize(
    "dtype", ["int32", "float32", "string"]
)


@every_kind_of_text
def test_attributions_of_words_sum_to_the_score_above_the_baseline(
    dtype, text_models
):
    model, data = text_models(dtype), data_of(dtype)
    explainer = IntegratedGradients(model, 60, target_layer="embedding")
    maps = explainer.explain(data, 1)
    assert maps.shape == (3, STEPS)
    embedded = model.get_layer("embedding").output
    rest = keras.Model(embedded, model.outputs[0])
    nothing = rest.predict(np.zeros((1, STEPS, 4)), verbose=0)
    scores = model(tf.constant(data)).numpy()
    difference = (scores - nothing)[:, 1]
    assert np.abs(difference).min() > 0.1
    np.testing.assert_allclose(maps.sum(1), difference, rtol=1e-4)
    gaps = explainer.completeness_gap(data, 1)
    np.testing.assert_allclose(gaps, np.zeros(3), atol=1e-4)
    assert explainer.layers_used == ["embedding"]


def test_the_baseline_of_words_may_be_the_embedding_of_padding(text_models):
    model = text_models("int32")
    padding = model.get_layer("embedding").get_weights()[0][0]
    explainer = IntegratedGradients(
        model, 60, padding, target_layer="embedding"
    )
    maps = explainer.explain(IDS, 2)
    scores = model.predict(IDS, verbose=0) - model.predict(
        np.zeros_like(IDS), verbose=0
    )
    np.testing.assert_allclose(maps.sum(1), scores[:, 2], rtol=1e-4)
    # Padding is as in the baseline, and gets nothing.
    np.testing.assert_array_equal(maps[2, 4:], [0, 0])


def test_each_of_several_layers_is_complete_by_itself(text_models):
    model = text_models("int32")
    explainer = IntegratedGradients(
        model,
        60,
        ["zero", 0.5],
        target_layer=["conv", "embedding"],
        channel_reduction=None,
    )
    maps = explainer.explain(IDS, 0)
    assert [x.shape for x in maps] == [(3, STEPS, 5), (3, STEPS, 4)]
    assert explainer.layers_used == ["conv", "embedding"]
    gaps, names = explainer.completeness_gap(IDS, 0), explainer.layers_used
    for gap, values, layer in zip(gaps, maps, names, strict=True):
        np.testing.assert_allclose(gap, np.zeros(3), atol=1e-4)
        baseline = "zero" if layer == "conv" else 0.5
        alone = IntegratedGradients(
            model, 60, baseline, target_layer=layer, channel_reduction=None
        )
        np.testing.assert_allclose(alone.explain(IDS, 0), values, atol=1e-6)
    with pytest.raises(ValueError, match="Received: 1 baselines for"):
        IntegratedGradients(
            model, 2, ["zero"], target_layer=["conv", "embedding"]
        ).explain(IDS, 0)


def test_a_mask_of_the_embedding_holds_on_the_way():
    inputs = keras.Input((STEPS,), dtype="int32")
    x = layers.Embedding(WORDS, 4, mask_zero=True, name="embedding")(inputs)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(2, name="dense")(x))
    maps = IntegratedGradients(model, 2, target_layer="embedding").explain(
        IDS, 1
    )
    vectors, (kernel, _) = (
        model.get_layer(name).get_weights() for name in ("embedding", "dense")
    )
    weights = (IDS > 0) / (IDS > 0).sum(1, keepdims=True)
    expected = weights * (vectors[0][IDS] @ kernel[:, 1])
    np.testing.assert_allclose(maps, expected, atol=1e-6)


def test_two_replicas_integrate_as_one(strategy, text_models):
    expected = IntegratedGradients(
        text_models("int32"), 4, target_layer="embedding"
    ).explain(IDS, 1)
    with strategy.scope():
        model = text_model("int32")
    model.set_weights(text_models("int32").get_weights())
    maps = IntegratedGradients(model, 4, target_layer="embedding").explain(
        IDS, 1
    )
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-6)


def test_noise_is_on_the_embeddings_of_ids(text_models):
    """Of a square of the embedding, noisy gradients have a known variance."""
    inputs = keras.Input((STEPS,), dtype="int32")
    x = layers.Embedding(WORDS, 4, name="embedding")(inputs)
    model = keras.Model(inputs, ops.sum(ops.square(x), axis=1))
    options = {"target_layer": "embedding", "channel_reduction": None}
    explainer = SmoothGrad(model, 400, 0.2, reduction="variance", **options)
    maps = explainer.explain(IDS, 1)
    embedded = model.get_layer("embedding").get_weights()[0][IDS]
    spread = np.ptp(embedded, axis=(1, 2))
    # The gradient of x ** 2 is 2 x: its noise is twice the embedding's.
    np.testing.assert_allclose(
        maps[..., 1].mean(1), (0.4 * spread) ** 2, rtol=0.1
    )


@every_kind_of_text
@pytest.mark.parametrize("name", METHODS)
def test_explained_by_the_ids_the_remedy_names_the_layer(
    name, dtype, text_models
):
    method, model = getattr(explainers, name), text_models(dtype)
    with pytest.raises(ValueError, match="No gradient reaches") as caught:
        method(model).explain(data_of(dtype), 1)
    (layer,) = re.findall(r"target_layer='(\w+)'\.$", str(caught.value))
    maps = method(model, target_layer=layer).explain(data_of(dtype), 1)
    assert maps.shape == (3, STEPS)
    assert np.abs(maps).max() > 1e-3


@pytest.mark.parametrize("dtype", ["int32", "string"])
@pytest.mark.parametrize("name", ["Occlusion", "RISE"])
def test_ids_cannot_be_covered_and_the_remedy_is_a_call(
    name, dtype, text_models
):
    model = text_models(dtype)
    with pytest.raises(ValueError, match="changes floating-point") as caught:
        getattr(explainers, name)(model).explain(data_of(dtype), 1)
    (call,) = re.findall(r"(IntegratedGradients\(.*\))\.$", str(caught.value))
    maps = eval(call).explain(data_of(dtype), 1)
    assert maps.shape == (3, STEPS)


def test_a_convolution_over_embeddings_has_a_class_activation_map(text_models):
    model = text_models("int32")
    maps = GradCAM(model, "conv", resize=False).explain(IDS, 1)
    at_layer = GradientInput(model, None, "conv").explain(IDS, 1)
    assert maps.shape == at_layer.shape[:2] == (3, STEPS)
    assert np.abs(maps).max() > 0
    # The convolution keeps the steps, so that they lie where the words are.
    laid = GradCAM(model, "conv").explain(IDS, 1)
    np.testing.assert_allclose(laid, maps, atol=1e-6)


TEXT_DATA = {
    "strings of Python": TEXTS.astype(object)[:, None],
    "without an axis": TEXTS,
    "tensors": tf.constant(TEXTS[:, None]),
    "batches": tf.data.Dataset.from_tensor_slices(TEXTS[:, None]).batch(2),
}


@pytest.mark.parametrize("case", TEXT_DATA)
def test_texts_come_in_any_container(case, text_models):
    explainer = Saliency(text_models("string"), target_layer="embedding")
    expected = explainer.explain(TEXTS[:, None], 1)
    actual = explainer.explain(TEXT_DATA[case], 1, verbose=0)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_a_list_of_texts_is_told_from_a_list_of_inputs(text_models):
    explainer = Saliency(text_models("string"), target_layer="embedding")
    with pytest.raises(TypeError, match=r"np.array\(texts\)"):
        explainer.explain(list(map(str, TEXTS)), 1)


def test_truth_values_are_explained_behind_what_makes_numbers_of_them():
    inputs = keras.Input((4,), dtype="bool")
    numbers = layers.Lambda(lambda x: ops.cast(x, "float32"), name="numbers")
    model = keras.Model(inputs, layers.Dense(2)(numbers(inputs)))
    data = np.array([[True, False, True, True]])
    with pytest.raises(ValueError, match="of bool.*target_layer='numbers'"):
        Saliency(model).explain(data, 0)
    maps = IntegratedGradients(model, 2, target_layer="numbers").explain(
        data, 0
    )
    kernel = model.layers[-1].get_weights()[0][:, 0]
    np.testing.assert_allclose(maps, kernel * data, rtol=1e-5)


def test_beside_numbers_ids_are_passed_through():
    ids, numbers = keras.Input((STEPS,), dtype="int32"), keras.Input((4,))
    x = layers.Flatten()(layers.Embedding(WORDS, 2)(ids))
    x = layers.Concatenate()([x, numbers])
    model = keras.Model([ids, numbers], layers.Dense(2, activation="tanh")(x))
    data = [IDS, images(4)]
    for method in (Saliency, Occlusion, IntegratedGradients):
        of_ids, of_numbers = method(model).explain(data, 1)
        assert of_ids is None
        assert of_numbers.shape == (3, 4)


class Sum(layers.Layer):
    """`x + 2 y`, where `y` may be left out."""

    def call(self, x, y=None):
        return x if y is None else x + 2 * y

    def compute_output_shape(self, shape, *others):
        return shape


@pytest.fixture(scope="module")
def optional_model():
    inputs = {
        "x": keras.Input((4,), name="x"),
        "y": keras.Input((4,), name="y", optional=True),
    }
    x = Sum()(inputs["x"], inputs["y"])
    model = keras.Model(inputs, layers.Dense(2)(x))
    model.layers[-1].set_weights([images(2, count=4), np.zeros(2)])
    return model


@pytest.mark.parametrize(
    "make",
    [
        Saliency,
        GradientInput,
        lambda model, **options: SmoothGrad(model, 3, **options),
        lambda model, **options: IntegratedGradients(model, 3, **options),
        lambda model, **options: Occlusion(model, 1, **options),
        lambda model, **options: explainers.RISE(model, 20, 4, **options),
    ],
)
def test_an_input_that_is_left_out_stays_none(make, optional_model):
    x = images(4)
    alone = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    alone.set_weights(optional_model.get_weights())
    expected = make(alone).explain(x, 1)
    explainer = make(optional_model)
    maps = explainer.explain({"x": x, "y": None}, 1, batch_size=2, verbose=0)
    assert maps["y"] is None
    np.testing.assert_allclose(maps["x"], expected, rtol=1e-5, atol=1e-6)
    given = explainer.explain({"x": x, "y": x}, 1)
    assert given["y"].shape == (3, 4)
    assert explainer({"x": x, "y": None}, 1)["y"] is None


def test_an_input_that_is_left_out_cannot_be_named(optional_model):
    data = {"x": images(4), "y": None}
    with pytest.raises(ValueError, match="Received: input_name='y', which is"):
        Saliency(optional_model, input_name="y").explain(data, 1)
    named = Saliency(optional_model, input_name="x").explain(data, 1)
    expected = Saliency(optional_model).explain(data, 1)["x"]
    np.testing.assert_array_equal(named, expected)
    with pytest.raises(ValueError, match="the batch as first axis"):
        Saliency(optional_model).explain({"x": None, "y": None}, 1)


def convolved(x):
    x = layers.Conv2D(3, 3, activation="relu")(x)
    return layers.GlobalAveragePooling2D()(x)


MATRIX = (6, 5)
# What is made of a matrix, and the axes that its map has.
MATRICES = {
    "reshaped": (lambda x: convolved(layers.Reshape((6, 5, 1))(x)), (1, 2)),
    "a new axis": (lambda x: convolved(x[..., None]), (1, 2)),
    "expanded": (lambda x: convolved(ops.expand_dims(x, -1)), (1, 2)),
    "stacked": (lambda x: convolved(ops.stack([x, 2 * x], -1)), (1, 2)),
    "rescaled": (
        lambda x: convolved(layers.Rescaling(2.0)(x)[..., None]),
        (1, 2),
    ),
    "moved": (
        lambda x: convolved(
            layers.Permute((2, 3, 1))(layers.Reshape((1, 6, 5))(x))
        ),
        (1, 2),
    ),
    "flattened": (lambda x: layers.Dense(3)(layers.Flatten()(x)), (1, 2)),
    "nested": (
        lambda x: keras.Sequential(
            [
                keras.Input(MATRIX),
                layers.Reshape((6, 5, 1)),
                layers.Conv2D(2, 3),
            ]
        )(x)[:, 0, 0],
        (1, 2),
    ),
    "a sequence": (lambda x: layers.Conv1D(3, 2)(x)[:, 0], (1,)),
    "turned": (
        lambda x: layers.Conv1D(3, 2)(layers.Permute((2, 1))(x))[:, 0],
        (2,),
    ),
    "dense steps": (lambda x: layers.Dense(3)(x)[:, 0], (1,)),
    "recurrent": (lambda x: layers.LSTM(3)(x), (1,)),
    "normalized": (lambda x: layers.BatchNormalization()(x)[:, 0], (1,)),
    "attended": (lambda x: layers.MultiHeadAttention(1, 2)(x, x)[:, 0], (1,)),
}


@pytest.mark.parametrize("case", MATRICES)
def test_the_model_tells_which_axis_of_a_matrix_is_channels(case):
    make, kept = MATRICES[case]
    inputs = keras.Input(MATRIX)
    model = keras.Model(inputs, layers.Dense(2)(make(inputs)))
    x = images(*MATRIX)
    gradients = np.abs(input_gradients(model, x, 1))
    channels = tuple({1, 2} - set(kept))
    expected = gradients.max(channels) if channels else gradients
    assert expected.max() > 0
    maps = Saliency(model).explain(x, 1)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 5, 2), (6, 5)])
def test_sizes_that_are_unknown_in_a_function_are_flattened_alike(shape):
    inputs = keras.Input(shape)
    x = layers.Dense(2)(layers.Flatten()(inputs))
    saliency = Saliency(keras.Model(inputs, x))
    last = (None,) if len(shape) == 2 else (None, shape[-1])
    signature = [tf.TensorSpec((None, None, *last))]
    compiled = tf.function(lambda x: saliency(x, 1), input_signature=signature)
    x = images(*shape)
    np.testing.assert_allclose(compiled(x), saliency.explain(x, 1), rtol=1e-5)


def over_axis(x, axis=1):
    """A dense layer over an axis of positions, which stays in its place."""
    x = layers.Dense(6)(ops.swapaxes(x, axis, -1))
    return ops.swapaxes(x, axis, -1)


@pytest.mark.parametrize("is_first", [False, True])
def test_a_product_over_the_rows_of_an_image_takes_no_channels(is_first):
    shape = (3, 5, 4) if is_first else (5, 4, 3)
    inputs = keras.Input(shape)
    equation = "nchw,hk->nckw" if is_first else "nhwc,hk->nkwc"
    weights = np.random.default_rng(3).normal(size=(5, 6)).astype("float32")
    x = ops.einsum(equation, inputs, weights)
    x = x + ops.ones((6, 1) if is_first else (6, 1, 1))
    data_format = "channels_first" if is_first else "channels_last"
    x = layers.Conv2D(3, 1, data_format=data_format)(x)
    model = keras.Model(inputs, ops.mean(x, (2, 3) if is_first else (1, 2)))
    x = images(*shape)
    gradients = np.abs(input_gradients(model, x, 1))
    maps = Saliency(model).explain(x, 1)
    expected = gradients.max(1 if is_first else 3)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


# Products over positions, and what tells which axis is channels besides.
MIXED = {
    "rows, then a convolution": (
        (5, 4, 3),
        lambda x: layers.Conv2D(3, 1)(over_axis(x, 1)),
    ),
    "rows, then channels": ((5, 4, 3), lambda x: layers.Dense(3)(over_axis(x))),
    "columns, then channels": (
        (5, 4, 3),
        lambda x: layers.Dense(3)(over_axis(x, 2)),
    ),
    "steps, then features": ((5, 4), lambda x: layers.Dense(3)(over_axis(x))),
    "depths, then channels": (
        (3, 5, 4, 2),
        lambda x: layers.Dense(3)(over_axis(x)),
    ),
    "rows of grey images": ((5, 4, 1), over_axis),
    "rows, and an axis that is told": (
        (5, 4, 3),
        lambda x: over_axis(
            layers.Normalization(3, mean=[0.0] * 3, variance=[1.0] * 3)(x)
        ),
    ),
}


@pytest.mark.parametrize("kind", MIXED)
def test_a_product_over_positions_takes_no_channels(kind):
    shape, make = MIXED[kind]
    inputs = keras.Input(shape)
    x = layers.Flatten()(make(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    x = images(*shape)
    expected = np.abs(input_gradients(model, x, 1)).max(-1)
    maps = Saliency(model).explain(x, 1)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_a_recurrent_convolution_tells_its_channels(data_format):
    is_first = data_format == "channels_first"
    inputs = keras.Input((2, 3, 5, 4) if is_first else (2, 5, 4, 3))
    x = layers.Rescaling(0.5)(inputs)
    x = layers.ConvLSTM2D(2, 3, padding="same", data_format=data_format)(x)
    model = keras.Model(inputs, ops.mean(x, (2, 3) if is_first else (1, 2)))
    x = images(*inputs.shape[1:])
    gradients = np.abs(input_gradients(model, x, 1))
    expected = gradients.max(2 if is_first else 4)
    maps = Saliency(model).explain(x, 1)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


def test_a_volume_without_channels_has_a_map_of_its_shape():
    inputs = keras.Input((5, 4, 6))
    x = layers.Conv3D(2, 3)(inputs[..., None])
    model = keras.Model(inputs, layers.GlobalAveragePooling3D()(x))
    x = images(5, 4, 6)
    expected = np.abs(input_gradients(model, x, 1))
    np.testing.assert_allclose(
        Saliency(model).explain(x, 1), expected, atol=1e-6
    )


def test_a_matrix_without_channels_is_covered_and_filled_as_an_image():
    inputs = keras.Input(MATRIX)
    flat = layers.Reshape((6, 5, 1))(inputs)
    weigh = layers.Conv2D(2, MATRIX, use_bias=False)
    model = keras.Model(inputs, layers.Flatten()(weigh(flat)))
    kernel, x = model.get_weights()[0][..., 0, 0], images(*MATRIX)
    maps = Occlusion(model, 1).explain(x, 0)
    np.testing.assert_allclose(maps, kernel * x, rtol=1e-4, atol=1e-6)
    mean = x.mean((1, 2), keepdims=True)
    for baseline, start in (("mean", mean), (x[0], x[0]), (0.5, 0.5)):
        maps = IntegratedGradients(model, 2, baseline).explain(x, 0)
        np.testing.assert_allclose(
            maps, kernel * (x - start), rtol=1e-4, atol=1e-6
        )
