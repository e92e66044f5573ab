"""One unit as two classes, as a number, or refused."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import losses
from keras import ops

from keras_xmap import targets
from keras_xmap.engine import Unit
from keras_xmap.explainers import RISE
from keras_xmap.explainers import ClassModel
from keras_xmap.explainers import DistinctClassSaliency
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import IntegratedGradients
from keras_xmap.explainers import Saliency
from keras_xmap.explainers import ScoreCAM
from keras_xmap.explainers import SmoothGrad
from keras_xmap.targets import Binary
from keras_xmap.targets import Class
from keras_xmap.targets import Component
from keras_xmap.targets import Difference
from keras_xmap.targets import MaskedMean

pytestmark = pytest.mark.tensorflow

KERNEL = np.array([[2.0], [-1.0], [3.0]], "float32")
K = KERNEL[:, 0]
# Logits -1, 5, 0 and -6: the third is on the border between the classes.
X = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 0], [-3, 0, 0]], "float32")
Z = X @ K
P = 1 / (1 + np.exp(-Z))
ANSWER = [0, 1, 0, 0]


def unit(activation="sigmoid", loss=None, end=lambda x: x):
    inputs = keras.Input((3,))
    outputs = layers.Dense(1, activation=activation, use_bias=False)(inputs)
    model = keras.Model(inputs, end(outputs))
    model.set_weights([KERNEL])
    if loss is not None:
        model.compile("sgd", loss)
    return model


def signed(model, target=None, x=X, score="logits"):
    """Returns maps with their sign: of class 1 of a logit, the kernel."""
    explainer = Saliency(model, channel_reduction="sum", score=score)
    return explainer.explain(x, target, verbose=0)


@pytest.fixture(scope="module")
def linear():
    """Makes a linear unit that is compiled with a loss, and explains it."""

    def make(loss):
        explainer = Saliency(unit(None, loss), channel_reduction="sum")
        return lambda target, x=X: explainer.explain(x, target, verbose=0)

    return make


@pytest.fixture(scope="module")
def sigmoid():
    """A sigmoid unit and its explainers, each traced once per target."""
    model = unit()
    explainers = {
        score: Saliency(model, channel_reduction="sum", score=score)
        for score in ("logits", "output")
    }
    return lambda target, score="logits", x=X: explainers[score].explain(
        x, target, verbose=0
    )


def of_classes(classes):
    return np.where(np.asarray(classes)[:, None] == 1, K, -K)


# By the model


BCE = losses.BinaryCrossentropy


def test_the_loss_tells_of_a_logit_that_it_is_two_classes(linear):
    explain = linear(BCE(from_logits=True))
    maps = explain([[0, 1]] * 4)
    np.testing.assert_array_equal(maps[:, 1], [K] * 4)
    np.testing.assert_array_equal(maps[:, 0], [-K] * 4)
    np.testing.assert_array_equal(explain(None), of_classes(ANSWER))


def test_a_unit_that_the_loss_takes_for_a_probability_is_one():
    """0.5 is the border then, whatever computes the probability."""
    model = unit("hard_sigmoid", "binary_crossentropy")
    x = np.array([[0.2, 0, 0], [0.3, 0, 0], [-0.1, 0, 0]], "float32")
    above = model.predict(x, verbose=0)[:, 0] > 0.5
    expected = of_classes(above) / np.float32(6)
    np.testing.assert_allclose(signed(model, None, x), expected, rtol=1e-6)


def test_of_a_probability_that_nothing_tells_the_remedy_names_the_border():
    """A hard sigmoid without a loss: 0.5 parts its classes, not 0."""
    model = unit("hard_sigmoid")
    x = np.array([[0.2, 0, 0], [-0.1, 0, 0]], "float32")
    remedy = r"Binary\(target\)` if it is a logit, or with `threshold=0.5`"
    with pytest.raises(ValueError, match=remedy):
        signed(model, None, x)
    maps = signed(model, Binary(threshold=0.5), x)
    np.testing.assert_allclose(maps, of_classes([1, 0]) / 6, rtol=1e-6)


def test_a_number_keeps_its_sign_and_has_no_class(linear):
    explain = linear("mse")
    for target in (None, 0):
        np.testing.assert_array_equal(explain(target), [K] * 4)
    with pytest.raises(
        ValueError,
        match=r"a number, by the.*Received: \(classes, target\)",
    ):
        explain(1)
    np.testing.assert_array_equal(explain(Binary(0)), [-K] * 4)
    dataset = tf.data.Dataset.from_tensor_slices((X, np.zeros(4))).batch(4)
    with pytest.raises(ValueError, match="unit is a number.*target=None"):
        explain("labels", x=dataset)


@pytest.mark.parametrize(
    "activation, loss, found",
    [(None, None, "neither softmax nor sigmoid"), ("sigmoid", "mse", "loss=")],
)
def test_what_nothing_tells_is_refused_with_remedies(activation, loss, found):
    explainer = Saliency(unit(activation, loss), channel_reduction="sum")
    for target in (None, 0, [0, 1, 1, 0], "labels"):
        x = X
        if target == "labels":
            x = tf.data.Dataset.from_tensor_slices((X, [0, 1, 1, 0])).batch(4)
        with pytest.raises(ValueError, match=f"Received: .*{found}.*Binary"):
            explainer.explain(x, target, verbose=0)
    for target, expected in (
        (Binary(1), [K] * 4),
        (Binary(0), [-K] * 4),
        (Binary(), of_classes(ANSWER)),
        (Component(), [K] * 4),
    ):
        maps = explainer.explain(X, target, verbose=0)
        np.testing.assert_array_equal(maps, expected)


def test_the_remedy_of_compiling_works_with_the_explainer_at_hand():
    model = unit(None)
    explainer = Saliency(model, channel_reduction="sum")
    with pytest.raises(ValueError, match="compile the model with the loss"):
        explainer.explain(X, verbose=0)
    model.compile("sgd", BCE(from_logits=True))
    maps = explainer.explain(X, verbose=0)
    np.testing.assert_array_equal(maps, of_classes(ANSWER))


def test_a_softmax_over_one_unit_says_nothing_and_is_refused():
    model = unit("softmax")
    with pytest.raises(ValueError, match=r"1 for every image.*Component"):
        signed(model, 1)
    np.testing.assert_array_equal(signed(model, Component()), [K] * 4)


def test_a_model_that_is_loaded_is_read_by_the_loss_it_was_saved_with(tmp_path):
    unit(None, BCE(from_logits=True)).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(signed(model), of_classes(ANSWER))


# What stands for one of the two classes.


TARGETS = {
    "the answer": (None, ANSWER),
    "class 0": (0, [0, 0, 0, 0]),
    "class 1": (1, [1, 1, 1, 1]),
    "NumPy": (np.uint8(1), [1, 1, 1, 1]),
    "one each": ([0, 1, 1, 0], [0, 1, 1, 0]),
    "object": (Class([1, 1, 0, 0]), [1, 1, 0, 0]),
    "object without class": (Class(), ANSWER),
    "binary": (Binary([0, 1, 0, 1]), [0, 1, 0, 1]),
    "booleans": (Binary([False, True, True, False]), [0, 1, 1, 0]),
    "a boolean": (Binary(np.bool_(False)), [0, 0, 0, 0]),
    "binary answer": (Binary(), ANSWER),
}


def scored(target, s, unit):
    """Calls a target as an explainer does, on arrays."""
    target = targets.get(target).for_units(unit)
    parts = {k: ops.convert_to_tensor(v) for k, v in target.parts.items()}
    outputs = ops.convert_to_tensor(np.asarray(s, "float32")[:, None])
    parts = target.resolve(outputs, parts)
    return np.asarray(target.scores(outputs, parts))


@pytest.mark.parametrize("case", TARGETS)
def test_class_1_is_the_score_and_class_0_its_opposite(case):
    target, classes = TARGETS[case]
    is_one = np.asarray(classes) == 1
    logit = Unit("classes", 0.0, 0.5)
    np.testing.assert_array_equal(
        scored(target, Z, logit), np.where(is_one, Z, -Z)
    )
    probability = Unit("classes", 0.5, 0.5)
    np.testing.assert_allclose(
        scored(target, P, probability), np.where(is_one, P, 1 - P), rtol=1e-5
    )


def test_the_classes_of_a_probability_have_opposite_maps(sigmoid):
    slope = (P * (1 - P))[:, None]
    for target, classes in ((None, ANSWER), ([1, 0, 1, 0], [1, 0, 1, 0])):
        expected = of_classes(classes)
        np.testing.assert_array_equal(sigmoid(target), expected)
        maps = sigmoid(target, "output")
        np.testing.assert_allclose(maps, expected * slope, rtol=1e-5)


def test_both_classes_come_from_one_pass(sigmoid):
    maps = sigmoid([[0, 1], [1, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(maps[:, 0], of_classes([0, 1, 1, 0]))
    np.testing.assert_array_equal(maps[:, 1], of_classes([1, 0, 1, 0]))


LABELS = {
    "integers": np.array([0, 1, 1, 0]),
    "a column": np.array([[0], [1], [1], [0]]),
    "floats": np.array([0.0, 1.0, 1.0, 0.0], "float32"),
    "a column of floats": np.array([[0.0], [1.0], [1.0], [0.0]], "float32"),
    "booleans": np.array([False, True, True, False]),
    "a column of booleans": np.array([[False], [True], [True], [False]]),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_of_0_and_1_are_classes(case, sigmoid):
    dataset = tf.data.Dataset.from_tensor_slices((X, LABELS[case])).batch(3)
    maps = sigmoid("labels", x=dataset)
    np.testing.assert_array_equal(maps, of_classes([0, 1, 1, 0]))


def test_a_class_beyond_the_two_is_refused(sigmoid):
    for target in (2, [0, 1, 2, 0]):
        with pytest.raises(ValueError, match=r"\(classes, target\) \[?2"):
            sigmoid(target)
    with pytest.raises(ValueError, match="must be 0 or 1. Received: target=2"):
        Binary([0, 2])
    with pytest.raises(TypeError, match="labels.astype"):
        targets.get([0.0, 1.0])
    with pytest.raises(ValueError, match="finite number. Received: threshold="):
        Binary(1, threshold=np.inf)


@pytest.mark.slow
def test_a_target_may_be_a_tensor_of_the_users_function(sigmoid):
    explainer = Saliency(unit(), channel_reduction="sum")

    @tf.function
    def mine(x, target):
        return explainer(x, target)

    maps = mine(X, tf.constant([0, 1, 1, 0]))
    np.testing.assert_array_equal(maps, of_classes([0, 1, 1, 0]))


def test_components_and_callables_take_the_unit_as_it_is(sigmoid):
    np.testing.assert_array_equal(sigmoid(Component()), [K] * 4)
    np.testing.assert_array_equal(sigmoid(Component(sign=-1)), [-K] * 4)
    np.testing.assert_array_equal(sigmoid(lambda o: o[:, 0]), [K] * 4)


DIFFERENCES = {
    "1 and 0": (Difference(1, 0), 2 * Z),
    "0 and 1": (Difference(0, 1), -2 * Z),
    "answer and 0": (Difference(None, 0), 2 * Z * np.array(ANSWER)),
    "binary and number": (Difference(Binary(1), Component()), 0 * Z),
    "in a list": (
        [Difference(1, [0, 1, 0, 1])],
        2 * Z * np.array([1, 0, 1, 0]),
    ),
}


@pytest.mark.parametrize("case", DIFFERENCES)
def test_a_difference_of_the_classes_is_twice_the_logit(case):
    target, expected = DIFFERENCES[case]
    logit = Unit("classes", 0.0, 0.5)
    if isinstance(target, list):
        logit = [logit]
    np.testing.assert_array_equal(scored(target, Z, logit), expected)


def test_the_map_of_a_difference_is_that_of_twice_the_logit(sigmoid):
    np.testing.assert_array_equal(sigmoid(Difference(0, 1)), [-2 * K] * 4)


# Other shapes, several outputs, several units


def test_a_unit_without_an_axis_is_read_alike():
    model = unit(end=lambda x: ops.squeeze(x, -1))
    maps = signed(model, [1, 0, 1, 0])
    np.testing.assert_array_equal(maps, of_classes([1, 0, 1, 0]))


def test_several_units_are_a_class_each():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(2, "sigmoid", use_bias=False)]
    )
    kernel = np.array([[1, 2], [3, 4], [5, 6]], "float32")
    model.set_weights([kernel])
    model.compile("sgd", "binary_crossentropy")
    np.testing.assert_array_equal(signed(model, 0), [kernel[:, 0]] * 4)


def many_units(as_dict):
    """A class, a logit and a number, and what they were compiled with."""
    inputs = keras.Input((3,))
    outputs = {
        "wet": layers.Dense(1, "sigmoid", use_bias=False, name="wet")(inputs),
        "cold": layers.Dense(1, use_bias=False, name="cold")(inputs),
        "depth": layers.Dense(1, use_bias=False, name="depth")(inputs),
    }
    loss = {"wet": "bce", "cold": BCE(from_logits=True), "depth": "mse"}
    if not as_dict:
        outputs = list(outputs.values())
    model = keras.Model(inputs, outputs)
    for factor, name in enumerate(("wet", "cold", "depth"), 1):
        model.get_layer(name).set_weights([factor * KERNEL])
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize(
    "as_dict", [True, pytest.param(False, marks=pytest.mark.slow)]
)
def test_each_output_is_read_by_its_own_loss(as_dict):
    model = many_units(as_dict)
    names = ("wet", "cold", "depth") if as_dict else (0, 1, 2)
    maps = signed(model, Class(output=names[1]))
    np.testing.assert_array_equal(maps, 2 * of_classes(ANSWER))
    maps = signed(model, Class(output=names[2]))
    np.testing.assert_array_equal(maps, [3 * K] * 4)
    given = {"wet": 0, "cold": Binary(1), "depth": lambda o: o[:, 0]}
    target = given if as_dict else [Class(0), Binary(1), Component()]
    np.testing.assert_array_equal(signed(model, target), [4 * K] * 4)


def test_what_was_explained_is_said():
    explainer = Saliency(unit())
    explainer.explain(X, verbose=0)
    said = "input of Sigmoid .*, for class 1; its negative for class 0"
    assert re.fullmatch(said, explainer.score_used)


# Arithmetic behind a sigmoid


def mean_of_two():
    return unit(end=lambda x: (x + ops.sigmoid(0.0 * x)) / 2)


def test_arithmetic_behind_a_sigmoid_needs_a_threshold():
    explainer = Saliency(mean_of_two(), channel_reduction="sum", score="output")
    remedy = r"`keras_xmap.targets.Binary\(target, threshold=0.5\)`"
    with pytest.raises(ValueError, match=f"arithmetic on what.*{remedy}"):
        explainer.explain(X, verbose=0)
    with pytest.raises(ValueError, match="threshold=None.*threshold=0.5"):
        explainer.explain(X, Binary(), verbose=0)
    maps = explainer.explain(X, Binary(threshold=0.5), verbose=0)
    slope = (P * (1 - P))[:, None] / 2
    np.testing.assert_allclose(maps, of_classes(ANSWER) * slope, rtol=1e-5)


def test_a_binary_target_is_made_of_classes_whatever_holds_them():
    for given in (tf.constant([True, False]), np.array([1, 0]), [1, 0]):
        assert np.asarray(Binary(given).parts["index"]).tolist() == [1, 0]
    with pytest.raises(TypeError, match="must be given as an integer"):
        Binary([[0, 1], [1]])


# Methods that look at scores, not at gradients


def small_cnn(activation="sigmoid", units=1):
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(units, activation)(x))
    generator = np.random.default_rng(2)
    model.set_weights(
        [generator.normal(size=w.shape) for w in model.get_weights()]
    )
    return model


IMAGES = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype("float32")
BOTH = [[0, 1]] * 4


@pytest.mark.slow
def test_probabilities_of_both_classes_sum_to_one():
    """So do their maps by RISE, to the mean of the masks."""
    model = small_cnn()
    rise = RISE(model, 20, grid_size=2)
    maps = rise.explain(IMAGES, BOTH)
    of_one = rise.explain(IMAGES, lambda o: 0 * o[:, 0] + 1)
    np.testing.assert_allclose(maps.sum(axis=1), of_one, rtol=1e-5)
    np.testing.assert_allclose(
        maps[:, 1], rise.explain(IMAGES, lambda o: o[:, 0]), rtol=1e-5
    )


@pytest.mark.slow
def test_score_cam_weighs_by_the_probability_of_the_class():
    model = small_cnn()
    cam = ScoreCAM(model, weighting="score")
    maps = cam.explain(IMAGES, BOTH)
    for k, score in enumerate((lambda o: 1 - o[:, 0], lambda o: o[:, 0])):
        np.testing.assert_allclose(
            maps[:, k], cam.explain(IMAGES, score), rtol=1e-5, atol=1e-7
        )


def test_changed_copies_are_explained_for_the_answer_of_the_image():
    model = unit()
    explainer = SmoothGrad(model, 5, 5.0, channel_reduction="sum")
    np.testing.assert_allclose(
        explainer.explain(X, verbose=0), of_classes(ANSWER), rtol=1e-6
    )


@pytest.mark.slow
def test_the_attributions_of_class_0_sum_to_its_score():
    explainer = IntegratedGradients(unit(), num_steps=3)
    maps = explainer.explain(X, 0, verbose=0)
    np.testing.assert_allclose(maps, -X * K, atol=1e-6)
    gap = explainer.completeness_gap(X, 0, verbose=0)
    np.testing.assert_allclose(gap, 0, atol=1e-5)


def test_the_image_of_class_0_is_the_other_way():
    class_model = ClassModel(unit(), num_steps=3, weight_decay=0)
    images = class_model(np.array([0, 1]))
    np.testing.assert_allclose(images, [-3 * K, 3 * K], rtol=1e-6)


def test_a_single_channel_of_a_layer_is_no_class():
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(1, 1, activation="sigmoid", name="one")(inputs)
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    model.get_layer("one").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    image = ClassModel(model, 2, target_layer="one")(0)
    assert float(ops.min(image)) > 0


@pytest.mark.slow
def test_distinct_class_saliency_knows_the_two_classes():
    explainer = DistinctClassSaliency(
        small_cnn(), scales=(1,), relu_rule="standard"
    )
    answer = explainer.model.predict(IMAGES, verbose=0)[:, 0] > 0.5
    found = explainer.find_candidates(IMAGES, verbose=0)
    np.testing.assert_array_equal(found[:, 0], answer)
    np.testing.assert_array_equal(
        explainer.explain(IMAGES, verbose=0),
        explainer.explain(IMAGES, answer.astype(int), verbose=0),
    )


@pytest.mark.slow
def test_distinct_class_saliency_subtracts_from_labels_too():
    model = small_cnn("softmax", 4)
    explainer = DistinctClassSaliency(
        model, scales=(1,), candidates=4, relu_rule="standard"
    )
    labels = np.array([3, 1, 2, 0])
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(3)
    np.testing.assert_allclose(
        explainer.explain(dataset, "labels", verbose=0),
        explainer.explain(IMAGES, labels, verbose=0),
        atol=1e-6,
    )


# Maps of one channel


def segmenter(activation="sigmoid", loss=None, first=False):
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(1, 1, activation=activation, use_bias=False)(inputs)
    if first:
        x = layers.Permute((3, 1, 2))(x)
    model = keras.Model(inputs, x)
    model.set_weights([np.array([2.0, -1.0]).reshape((1, 1, 2, 1))])
    if loss is not None:
        model.compile("sgd", loss)
    return model


PHOTOS = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype("float32")
MASK = np.random.default_rng(1).random((3, 4, 4)) > 0.5


@pytest.mark.parametrize("first", [False, True])
def test_a_map_of_one_channel_is_object_and_background(first):
    explainer = Saliency(segmenter(first=first), channel_reduction=None)
    axis = 1 if first else -1
    maps = [
        explainer.explain(PHOTOS, MaskedMean(k, MASK, axis=axis), verbose=0)
        for k in (0, 1)
    ]
    share = MASK / MASK.sum(axis=(1, 2), keepdims=True)
    expected = share[..., None] * np.array([2.0, -1.0])
    np.testing.assert_allclose(maps[1], expected, rtol=1e-5)
    np.testing.assert_array_equal(maps[0], -maps[1])
    column = np.expand_dims(MASK, axis)
    again = explainer.explain(PHOTOS, MaskedMean(1, column, axis=axis))
    np.testing.assert_array_equal(again, maps[1])


def test_a_map_of_numbers_has_no_background():
    model = segmenter(None, "mse")
    up = Saliency(model, channel_reduction=None).explain(PHOTOS, MaskedMean(0))
    np.testing.assert_allclose(up[0, 0, 0], np.array([2, -1]) / 16)
    with pytest.raises(ValueError, match="`index` must be a class.*index=1"):
        Saliency(model).explain(PHOTOS, MaskedMean(1))


def test_the_remedy_for_a_map_that_nothing_tells_of_works():
    model = segmenter(None)
    explainer = Saliency(model, channel_reduction=None)
    with pytest.raises(ValueError, match="lambda outputs: keras.ops.mean"):
        explainer.explain(PHOTOS, MaskedMean(1))
    up = explainer.explain(PHOTOS, lambda o: ops.mean(o, axis=(1, 2, 3)))
    np.testing.assert_allclose(up[0, 0, 0], np.array([2, -1]) / 16)
    model.compile("sgd", BCE(from_logits=True))
    down = explainer.explain(PHOTOS, MaskedMean(0))
    np.testing.assert_array_equal(down, -up)


@pytest.mark.slow
def test_grad_cam_of_class_0_is_what_speaks_against_class_1():
    model = small_cnn()
    cam = GradCAM(model, resize=False)
    maps = cam.explain(IMAGES, BOTH)
    against = cam.explain(IMAGES, lambda o: -o[:, 0])
    np.testing.assert_array_equal(maps[:, 0], against)
    np.testing.assert_array_equal(
        maps[:, 1], cam.explain(IMAGES, lambda o: o[:, 0])
    )
