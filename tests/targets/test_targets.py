import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

from keras_xmap import targets
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import Saliency
from keras_xmap.explainers import SmoothGrad
from keras_xmap.targets import Class
from keras_xmap.targets import Component
from keras_xmap.targets import MaskedMean
from keras_xmap.targets import Target

pytestmark = pytest.mark.tensorflow

SCORES = np.array([[1.0, 5.0, 3.0], [4.0, 2.0, 6.0]], "float32")
X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
KERNEL = np.arange(12, dtype="float32").reshape(4, 3) - 5


def scores(target, outputs=SCORES):
    """Calls a target as an explainer does."""
    target = targets.get(target)
    outputs = keras.tree.map_structure(ops.convert_to_tensor, outputs)
    parts = keras.tree.map_structure(ops.convert_to_tensor, target.parts)
    return np.asarray(target.scores(outputs, parts))


def linear():
    """Three scores; the map of class k is `|KERNEL[:, k]|`."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.set_weights([KERNEL, np.zeros(3)])
    return model


def two_outputs():
    """A dict of two linear outputs, and the kernels of both."""
    inputs = keras.Input((4,))
    outputs = {
        "class": layers.Dense(3, use_bias=False)(inputs),
        "place": layers.Dense(2, use_bias=False)(inputs),
    }
    model = keras.Model(inputs, outputs)
    first, second = KERNEL, 10 * KERNEL[:, :2] + 1
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([first if layer.units == 3 else second])
    return model, first, second


def as_list(model):
    return keras.Model(
        model.inputs[0], [model.output["class"], model.output["place"]]
    )


def signed(model, target, x=X):
    return Saliency(model, None).explain(x, target, verbose=0)


# What stands for a class


CLASSES = {
    "integer": (2, [3, 6]),
    "numpy integer": (np.int64(2), [3, 6]),
    "numpy uint8": (np.uint8(0), [1, 4]),
    "list": ([0, 2], [1, 6]),
    "tuple": ((0, 2), [1, 6]),
    "array": (np.array([1, 0]), [5, 4]),
    "int64 tensor": (tf.constant([1, 0], "int64"), [5, 4]),
    "scalar tensor": (tf.constant(1), [5, 2]),
    "scalar variable": (tf.Variable(1), [5, 2]),
    "several": ([[0, 1], [2, 2]], [[1, 5], [6, 6]]),
    "none": (None, [5, 6]),
    "object": (Class([2, 0]), [3, 4]),
    "object without index": (Class(), [5, 6]),
}


@pytest.mark.parametrize("case", CLASSES)
def test_a_class_is_an_entry_of_each_row(case):
    target, expected = CLASSES[case]
    np.testing.assert_array_equal(scores(target), expected)


@pytest.mark.parametrize("case", CLASSES)
def test_a_class_is_explained_however_it_is_given(case):
    target, _ = CLASSES[case]
    x = X[:2]
    index = targets.get(target).index
    if index is None:
        index = (x @ KERNEL).argmax(-1)
    index = np.asarray(index)
    maps = signed(linear(), target, x)
    if index.ndim == 2:
        np.testing.assert_array_equal(maps, KERNEL.T[index])
    else:
        np.testing.assert_array_equal(maps, KERNEL.T[np.broadcast_to(index, 2)])


def test_classes_may_be_held_by_a_variable():
    maps = signed(linear(), tf.Variable([2, 0, 1]))
    np.testing.assert_array_equal(maps, KERNEL.T[[2, 0, 1]])


def test_a_column_of_classes_keeps_its_axis():
    maps = signed(linear(), np.array([[0], [1], [2]]))
    np.testing.assert_array_equal(maps, KERNEL.T[:, None])


def test_the_top_class_of_equal_scores_is_the_first():
    np.testing.assert_array_equal(scores(None, np.ones((2, 3))), [1, 1])
    resolved = Class().resolve(ops.ones((2, 3)), {})
    np.testing.assert_array_equal(resolved["index"], [0, 0])


def test_what_was_given_is_not_resolved_again():
    parts = {"index": ops.convert_to_tensor([1, 0])}
    assert Class([1, 0]).resolve(ops.convert_to_tensor(SCORES), parts) is parts


BAD_CLASSES = [
    (-1, ValueError, "must be >= 0. Received: target=-1"),
    ([0, -3], ValueError, "must be >= 0. Received: target=-3"),
    (2.0, TypeError, r"Received: target=2.0"),
    ([0.0, 1.0], TypeError, r"use `labels.argmax\(-1\)`"),
    (True, TypeError, "Received: target=True"),
    ("cat", ValueError, "Received: target='cat'"),
    ([], TypeError, r"Received: target=\[\]"),
    (np.eye(3), TypeError, "For one-hot labels"),
    (tf.constant([0.5]), TypeError, "must be given as an integer"),
    (np.zeros((1, 1, 1), int), ValueError, r"Received: target of shape \(1, 1"),
]


@pytest.mark.parametrize("target, error, message", BAD_CLASSES, ids=str)
def test_what_is_no_class_is_refused_at_once(target, error, message):
    with pytest.raises(error, match=message):
        targets.get(target)


@pytest.mark.parametrize("target", [3, [0, 1, 3], tf.constant([0, 1, -1])])
def test_a_class_that_the_model_does_not_have_is_refused(target):
    with pytest.raises(
        ValueError, match=r"Received: \(classes, target\) \[3\]"
    ):
        signed(linear(), target)
    with pytest.raises(ValueError, match=r"Received: \(classes, target\) 3"):
        scores(target)


def test_a_map_of_classes_is_sent_to_masked_mean():
    with pytest.raises(
        ValueError, match=r"Received: .*\(2, 4, 4, 3\).*MaskedM"
    ):
        scores(1, np.zeros((2, 4, 4, 3)))


# Components


def test_a_component_is_a_column_with_a_sign():
    np.testing.assert_array_equal(scores(Component()), [1, 4])
    np.testing.assert_array_equal(scores(Component(2)), [3, 6])
    np.testing.assert_array_equal(scores(Component(2, sign=-1)), [-3, -6])
    np.testing.assert_array_equal(scores(Component(), SCORES[:, 0]), [1, 4])


def test_the_sign_of_a_component_turns_signed_maps_around():
    up, down = (signed(linear(), Component(1, sign=s)) for s in (1, -1))
    np.testing.assert_array_equal(up, [KERNEL[:, 1]] * 3)
    np.testing.assert_array_equal(down, -up)


def test_the_sign_of_a_component_chooses_the_half_that_grad_cam_keeps():
    inputs = keras.Input((2, 2, 1))
    x = layers.Conv2D(1, 1, use_bias=False)(inputs)
    x = layers.Dense(1)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    model.set_weights(
        [np.ones((1, 1, 1, 1)), np.full((1, 1), 4.0), np.zeros(1)]
    )
    x = np.reshape([1.0, -2.0, 3.0, 0.0], (1, 2, 2, 1))
    up = GradCAM(model).explain(x, Component())
    down = GradCAM(model).explain(x, Component(sign=-1))
    np.testing.assert_array_equal(up.ravel(), [1, 0, 3, 0])
    np.testing.assert_array_equal(down.ravel(), [0, 2, 0, 0])


def test_a_component_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"no component 3.*shape \(2, 3\)"):
        scores(Component(3))
    with pytest.raises(ValueError, match=r"Received: shape \(2, 1, 3\)"):
        scores(Component(0), SCORES[:, None])
    with pytest.raises(ValueError, match="Received: sign=0"):
        Component(0, sign=0)
    with pytest.raises(ValueError, match="Received: target=-1"):
        Component(-1)
    with pytest.raises(TypeError, match="Received: target=1.5"):
        Component(1.5)


# Masked means


MAP = np.arange(24, dtype="float32").reshape(2, 2, 2, 3)


def test_without_a_mask_it_is_the_mean_over_positions():
    np.testing.assert_array_equal(scores(MaskedMean(1), MAP), [5.5, 17.5])


def test_a_mask_weighs_the_positions():
    # Class 1: 1, 4, 7, 10 and 13, 16, 19, 22.
    mask = [[[1, 0], [0, 3]], [[0, 2], [0, 0]]]
    np.testing.assert_allclose(
        scores(MaskedMean(1, mask), MAP), [(1 + 30) / 4, 16]
    )
    boolean = np.array(mask) > 0
    np.testing.assert_allclose(scores(MaskedMean(1, boolean), MAP), [5.5, 16])


def test_an_empty_mask_has_the_score_zero_and_a_map_of_zeros():
    mask = np.zeros((2, 2, 2))
    mask[1, 0, 0] = 1
    np.testing.assert_allclose(scores(MaskedMean(1, mask), MAP), [0, 13])
    inputs = keras.Input((2, 2, 2))
    model = keras.Model(inputs, layers.Conv2D(3, 1)(inputs))
    x = np.ones((2, 2, 2, 2), "float32")
    with pytest.warns(UserWarning, match="or the mask of the image is empty"):
        maps = Saliency(model).explain(x, MaskedMean(1, mask))
    assert maps[0].max() == 0
    assert (maps[1] > 0).tolist() == [[True, False], [False, False]]


def test_what_is_no_weight_is_refused():
    for value in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"with values from .*{value}"):
            MaskedMean(1, np.full((2, 2, 2), value))


def test_the_classes_may_be_on_another_axis():
    first = np.moveaxis(MAP, -1, 1)
    mask = [[[1, 0], [0, 3]], [[0, 2], [0, 0]]]
    np.testing.assert_allclose(
        scores(MaskedMean(1, mask, axis=1), first), [31 / 4, 16]
    )


def test_masks_are_cut_along_with_the_data():
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    model = keras.Model(inputs, layers.Conv2D(3, 1)(x))
    generator = np.random.default_rng(0)
    x = generator.normal(size=(5, 4, 4, 2)).astype("float32")
    mask = generator.random((5, 4, 4)) > 0.5
    maps = Saliency(model).explain(
        x, MaskedMean(2, mask), batch_size=2, verbose=0
    )
    alone = [
        Saliency(model).explain(x[i : i + 1], MaskedMean(2, mask[i : i + 1]))[0]
        for i in range(5)
    ]
    np.testing.assert_allclose(maps, alone, atol=1e-6)


def sequence_labeller():
    inputs = keras.Input((6, 2))
    model = keras.Model(inputs, layers.Conv1D(3, 1)(inputs))
    return model, np.ones((2, 6, 2), "float32")


def test_a_mask_of_a_sequence_adds_no_axis_to_the_map():
    model, x = sequence_labeller()
    mask = np.ones((2, 6))
    expected = Saliency(model).explain(x, MaskedMean(1))
    maps = Saliency(model).explain(x, MaskedMean(1, mask))
    assert maps.shape == expected.shape
    np.testing.assert_allclose(maps, expected)


def test_a_mask_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"mask of shape \(2, 3, 2\)"):
        scores(MaskedMean(1, np.ones((2, 3, 2))), MAP)
    with pytest.raises(ValueError, match="Received: index=3"):
        scores(MaskedMean(3), MAP)
    with pytest.raises(ValueError, match=r"Received: shape \(2, 3\)"):
        scores(MaskedMean(1))
    model, x = sequence_labeller()
    with pytest.raises(ValueError, match=r"mask of shape \(3, 6\) for 2"):
        Saliency(model).explain(x, MaskedMean(1, np.ones((3, 6))))


def test_a_mask_may_be_a_tensor_of_the_users_function():
    inputs = keras.Input((2, 2, 2))
    model = keras.Model(inputs, layers.Conv2D(3, 1)(inputs))
    x = np.ones((2, 2, 2, 2), "float32")
    mask = np.array([[[1, 0], [0, 3]], [[0, 2], [0, 0]]], "float32")
    saliency = Saliency(model)

    @tf.function
    def mine(x, mask):
        return saliency(x, MaskedMean(1, mask))

    np.testing.assert_allclose(
        mine(x, mask), saliency.explain(x, MaskedMean(1, mask))
    )


# Callables


def test_a_callable_takes_the_outputs():
    np.testing.assert_array_equal(scores(lambda o: o[:, 1] - o[:, 0]), [4, -2])
    maps = signed(linear(), lambda o: o[:, 1] - o[:, 0])
    np.testing.assert_array_equal(maps, [KERNEL[:, 1] - KERNEL[:, 0]] * 3)


def test_a_callable_may_return_a_column_or_a_sequence():
    np.testing.assert_array_equal(scores(lambda o: o[:, 1:2]), [5, 2])
    np.testing.assert_array_equal(scores(lambda o: (o[0, 0], o[1, 2])), [1, 6])
    np.testing.assert_array_equal(scores(lambda o: [o[0, 0], o[1, 2]]), [1, 6])


def test_partials_and_methods_are_callables():
    class Pick:
        def __init__(self, index):
            self.index = index

        def of(self, outputs):
            return outputs[:, self.index]

    def pick(outputs, index):
        return outputs[:, index]

    partial = functools.partial(pick, index=2)
    np.testing.assert_array_equal(scores(partial), [3, 6])
    np.testing.assert_array_equal(scores(Pick(1).of), [5, 2])
    model = linear()
    np.testing.assert_array_equal(signed(model, partial), signed(model, 2))
    np.testing.assert_array_equal(signed(model, Pick(1).of), signed(model, 1))


@pytest.mark.parametrize(
    "function, shape",
    [
        (lambda o: o, r"\(2, 3\)"),
        (lambda o: ops.sum(o), r"\(\)"),
        (lambda o: o[:, None, :1], r"\(2, 1, 1\)"),
    ],
)
def test_a_callable_must_return_one_number_per_image(function, shape):
    with pytest.raises(ValueError, match=f"Received: shape {shape} from"):
        scores(function)


@pytest.mark.parametrize(
    "function",
    [
        lambda o: o[0],
        lambda o: ops.mean(o, axis=0),
        lambda o: (o[0][1], o[1][1]),
        lambda o: o[:1, 2],
    ],
)
def test_a_callable_must_return_as_many_numbers_as_there_are_images(function):
    """Otherwise the maps of the other images are silently zero."""
    x = np.ones((5, 4), "float32")
    with pytest.raises(ValueError, match="one score per image"):
        signed(linear(), function, x)


# One of several outputs


def test_the_output_is_named_in_a_dict_and_numbered_in_a_list():
    model, first, second = two_outputs()
    for target, kernel in (
        (Class(1, output="class"), first),
        (Class([1, 1, 1], output="place"), second),
        (Component(1, output="place"), second),
    ):
        np.testing.assert_array_equal(signed(model, target), [kernel[:, 1]] * 3)
    model = as_list(model)
    for number, kernel in ((0, first), (1, second), (-1, second)):
        maps = signed(model, Class(1, output=number))
        np.testing.assert_array_equal(maps, [kernel[:, 1]] * 3)


def test_the_top_class_of_a_named_output():
    model, _, second = two_outputs()
    top = (X @ second).argmax(-1)
    maps = signed(model, Class(output="place"))
    np.testing.assert_array_equal(maps, second.T[top])


def test_an_output_that_does_not_exist_is_refused_with_those_there_are():
    model, _, _ = two_outputs()
    outputs = r"'class' \(None, 3\), 'place' \(None, 2\)"
    for output in ("name", 0):
        with pytest.raises(
            ValueError, match=f"Received: output={output!r}. Outputs: {outputs}"
        ):
            signed(model, Class(1, output=output))
    with pytest.raises(
        ValueError, match=f"without `output`. Outputs: {outputs}"
    ):
        signed(model, 1)
    outputs = r"0 \(None, 3\), 1 \(None, 2\)"
    for output in (2, "class"):
        with pytest.raises(
            ValueError, match=f"Received: output={output!r}. Outputs: {outputs}"
        ):
            signed(as_list(model), Class(1, output=output))


@pytest.mark.parametrize(
    "target",
    [
        Component(1, output=0),
        Class(1, output=0),
        [lambda outputs: outputs[:, 1]],
        [Class(1)],
    ],
    ids=["Component", "Class", "list of a callable", "list of a Class"],
)
def test_the_only_output_is_number_0(target):
    maps = signed(linear(), target)
    np.testing.assert_array_equal(maps, [KERNEL[:, 1]] * 3)


# One target per output


def test_a_dict_names_outputs_and_the_sum_is_explained():
    model, first, second = two_outputs()
    target = {"class": 2, "place": lambda output: output[:, 0] * 3}
    maps = signed(model, target)
    np.testing.assert_array_equal(maps, [first[:, 2] + 3 * second[:, 0]] * 3)
    maps = signed(model, {"place": Component(1, sign=-1), "class": [0, 1, 2]})
    np.testing.assert_array_equal(maps, first.T - second[:, 1])
    maps = signed(model, {"place": 1})
    np.testing.assert_array_equal(maps, [second[:, 1]] * 3)


def test_a_list_goes_through_the_outputs_in_order():
    model, first, second = two_outputs()
    target = [Class([0, 1, 2]), lambda output: output[:, 1]]
    maps = signed(as_list(model), target)
    np.testing.assert_array_equal(maps, first.T + second[:, 1])
    maps = signed(as_list(model), [lambda o: o[:, 0], Component(1)])
    np.testing.assert_array_equal(maps, [first[:, 0] + second[:, 1]] * 3)


def test_a_list_may_hold_objects_only():
    model, first, second = two_outputs()
    maps = signed(as_list(model), [Class(0), Component(1)])
    np.testing.assert_array_equal(maps, [first[:, 0] + second[:, 1]] * 3)


def test_the_parts_of_a_sum_are_cut_along_with_the_data():
    model, first, second = two_outputs()
    target = {"class": [0, 1, 2], "place": [1, 1, 0]}
    maps = Saliency(model, None).explain(X, target, batch_size=2, verbose=0)
    np.testing.assert_array_equal(maps, first.T + second.T[[1, 1, 0]])
    with pytest.raises(ValueError, match=r"index of shape \(2,\) for 3"):
        signed(model, {"class": 0, "place": [1, 1]})


def test_the_top_classes_in_a_sum_are_those_of_the_clean_image():
    model, first, second = two_outputs()
    explainer = SmoothGrad(model, 2, 5.0, channel_reduction=None)
    maps = explainer.explain(X, {"class": None, "place": Class()})
    expected = first.T[(X @ first).argmax(-1)]
    expected = expected + second.T[(X @ second).argmax(-1)]
    np.testing.assert_allclose(maps, expected)


def test_several_classes_add_to_one_score_image_by_image_or_not_at_all():
    """Three images and three classes: (3, 3) + (3,) adds along the classes."""
    model, first, second = two_outputs()
    several = np.array([[0, 1, 2]] * 3)
    place = np.array([0, 1, 1])
    try:
        maps = signed(model, {"class": several, "place": place})
    except ValueError as error:
        assert "classes" in str(error)
        return
    expected = first.T[None] + second.T[place][:, None]
    np.testing.assert_array_equal(maps, expected)


def test_targets_given_for_an_output_are_not_changed():
    model, _, _ = two_outputs()
    target = Class(0)
    signed(model, {"class": target, "place": target})
    assert target.output is None


# Slices, lengths and keys


def test_slices_hold_the_parts_of_their_images():
    target = Class([0, 1, 2, 3])
    np.testing.assert_array_equal(target.slice(1, 3)["index"], [1, 2])
    np.testing.assert_array_equal(target.slice(3, 9)["index"], [3])
    assert np.ndim(Class(2).slice(1, 3)["index"]) == 0
    assert Class().slice(0, 2) == {}
    mask = np.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_array_equal(
        MaskedMean(0, mask).slice(1, 2)["mask"], mask[1:]
    )


def test_the_length_is_checked_where_there_is_one():
    Class(3).check_length(5)
    Class().check_length(5)
    Class([0, 1]).check_length(2)
    MaskedMean(0).check_length(2)
    with pytest.raises(
        ValueError, match=r"Received: index of shape \(2,\) for 5 images"
    ):
        Class([0, 1]).check_length(5)
    with pytest.raises(ValueError, match=r"mask of shape \(2, 3, 3\) for 1"):
        MaskedMean(0, np.ones((2, 3, 3))).check_length(1)


def first_score(outputs):
    return outputs[:, 0]


SAME_KEY = {
    "classes": (Class(1), Class(2)),
    "class and array": (Class(1), Class([1, 2])),
    "masks": (
        MaskedMean(1, np.ones((1, 2, 2))),
        MaskedMean(1, np.zeros((3, 2))),
    ),
    "one function": (first_score, first_score),
    "dicts": ({"a": 1, "b": first_score}, {"a": 2, "b": first_score}),
}
OTHER_KEY = {
    "top class": (Class(1), Class()),
    "outputs": (Class(1, output="a"), Class(1, output="b")),
    "components": (Component(0), Component(1)),
    "signs": (Component(0), Component(0, sign=-1)),
    "mask or none": (MaskedMean(1), MaskedMean(1, np.ones((1, 2, 2)))),
    "mask axes": (MaskedMean(1, axis=1), MaskedMean(1, axis=-1)),
    "masked classes": (MaskedMean(1), MaskedMean(2)),
    "kinds": (Class(1), Component(1)),
    "functions": (lambda o: o[:, 0], lambda o: o[:, 0]),
    "dicts": ({"a": 1, "b": first_score}, {"b": 1, "a": first_score}),
}


@pytest.mark.parametrize("case", SAME_KEY)
def test_targets_that_differ_in_their_parts_share_a_key(case):
    first, second = map(targets.get, SAME_KEY[case])
    assert first.key == second.key
    assert hash(first.key) == hash(second.key)


@pytest.mark.parametrize("case", OTHER_KEY)
def test_targets_that_compute_something_else_have_another_key(case):
    first, second = map(targets.get, OTHER_KEY[case])
    assert first.key != second.key


def test_one_trace_serves_all_classes_and_one_every_function():
    saliency = Saliency(linear())

    def traces(*given):
        before = saliency._runner.num_traces
        for target in given:
            saliency.explain(X, target)
        return saliency._runner.num_traces - before

    assert traces(0, 1, np.int64(2), Class(1)) == 1
    assert traces([0, 1, 2], np.array([2, 1, 0])) == 1
    assert traces(first_score, first_score) == 1
    assert traces(lambda o: o[:, 0], lambda o: o[:, 0]) == 2


# Targets of the user's own


class Margin(Target):
    """How far a class is above another."""

    def __init__(self, index, other):
        super().__init__()
        self.index = np.asarray(index)
        self.other = other

    @property
    def parts(self):
        return {"index": self.index}

    @property
    def key(self):
        return (*super().key, self.other)

    def scores(self, outputs, parts):
        output = self._select(outputs)
        chosen = ops.take_along_axis(output, parts["index"][:, None], axis=-1)
        return chosen[:, 0] - output[:, self.other]


def test_a_target_of_the_users_own_is_explained():
    maps = signed(linear(), Margin([0, 1, 2], 1))
    np.testing.assert_array_equal(maps, (KERNEL - KERNEL[:, 1:2]).T)
    saliency = Saliency(linear(), None)
    saliency.explain(X, Margin([0, 1, 2], 1))
    maps = saliency.explain(X, Margin([0, 1, 2], 0))
    np.testing.assert_array_equal(maps, (KERNEL - KERNEL[:, :1]).T)


class Several(Target):
    """Scores of two classes at once, which no part tells."""

    def scores(self, outputs, parts):
        return self._select(outputs)[:, :2]


def test_a_target_of_several_classes_must_not_lose_any():
    try:
        maps = signed(linear(), Several())
    except ValueError as error:
        assert "is_single" in str(error)
        return
    np.testing.assert_array_equal(maps, np.stack([KERNEL.T[:2]] * 3))


def target_class(index):
    class Mine(Target):
        def scores(self, outputs, parts):
            return self._select(outputs)[:, index]

    return Mine


def test_two_classes_of_one_name_are_two_targets():
    """As when a notebook's cell is run again after a change."""
    saliency = Saliency(linear(), None)
    first = saliency.explain(X, target_class(0)())
    second = saliency.explain(X, target_class(1)())
    np.testing.assert_array_equal(first, [KERNEL[:, 0]] * 3)
    np.testing.assert_array_equal(second, [KERNEL[:, 1]] * 3)


def test_a_target_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Target()


@pytest.mark.parametrize(
    "function, received",
    [
        (lambda scores: None, "Received: NoneType"),
        (lambda scores: ops.argmax(scores, axis=-1), "dtype int"),
        (lambda scores: scores[:, 0] > 0, "dtype bool"),
        (lambda scores: np.ones(2, "float32"), "ndarray of dtype float32"),
        (lambda scores: "score", "Received: "),
        (lambda scores: {}, "Received: dict"),
        (lambda scores: [[1.0], [1.0, 2.0]], "Received: list"),
    ],
)
def test_a_callable_that_returns_no_float_scores_is_named(function, received):
    scores = np.array([[0.2, 0.8], [0.6, 0.4]], "float32")
    target = targets.get(function)
    with pytest.raises(TypeError, match=f"{received}.*outputs: outputs"):
        target.scores(ops.convert_to_tensor(scores), {})
    # As the message says.
    first = targets.get(lambda outputs: outputs[:, 0])
    found = first.scores(ops.convert_to_tensor(scores), {})
    assert np.allclose(found, [0.2, 0.6])
