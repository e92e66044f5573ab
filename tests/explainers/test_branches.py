"""The layers that are chosen hold all that a score sees of an image."""

import functools
import itertools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import randomize
from keras import layers
from keras import ops
from reference import half_pixel

from keras_xmap.explainers import CAM
from keras_xmap.explainers import CAMExplainer
from keras_xmap.explainers import EigenCAM
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import GradCAMPlusPlus
from keras_xmap.explainers import GuidedGradCAM
from keras_xmap.explainers import HiResCAM
from keras_xmap.explainers import IntegratedGradients
from keras_xmap.explainers import LayerCAM
from keras_xmap.explainers import Saliency
from keras_xmap.explainers import ScoreCAM

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

SIZE, PIXELS = (8, 8), 64
X = images(*SIZE, 3)


def conv(x, name, strides=1, activation="relu", filters=4, size=None):
    # Windows that fit their strides lie as pixels do: evenly.
    return layers.Conv2D(
        filters,
        size or (3 if strides == 1 else strides),
        strides,
        padding="same",
        activation=activation,
        name=name,
    )(x)


def pooled(*maps):
    pools = [layers.GlobalAveragePooling2D()(x) for x in maps]
    return pools[0] if len(pools) == 1 else layers.Concatenate()(pools)


def made(inputs, features, **options):
    outputs = layers.Dense(3, name="dense", **options)(features)
    return randomize_model(keras.Model(inputs, outputs))


def randomize_model(model):
    randomize(model, 0.4, 0.05)
    return model


def two_backbones():
    """Of one size and of another."""
    inputs = keras.Input((*SIZE, 3))
    one, two = conv(inputs, "one"), conv(conv(inputs, "first"), "two", 2)
    return made(inputs, pooled(one, two))


def two_stages():
    """The second is made from the first, behind a ReLU."""
    inputs = keras.Input((*SIZE, 3))
    one = conv(inputs, "one")
    two = conv(layers.MaxPooling2D()(one), "two")
    return made(inputs, pooled(one, two))


def averaged(activation=None):
    inputs = keras.Input((*SIZE, 3))
    outputs = [
        layers.Dense(3, activation, name=f"dense_{name}")(
            pooled(conv(inputs, name))
        )
        for name in ("one", "two")
    ]
    return randomize_model(keras.Model(inputs, layers.Average()(outputs)))


def of_one_size():
    """The second is made from the first, and as large."""
    inputs = keras.Input((*SIZE, 3))
    one = conv(inputs, "one")
    return made(inputs, pooled(one, conv(one, "two", activation=None)))


def add_by_layer(x, y):
    return layers.Add(name="add")([x, y])


def residual(add=add_by_layer):
    inputs = keras.Input((*SIZE, 3))
    one = conv(inputs, "one")
    return made(inputs, pooled(add(one, conv(one, "two", activation=None))))


def past_all_layers():
    inputs = keras.Input((*SIZE, 3))
    return made(inputs, pooled(conv(inputs, "one"), inputs))


MODELS = {
    "two_backbones": two_backbones,
    "two_stages": two_stages,
    "averaged": averaged,
    "of_one_size": of_one_size,
}


@pytest.fixture(scope="module")
def models():
    return functools.cache(lambda name: MODELS[name]())


def bias_of(model):
    found = [x for x in model.layers if x.name.startswith("dense")]
    return np.mean([x.get_weights()[1] for x in found], axis=0)


def partial(model, k, names=("one", "two")):
    """Activations, and derivatives that hold the other layers as they are."""
    outputs = [model.get_layer(name).output for name in names]
    bottom = keras.Model(model.inputs[0], outputs)
    top = keras.Model(outputs, model.outputs[0])
    values = [tf.convert_to_tensor(x) for x in bottom(X)]
    with tf.GradientTape() as tape:
        tape.watch(values)
        score = top(values)[:, k]
    gradients = tape.gradient(score, values)
    return [
        (a.numpy(), g.numpy()) for a, g in zip(values, gradients, strict=True)
    ]


def laid(maps):
    return np.stack([half_pixel.resize(heatmap, SIZE) for heatmap in maps])


def spread(maps):
    """Amounts of positions, as amounts of pixels."""
    return laid(maps) * maps[0].size / PIXELS


@pytest.mark.parametrize("name", MODELS)
def test_the_sum_over_the_branches_is_complete(name, models):
    model = models(name)
    for k in range(2):
        expected = model.predict(X, verbose=0)[:, k] - bias_of(model)[k]
        explainer = CAM(model)
        means = explainer.explain(X, k).mean(axis=(1, 2))
        np.testing.assert_allclose(means, expected, rtol=1e-4, atol=1e-5)
        assert sorted(explainer.layers_used) == ["one", "two"]
        sums = HiResCAM(model).explain(X, k).sum(axis=(1, 2))
        np.testing.assert_allclose(sums, expected, rtol=1e-4, atol=1e-5)


def test_the_sum_is_complete_where_positions_lie_unevenly():
    """Windows of 3 at strides of 2: the outermost stand for more pixels."""
    inputs = keras.Input((*SIZE, 3))
    ends = conv(inputs, "one"), conv(inputs, "two", 2, size=3)
    model = made(inputs, pooled(*ends))
    expected = model.predict(X, verbose=0)[:, 1] - bias_of(model)[1]
    means = CAM(model).explain(X, 1).mean(axis=(1, 2))
    np.testing.assert_allclose(means, expected, rtol=1e-4, atol=1e-5)
    sums = HiResCAM(model).explain(X, 1).sum(axis=(1, 2))
    np.testing.assert_allclose(sums, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_the_sum_is_the_formula_on_the_channels_of_all_branches(name, models):
    model = models(name)
    found = partial(model, 1)
    means = [g.mean(axis=(1, 2), keepdims=True) for _, g in found]
    signed = [
        spread((w * a).sum(-1)) for w, (a, _) in zip(means, found, strict=True)
    ]
    assert_close(GradCAM(model).explain(X, 1), np.maximum(sum(signed), 0))
    hires = sum(spread((g * a).sum(-1)) for a, g in found)
    assert_close(HiResCAM(model).explain(X, 1), hires)
    positive = sum(spread((np.maximum(g, 0) * a).sum(-1)) for a, g in found)
    positive = np.maximum(positive, 0)
    assert_close(LayerCAM(model).explain(X, 1), positive)
    lifted = np.tanh(2 * positive / positive.max(axis=(1, 2), keepdims=True))
    assert_close(LayerCAM(model, gamma=2.0).explain(X, 1), lifted)


def test_weights_that_are_sums_over_positions_are_not_spread(models):
    model, total = models("two_stages"), 0
    for a, g in partial(model, 1):
        sums = a.sum(axis=(1, 2), keepdims=True)
        alpha = np.where(g > 0, 1 / (2 + sums * g), 0)
        weights = (alpha * np.maximum(g, 0)).sum(axis=(1, 2), keepdims=True)
        total = total + laid((weights * a).sum(-1))
    maps = GradCAMPlusPlus(model).explain(X, 1)
    assert_close(maps, np.maximum(total, 0), 1e-5)


def test_several_classes_and_a_count_of_sizes_take_the_same_branches(models):
    model = models("two_stages")
    both = GradCAM(model).explain(X, [[0, 1]] * 3)
    alone = GradCAM(model).explain(X, 1)
    assert_close(both[:, 1], alone)
    counted = GradCAM(model, 1)
    peak = alone.max(axis=(1, 2), keepdims=True)
    assert_close(counted.explain(X, 1), alone / peak)
    assert counted.layers_used == ["one", "two"]


def test_guided_grad_cam_weighs_by_the_sum(models):
    model = models("two_backbones")
    guided = GuidedGradCAM(model, channel_reduction=None)
    pictures = guided.explain(X, 1)
    assert sorted(guided.layers_used) == ["one", "two"]
    coarse = GradCAM(model).explain(X, 1)
    assert (pictures[coarse == 0] == 0).all()
    assert np.abs(pictures).max() > 0


def test_behind_a_layer_that_adds_them_the_branches_are_one():
    explainer = GradCAM(residual())
    explainer.explain(X, 1)
    assert explainer.layers_used == ["add"]


class WritesOut(layers.Layer):
    """A block that adds its branches in its own code, and pools."""

    def __init__(self, by):
        super().__init__(name="block")
        self.one = layers.Conv2D(
            4, 3, padding="same", activation="relu", name="one"
        )
        self.two = layers.Conv2D(4, 3, padding="same", name="two")
        self.by = by

    def call(self, x):
        x = self.one(x)
        return ops.mean(self.by(x, self.two(x)), axis=(1, 2))


def in_a_layer(by):
    inputs = keras.Input((*SIZE, 3))
    return made(inputs, WritesOut(by)(inputs))


JOINS = {
    "add": lambda x, y: x + y,
    "add_1": lambda x, y: (x + y) + y,
    "subtract": ops.subtract,
    "multiply": lambda x, y: x * y,
    "maximum": ops.maximum,
    "concatenate": lambda x, y: ops.concatenate([x, y], axis=-1),
    "where": lambda x, y: ops.where(y > 0, x, y),
}


@pytest.mark.parametrize(
    "inside, name",
    [
        ("", "subtract"),
        ("", "concatenate"),
        ("block/", "add_1"),
        ("block/", "where"),
        *[
            pytest.param(inside, name, marks=pytest.mark.slow)
            for inside, name in itertools.product(["", "block/"], JOINS)
        ],
    ],
)
def test_branches_that_an_operation_joins_are_one(inside, name):
    join = JOINS[name]
    model = in_a_layer(join) if inside else residual(join)
    explainer = HiResCAM(model)
    maps = explainer.explain(X, 1)
    assert explainer.layers_used == [inside + name]
    expected = model.predict(X, verbose=0)[:, 1] - bias_of(model)[1]
    np.testing.assert_allclose(
        maps.sum(axis=(1, 2)), expected, rtol=1e-4, atol=1e-5
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = HiResCAM(model, inside + name)
        np.testing.assert_array_equal(named.explain(X, 1), maps)


@pytest.mark.parametrize("method", [CAM, EigenCAM, ScoreCAM, LayerCAM])
def test_every_method_explains_a_sum_as_the_layer_that_adds(method):
    by_layer, written = residual(), residual(lambda x, y: x + y)
    written.set_weights(by_layer.get_weights())
    explainer = method(written)
    assert_close(explainer.explain(X, 1), method(by_layer).explain(X, 1))
    assert explainer.layers_used == ["add"]
    inside = in_a_layer(lambda x, y: x + y)
    inside.set_weights(by_layer.get_weights())
    assert_close(method(inside).explain(X, 1), explainer.explain(X, 1))


def test_operations_of_a_functional_model_are_found_by_name_and_object():
    inputs = keras.Input((*SIZE, 3))
    x = ops.relu(2.0 * conv(inputs, "features", activation=None))
    model = made(inputs, pooled(x))
    default = GradCAM(model, resize=False)
    default.explain(X, 1)
    assert default.layers_used == ["features"]
    (relu,) = (x for x in model.operations if x.name == "relu")
    maps = GradCAM(model, "relu", resize=False).explain(X, 1)
    kernel, _ = model.get_layer("dense").get_weights()
    until = keras.Model(inputs, x)
    expected = np.maximum(until.predict(X, verbose=0) @ kernel[:, 1], 0) / 64
    assert_close(maps, expected)
    np.testing.assert_array_equal(
        GradCAM(model, relu, resize=False).explain(X, 1), maps
    )


def test_a_name_that_may_mean_an_operation_or_a_layer_is_refused():
    inner = keras.Input((*SIZE, 3))
    one = conv(inner, "one")
    base = keras.Model(inner, add_by_layer(one, conv(one, "two")), name="base")
    inputs = keras.Input((*SIZE, 3))
    x = base(inputs)
    x = keras.ops.add(x, conv(x, "three"))
    # Models of other processes number their operations from the start.
    x._keras_history.operation.name = "add"
    model = made(inputs, pooled(x))
    explainer = GradCAM(model)
    maps = explainer.explain(X, 1)
    assert explainer.layers_used == ["add:0"]
    with pytest.raises(ValueError, match="'add', which fits base/add, add:0"):
        GradCAM(model, "add").explain(X, 1)
    np.testing.assert_array_equal(GradCAM(model, "add:0").explain(X, 1), maps)
    inside = GradCAM(model, "base/add")
    inside.explain(X, 1)
    assert inside.layers_used == ["base/add"]


def test_a_sum_inside_a_layer_cannot_be_replaced():
    explainer = IntegratedGradients(
        in_a_layer(lambda x, y: x + y), target_layer="block/add"
    )
    with pytest.raises(ValueError, match="'block/add', which is an operation"):
        explainer.explain(X, 1)
    written = IntegratedGradients(
        residual(lambda x, y: x + y), target_layer="add"
    )
    written.explain(X, 1)
    gap = written.completeness_gap(X, 1)
    np.testing.assert_allclose(gap, 0, atol=1e-4)


class Strongest(CAMExplainer):
    def map(self, activations, gradients):
        return ops.max(activations * gradients, axis=-1)


@pytest.mark.parametrize("method", [EigenCAM, ScoreCAM, Strongest])
def test_a_formula_of_one_layer_names_the_branches(method, models):
    model = models("two_stages")
    with pytest.raises(
        ValueError,
        match=rf"{method.__name__} is .*target_layer=None for branches that "
        r"end in \['one', 'two'\]. Fuse .* target_layer=\['one', 'two'\]",
    ):
        method(model).explain(X, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fused = method(model, ["one", "two"]).explain(X, 1)
    assert fused.shape == (3, *SIZE) and np.abs(fused).max() > 0


def test_maps_of_the_same_positions_are_summed_as_they_are(models):
    model = models("of_one_size")
    found = partial(model, 1)
    means = [g.mean(axis=(1, 2), keepdims=True) for _, g in found]
    signed = sum(
        (w * a).sum(-1) for w, (a, _) in zip(means, found, strict=True)
    )
    maps = GradCAM(model, resize=False).explain(X, 1)
    assert_close(maps, np.maximum(signed, 0))


def test_maps_of_their_own_sizes_cannot_be_summed(models):
    with pytest.raises(ValueError, match="Received: resize=False for branches"):
        GradCAM(models("two_backbones"), resize=False).explain(X, 1)


def test_a_named_layer_that_is_bypassed_is_told_once(models):
    model = models("two_backbones")
    explainer = GradCAM(model, "one")
    message = r"past target_layer=\['one'\], by 'two'.*\['one', 'two'\]"
    with pytest.warns(UserWarning, match=message):
        maps = explainer.explain(X, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = explainer.explain(X[:, :, :, :], 1)
        explainer.explain(X, [[0, 1]] * 3)  # another step
    np.testing.assert_array_equal(again, maps)
    (activations, gradients), _ = partial(model, 1)
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    expected = np.maximum((weights * activations).sum(-1), 0)
    assert_close(maps, expected)


@pytest.mark.parametrize(
    "chosen, silent", [("one", True), ("two", False), (["one", "two"], True)]
)
def test_the_branch_of_a_residual_block_is_bypassed(chosen, silent):
    explainer = LayerCAM(residual(), chosen)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        explainer.explain(X, 1)
    told = [str(x.message) for x in caught if "past" in str(x.message)]
    assert bool(told) is not silent
    assert silent or r"by 'one'. The map" in told[0]


def test_cam_needs_all_that_the_score_sees(models):
    model = models("averaged")
    with pytest.raises(
        ValueError,
        match=r"target_layer=\['two'\], past .* by 'one'. Pass .*None",
    ):
        CAM(model, "two").explain(X, 1)
    # Either remedy.
    assert CAM(model, ["one", "two"]).explain(X, 1).shape == (3, *SIZE)
    with pytest.warns(UserWarning, match="past"):
        assert GradCAM(model, "two").explain(X, 1).shape == (3, *SIZE)


def test_a_way_past_all_layers_is_refused():
    model = past_all_layers()
    with pytest.raises(
        ValueError,
        match="layer 'one', and beside it a way from the input .*'one' to see",
    ):
        GradCAM(model).explain(X, 1)
    with pytest.warns(UserWarning, match="a way from the input without any"):
        alone = GradCAM(model, "one").explain(X, 1)
    assert alone.shape == (3, *SIZE)
    with pytest.raises(ValueError, match="Use GradCAM"):
        CAM(model, "one").explain(X, 1)
    assert Saliency(model).explain(X, 1).shape == (3, *SIZE)


def test_averaged_probabilities_are_explained_as_they_are():
    model = averaged("softmax")
    with pytest.raises(ValueError, match='Pass score="output"'):
        GradCAM(model).explain(X, 1)
    signed = [
        spread((g.mean(axis=(1, 2), keepdims=True) * a).sum(-1))
        for a, g in partial(model, 1)
    ]
    maps = GradCAM(model, score="output").explain(X, 1)
    assert_close(maps, np.maximum(sum(signed), 0))


@pytest.mark.parametrize("by_layer", [True, False])
def test_what_only_weighs_positions_is_no_branch(by_layer):
    inputs = keras.Input((*SIZE, 3))
    x = conv(inputs, "features")
    gate = conv(x, "gate", activation="sigmoid", filters=1)
    weighed = (
        layers.Multiply(name="weighed")([x, gate]) if by_layer else x * gate
    )
    model = made(inputs, ops.sum(weighed, axis=(1, 2)))
    explainer = GradCAM(model)
    explainer.explain(X, 1)
    assert explainer.layers_used == ["weighed" if by_layer else "multiply"]


def test_a_vector_beside_the_image_is_no_branch():
    image, vector = keras.Input((*SIZE, 3)), keras.Input((4,))
    hidden = layers.Dense(3, "relu", name="of_vector")(vector)
    x = layers.Concatenate()([pooled(conv(image, "one")), hidden])
    model = made([image, vector], x)
    explainer = CAM(model)
    explainer.explain([X, images(4)], 1)
    assert explainer.layers_used == ["one"]


def test_an_output_beside_the_one_that_is_explained_may_be_a_map():
    inputs = keras.Input((*SIZE, 3))
    x = conv(inputs, "last")
    model = keras.Model(inputs, [layers.Dense(2)(pooled(x)), x])
    explainer = GradCAM(model)
    explainer.explain(X, lambda outputs: outputs[0][:, 1])
    assert explainer.layers_used == ["last"]


def reduction_of_two_ways():
    """A step to half the size by two ways at once, as in Inception."""
    inputs = keras.Input((*SIZE, 3))
    x = conv(inputs, "fine")
    one = conv(conv(x, "one"), "coarse_one", 2)
    two = layers.MaxPooling2D(name="coarse_two")(x)
    x = conv(layers.Concatenate()([one, two]), "coarse")
    return made(inputs, pooled(x))


def test_of_a_finer_size_the_layer_that_all_comes_by_is_taken():
    explainer = LayerCAM(reduction_of_two_ways(), 2)
    explainer.explain(X, 1)
    assert explainer.layers_used == ["coarse", "fine"]


def test_of_two_backbones_each_has_its_finer_size():
    inputs = keras.Input((*SIZE, 3))
    ends = [
        conv(conv(inputs, f"fine_{name}"), f"coarse_{name}", 2)
        for name in ("one", "two")
    ]
    model = made(inputs, pooled(*ends))
    explainer = HiResCAM(model, 2, fusion="max")
    maps = explainer.explain(X, 1)
    coarse, fine = explainer.layers_used[:2], explainer.layers_used[2:]
    assert sorted(coarse) == ["coarse_one", "coarse_two"]
    assert sorted(fine) == ["fine_one", "fine_two"]
    levels = [
        sum(spread((g * a).sum(-1)) for a, g in partial(model, 1, names))
        for names in (coarse, fine)
    ]
    levels = [x / x.max(axis=(1, 2), keepdims=True) for x in levels]
    assert_close(maps, np.maximum(*levels), 1e-5)
