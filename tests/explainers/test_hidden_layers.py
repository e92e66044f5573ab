"""Derivatives at hidden layers, which every gradient method gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import NUMBER
from explainers.networks import CountsTraces
from explainers.networks import activations_and_gradients
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import random_network
from keras import layers
from reference.gradient import guided_gradient
from reference.gradient import reduce_channels

from keras_xmap import engine
from keras_xmap.explainers import DeconvNet
from keras_xmap.explainers import GradientInput
from keras_xmap.explainers import GuidedBackprop
from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers import Saliency
from keras_xmap.explainers import SmoothGrad

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

METHODS = {
    "Saliency": Saliency,
    "GuidedBackprop": GuidedBackprop,
    "DeconvNet": DeconvNet,
    "GradientInput": GradientInput,
    "SmoothGrad": lambda model, **options: SmoothGrad(model, 3, **options),
    "VarGrad": lambda model, **options: SmoothGrad(
        model, 3, reduction="variance", **options
    ),
}
every_method = pytest.mark.parametrize("name", METHODS)


@pytest.mark.parametrize(
    "size, reductions",
    [
        ((20,), ["norm", None]),
        ((9, 7), ["max", "mean", "norm", "sum", None]),
        ((7, 8, 9), ["norm", None]),
    ],
)
def test_gradients_are_those_of_a_tape_on_a_second_model(size, reductions):
    model, x = random_network(size, head="mlp"), images(*size, 3)
    classes = np.array([0, 3, 1])
    gradients = [
        activations_and_gradients(model, x, classes, name)[1]
        for name in ("first", "last")
    ]
    for how in reductions:
        explainer = Saliency(model, how, target_layer=["first", "last"])
        maps = explainer.explain(x, classes)
        assert isinstance(maps, list)
        for values, expected in zip(maps, gradients, strict=True):
            if how is not None:
                expected = reduce_channels(expected, how)
            assert values.dtype == np.float32
            assert_close(values, expected)
        assert explainer.layers_used == ["first", "last"]


def test_gradients_are_finite_differences_of_the_rest_of_the_model():
    model, x = random_network(head="flatten"), images(9, 7, 3, count=1)
    hidden = model.get_layer("first").output
    start = keras.Model(model.inputs[0], hidden).predict(x, verbose=0)
    rest = keras.Model(hidden, model.outputs[0])
    (gradients,) = Saliency(model, None, target_layer=["first"]).explain(x, 2)
    generator = np.random.default_rng(0)
    for _ in range(5):
        step = generator.normal(size=start.shape).astype("float32")
        step *= 1e-3 / np.abs(step).max()
        ends = np.concatenate([start - step, start + step])
        below, above = rest.predict(ends, verbose=0)[:, 2]
        slope = float((gradients * step).sum())
        assert abs(slope) > 1e-5
        np.testing.assert_allclose((above - below) / 2, slope, rtol=0.05)


def test_by_hand():
    """`S = 2 h_1 - 3 h_2` behind `h = (4 x, 5 x)`."""
    inputs = keras.Input((1, 1, 1))
    hidden = layers.Conv2D(2, 1, use_bias=False, name="hidden")(inputs)
    outputs = layers.Dense(1, use_bias=False)(layers.Flatten()(hidden))
    model = keras.Model(inputs, outputs)
    model.set_weights([np.array([[[[4.0, 5.0]]]]), np.array([[2.0], [-3.0]])])
    x = np.full((1, 1, 1, 1), 2.0, "float32")

    def at_hidden(method, **options):
        (values,) = method(model, target_layer=["hidden"], **options).explain(
            x, NUMBER
        )
        return values.ravel().tolist()

    assert at_hidden(Saliency) == [3]
    assert at_hidden(Saliency, channel_reduction=None) == [2, -3]
    assert at_hidden(GradientInput) == [2 * 8 - 3 * 10]
    assert at_hidden(SmoothGrad, num_samples=2) == [3]
    assert at_hidden(SmoothGrad, num_samples=2, reduction="square") == [9]
    assert at_hidden(SmoothGrad, num_samples=2, reduction="variance") == [0]


@every_method
def test_several_layers_are_those_of_single_calls(name):
    model, x = random_network(head="mlp"), images(9, 7, 3)
    together = METHODS[name](model, target_layer=["last", "first"]).explain(
        x, 2
    )
    assert [values.shape for values in together] == [(3, 3, 2), (3, 7, 5)]
    for layer, values in zip(["last", "first"], together, strict=True):
        alone = METHODS[name](model, target_layer=[layer]).explain(x, 2)
        assert len(alone) == 1
        assert_close(values, alone[0])


@every_method
def test_several_classes_have_an_axis_behind_the_batch(name):
    model, x = random_network(head="mlp"), images(9, 7, 3)
    several = np.array([[0, 2], [3, 1], [2, 2]])
    explainer = METHODS[name](model, target_layer=["first"])
    assert explainer.explain(x, several[:, :1])[0].shape == (3, 1, 7, 5)
    (together,) = explainer.explain(x, several)
    for k in range(2):
        (alone,) = explainer.explain(x, several[:, k])
        assert_close(together[:, k], alone)


@every_method
def test_any_data_gives_the_same_maps_in_the_same_order(name, strategy):
    x = images(9, 7, 3, count=5)
    with strategy.scope():
        copy = random_network(head="mlp")
    alone, on_two = (
        METHODS[name](model, target_layer=["first", "last"])
        for model in (random_network(head="mlp"), copy)
    )
    expected = alone.explain(x, 2)
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(2)
    for explainer, data, batch_size in (
        (alone, x, 2),
        (alone, dataset, 32),
        (on_two, x, 4),
    ):
        actual = explainer.explain(data, 2, batch_size=batch_size, verbose=0)
        for a, e in zip(actual, expected, strict=True):
            assert_close(a, e, 2e-6)


def test_activation_times_gradient_is_the_map_of_hires_cam():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    for layer in ("first", "last"):
        (values,) = GradientInput(model, target_layer=[layer]).explain(x, 2)
        cam = HiResCAM(model, layer, resize=False).explain(x, 2)
        assert_close(values, cam)


@pytest.mark.parametrize("reduction", ["mean", "square", "variance"])
def test_smooth_gradients_are_means_over_noisy_images(reduction):
    model, x = random_network(head="mlp"), images(9, 7, 3)
    spread = np.ptp(x, axis=(1, 2, 3), keepdims=True)
    samples = []
    for number in range(4):
        noise = engine.normal_noise((1, 9, 7, 3), 5, number).numpy()
        _, gradients = activations_and_gradients(
            model, x + 0.2 * spread * noise, 2, "first"
        )
        samples.append(np.float64(gradients))
    expected = {
        "mean": np.mean(samples, axis=0),
        "square": np.mean(np.square(samples), axis=0),
        "variance": np.var(samples, axis=0),
    }
    (values,) = SmoothGrad(
        model,
        4,
        0.2,
        seed=5,
        reduction=reduction,
        channel_reduction=None,
        target_layer=["first"],
    ).explain(x, 2)
    assert_close(values, expected[reduction], 1e-5)


def test_smooth_gradients_without_noise_are_gradients():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    expected = Saliency(model, target_layer=["last", "first"]).explain(x, 2)
    smooth = SmoothGrad(model, 2, noise_level=0, target_layer=["last", "first"])
    for a, e in zip(smooth.explain(x, 2), expected, strict=True):
        assert_close(a, e)


def test_guided_gradients_count_the_relus_behind_the_layer():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    kernel, bias, head = model.get_weights()[4:7]
    activations, _ = activations_and_gradients(model, x, 2)
    expected = [
        guided_gradient(image.ravel(), [kernel], [bias], head[:, 2])
        for image in activations
    ]
    guided = GuidedBackprop(model, None, target_layer=["last"])
    (values,) = guided.explain(x, 2)
    assert_close(values.reshape(3, -1), expected)


def test_layers_are_found_by_object_name_and_path_in_nested_models():
    inner_inputs = keras.Input((9, 7, 3))
    conv = layers.Conv2D(4, 3, activation="relu", name="conv")
    inner = keras.Model(inner_inputs, conv(inner_inputs), name="base")
    inputs = keras.Input((9, 7, 3))
    pooled = layers.GlobalAveragePooling2D()(inner(inputs))
    model = keras.Model(inputs, layers.Dense(3)(pooled))
    x = images(9, 7, 3)
    explainer = Saliency(
        model, target_layer=["conv", "base/conv", conv, "base"]
    )
    maps = explainer.explain(x, 1)
    assert explainer.layers_used == ["base/conv"] * 3 + ["base"]
    for values in maps:
        assert_close(values, maps[0])


def test_of_a_layer_called_twice_either_call_may_be_named():
    inputs = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    x = shared(layers.MaxPooling2D()(shared(inputs)))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    explainer = Saliency(model, target_layer=["shared:0", "shared:1"])
    maps = explainer.explain(images(8, 8, 3), 1)
    assert [m.shape for m in maps] == [(3, 8, 8), (3, 4, 4)]
    assert explainer.layers_used == ["shared:0", "shared:1"]
    with pytest.raises(ValueError, match="called 2 times: 'shared:0' made"):
        Saliency(model, target_layer=["shared"]).explain(images(8, 8, 3), 1)


def test_each_layer_has_its_own_data_format():
    inputs = keras.Input((3, 6, 5))
    options = {"data_format": "channels_first", "padding": "same"}
    x = layers.Conv2D(4, 3, activation="relu", name="first", **options)(inputs)
    x = layers.Permute((2, 3, 1))(x)
    x = layers.Conv2D(2, 3, name="last")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    first, last = Saliency(model, target_layer=["first", "last"]).explain(
        images(3, 6, 5), 1
    )
    assert (first.shape, last.shape) == ((3, 6, 5), (3, 4, 3))
    kept, _ = Saliency(model, None, target_layer=["first", "last"]).explain(
        images(3, 6, 5), 1
    )
    assert kept.shape == (3, 4, 6, 5)
    assert_close(first, np.abs(kept).max(1))


def test_layers_without_positions_are_made_absolute_or_kept_signed():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    _, gradients = activations_and_gradients(model, x, 2, "hidden")
    assert gradients.min() < 0
    (values,) = Saliency(model, target_layer=["hidden"]).explain(x, 2)
    assert_close(values, np.abs(gradients))
    (values,) = Saliency(model, "sum", target_layer=["hidden"]).explain(x, 2)
    assert_close(values, gradients)


def test_a_model_with_several_inputs_has_one_list_of_layers():
    inputs = {
        "a": keras.Input((4,), name="a"),
        "b": keras.Input((4,), name="b"),
    }
    x = layers.Multiply(name="product")([inputs["a"], inputs["b"]])
    model = keras.Model(inputs, layers.Dense(1)(x))
    data = {"a": images(4), "b": images(4, seed=1)}
    for name in ("Saliency", "GradientInput", "SmoothGrad"):
        explainer = METHODS[name](
            model, channel_reduction=None, target_layer=["product"]
        )
        (values,) = explainer.explain(data, NUMBER)
        assert values.shape == (3, 4)


def test_one_forward_pass_serves_all_layers_and_classes():
    counter = CountsTraces()
    inputs = keras.Input((9, 7, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="a")(counter(inputs))
    x = layers.Conv2D(4, 3, activation="relu", name="b")(x)
    x = layers.GlobalAveragePooling2D(name="c")(x)
    model = keras.Model(inputs, layers.Dense(4)(x))
    counter.count = 0
    several = np.array([[0, 1, 2]] * 3)
    Saliency(model, target_layer=["a", "b", "c"]).explain(
        images(9, 7, 3), several
    )
    assert counter.count == 1


@every_method
def test_half_precision_models_have_float32_maps(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = random_network(head="mlp")
    finally:
        keras.config.set_dtype_policy(before)
    x = images(9, 7, 3)
    expected = METHODS[name](
        random_network(head="mlp"), target_layer=["first", "last"]
    ).explain(x, 2)
    actual = METHODS[name](model, target_layer=["first", "last"]).explain(x, 2)
    for a, e in zip(actual, expected, strict=True):
        assert a.dtype == np.float32
        assert np.corrcoef(a.ravel(), e.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"DeconvNet"}))
def test_dead_units_and_saturated_scores_have_maps_of_zeros(name):
    """The rule of DeconvNet does not ask whether a unit is active."""
    model = random_network(head="mlp")
    kernel, bias = model.get_layer("last").get_weights()
    model.get_layer("last").set_weights([kernel, bias - 1e6])
    (maps,) = METHODS[name](model, target_layer=["first"]).explain(
        images(9, 7, 3), 2
    )
    np.testing.assert_array_equal(maps, np.zeros((3, 7, 5)))
    model = random_network(head="mlp")
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([1e6 * kernel, bias])
    saturated = keras.Sequential([model, layers.Softmax()])
    (maps,) = METHODS[name](
        saturated, target_layer=["first"], score="output"
    ).explain(images(9, 7, 3), 2)
    np.testing.assert_array_equal(maps, np.zeros((3, 7, 5)))


def test_inputs_are_explained_where_no_layers_are_named():
    explainer = Saliency(random_network(), target_layer=None)
    assert explainer.explain(images(9, 7, 3), 2).shape == (3, 9, 7)
    assert explainer.layers_used is None


def beside_the_way():
    inputs = keras.Input((4,))
    a = layers.Dense(3, name="a")(inputs)
    b = layers.Dense(3, name="b")(inputs)
    return keras.Model(inputs, [layers.Dense(2)(a), layers.Dense(2)(b)])


BAD = [
    ([3], TypeError, r"Received: target_layer=\[3\]"),
    ([None], TypeError, r"Received: target_layer=\[None\]"),
    ([], ValueError, r"Received: target_layer=\[\]"),
]


@pytest.mark.parametrize("chosen, error, message", BAD, ids=lambda x: str(x))
@pytest.mark.parametrize("name", METHODS)
def test_something_that_names_no_layer_is_refused_at_once(
    name, chosen, error, message
):
    with pytest.raises(error, match=message):
        METHODS[name](random_network(), target_layer=chosen)


@pytest.mark.parametrize("name", METHODS)
def test_an_unknown_layer_is_refused_with_those_that_run(name):
    explainer = METHODS[name](random_network(), target_layer=["third"])
    with pytest.raises(ValueError, match="third.*Layers that run: .*first"):
        explainer.explain(images(9, 7, 3), 2)


def test_a_layer_without_a_part_in_the_target_is_refused():
    explainer = Saliency(beside_the_way(), target_layer=["a", "b"])
    with pytest.raises(ValueError, match="Received: layer 'b'"):
        explainer.explain(images(4), lambda outputs: outputs[0][:, 1])


def test_the_softmax_behind_the_score_is_refused_unless_it_is_explained():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activation="softmax", name="end")]
    )
    with pytest.raises(ValueError, match='softmax .* score="output"'):
        Saliency(model, target_layer=["end"]).explain(images(4), 1)
    explainer = Saliency(model, target_layer=["end"], score="output")
    np.testing.assert_array_equal(
        explainer.explain(images(4), 1)[0], [[0, 1, 0]] * 3
    )


def test_a_backward_rule_needs_a_relu_behind_the_layer():
    model = random_network()
    with pytest.raises(ValueError, match="needs a ReLU between"):
        GuidedBackprop(model, target_layer=["last"]).explain(images(9, 7, 3), 2)


def test_one_layer_gives_a_map_and_a_list_gives_a_list():
    model, x = random_network(head="mlp"), images(9, 7, 3)
    (expected,) = Saliency(model, target_layer=["last"]).explain(x, 2)
    for layer in ("last", model.get_layer("last")):
        alone = Saliency(model, target_layer=layer)
        np.testing.assert_array_equal(alone.explain(x, 2), expected)
        assert alone.layers_used == ["last"]


def test_a_layer_and_an_input_are_not_named_both():
    with pytest.raises(ValueError, match="Received: target_layer='last', inp"):
        Saliency(random_network(), target_layer="last", input_name=0)
