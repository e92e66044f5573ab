import gc
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from conformance import model_kinds
from conformance.model_kinds import SIZE
from conformance.model_kinds import TWINS
from explainers.networks import NUMBER
from explainers.networks import CountsTraces
from explainers.networks import assert_close
from explainers.networks import images
from explainers.networks import input_gradients
from explainers.networks import random_network
from explainers.networks import sizes_and
from keras import layers
from keras import ops
from reference.class_model import class_model

from keras_xmap import engine
from keras_xmap import targets
from keras_xmap.explainers import ClassModel

pytestmark = pytest.mark.tensorflow

SHAPE = (SIZE, SIZE, 3)


def linear(weights):
    """Scores `w_k . I` for `weights` of shape `(*shape, classes)`."""
    weights = np.asarray(weights, "float32")
    model = keras.Sequential(
        [
            keras.Input(weights.shape[:-1]),
            layers.Flatten(),
            layers.Dense(weights.shape[-1], use_bias=False),
        ]
    )
    model.set_weights([weights.reshape(-1, weights.shape[-1])])
    return model


def test_a_linear_score_has_its_maximum_where_calculus_says():
    """`w / (2 lambda)`, where the objective is `|w|^2 / (4 lambda)`."""
    model = linear([[1.0], [-2.0]])
    image = np.asarray(ClassModel(model, weight_decay=0.1)(NUMBER), "float64")
    np.testing.assert_allclose(image, [[5, -10]], rtol=1e-6)
    value = float(model(image)[0, 0]) - 0.1 * (image**2).sum()
    assert value == pytest.approx(12.5)


@pytest.mark.parametrize("num_steps", [1, 3])
def test_each_step_is_one_of_gradient_ascent(num_steps):
    """`I_n = w / (2 lambda) * (1 - (1 - 2 lambda rate) ** n)`."""
    model = linear([[1.0], [-2.0]])
    image = ClassModel(model, num_steps, 0.5, 0.1)(NUMBER)
    expected = np.array([[5, -10]]) * (1 - 0.9**num_steps)
    np.testing.assert_allclose(image, expected, rtol=1e-5)


def test_total_variation_solves_its_linear_equations():
    """`(lambda + tv * L) I = w / 2`, `L` the Laplacian of the neighbours."""
    w = np.random.default_rng(0).normal(size=(3, 4, 1))
    image = ClassModel(
        linear(w[..., None]), 1000, 0.5, 0.1, total_variation=0.2
    )(NUMBER)
    laplacian = np.zeros((12, 12))
    for i, j in np.ndindex(3, 4):
        for k, m in ((i + 1, j), (i, j + 1)):
            if k < 3 and m < 4:
                a, b = 4 * i + j, 4 * k + m
                laplacian[[a, b], [a, b]] += 1
                laplacian[[a, b], [b, a]] -= 1
    expected = np.linalg.solve(
        0.1 * np.eye(12) + 0.2 * laplacian, w.ravel() / 2
    )
    assert_close(image, expected.reshape(1, 3, 4, 1), 1e-5)


OPTIONS = {
    "plain": {},
    "total variation": {"total_variation": 0.05},
    "jitter": {"jitter": 2},
    "blur": {"blur": 0.8},
    "all": {"total_variation": 0.05, "jitter": 1, "blur": 0.4},
}


@sizes_and("case", OPTIONS, sizes=[(12,), (9, 7)])
def test_random_networks_have_the_images_of_the_reference(size, case):
    model, options = random_network(size, head="mlp"), OPTIONS[case]
    made = ClassModel(model, 6, 0.3, 0.02, **options)([2, 0])
    options = dict(options)
    jitter = options.pop("jitter", 0)
    shifts = [
        [
            int(share * (2 * jitter + 1)) - jitter
            for share in engine.uniform_noise((len(size),), 0, step).numpy()
        ]
        for step in range(6)
    ]
    assert (np.unique(shifts) == np.arange(-jitter, jitter + 1)).all()
    for image, target in zip(made.numpy(), (2, 0), strict=True):

        def gradient_at(x, target=target):
            x = x[None].astype("float32")
            return input_gradients(model, x, target)[0]

        expected = class_model(
            gradient_at,
            np.zeros((*size, 3)),
            6,
            0.3,
            0.02,
            shifts=shifts,
            **options,
        )
        assert_close(image, expected, 1e-5)


def test_a_channel_of_a_hidden_layer_is_the_mean_of_its_activations():
    model = random_network(head="mlp")
    hidden = model.get_layer("first").output
    means = keras.Model(
        model.inputs[0], layers.GlobalAveragePooling2D()(hidden)
    )
    start = images(9, 7, 3, count=2)
    class_model = ClassModel(model, 5, target_layer="first")
    image = class_model([3, 1], start=start)
    assert_close(image, ClassModel(means, 5)([3, 1], start=start))
    assert class_model.score_used == "mean activations of layer 'first'"
    by_layer = ClassModel(model, 5, target_layer=model.get_layer("first"))
    assert_close(by_layer([3, 1], start=start), image)


def test_the_score_rises():
    model = random_network(head="mlp")
    start = images(9, 7, 3)
    image = ClassModel(model, 20, 0.05)([0, 1, 2], start=start)
    before, after = np.asarray(model(start)), np.asarray(model(image))
    assert (np.diagonal(after) > np.diagonal(before) + 1).all()


def test_any_target_of_one_score_per_image_is_maximised():
    model = linear(np.random.default_rng(0).normal(size=(2, 3, 1, 4)))
    w = model.get_weights()[0].reshape(2, 3, 4)
    maximise = ClassModel(model, weight_decay=0.1)
    for target, expected in (
        (targets.Difference(2, 1), w[..., 2] - w[..., 1]),
        (targets.Component(3, sign=-1), -w[..., 3]),
        (lambda scores: ops.sum(scores, axis=-1), w.sum(-1)),
    ):
        image = maximise(target)
        assert image.shape == (1, 2, 3, 1)
        assert_close(image[0, ..., 0], expected / 0.2)


def test_several_inputs_are_changed_together_and_integers_kept():
    inputs = {
        "image": keras.Input((2, 2, 1), name="image"),
        "words": keras.Input((2,), dtype="int32", name="words"),
        "vector": keras.Input((3,), name="vector"),
    }
    words = layers.Flatten()(layers.Embedding(5, 2)(inputs["words"]))
    x = [layers.Flatten()(inputs["image"]), words, inputs["vector"]]
    x = layers.Dense(2, use_bias=False)(layers.Concatenate()(x))
    model = keras.Model(inputs, x)
    start = {
        "image": np.zeros((1, 2, 2, 1), "float32"),
        "words": np.array([[1, 4]]),
        "vector": np.zeros((1, 3), "float32"),
    }
    options = {"jitter": 1, "blur": 0.001, "total_variation": 0.0}
    made = ClassModel(model, weight_decay=0.1, **options)(1, start=start)
    w = model.get_weights()[-1][:, 1]
    assert made["image"].shape == (1, 2, 2, 1)
    # Features have no neighbours: nothing moves or blurs them.
    assert_close(made["vector"], w[None, -3:] / 0.2, 1e-5)
    np.testing.assert_array_equal(made["words"], start["words"])
    with pytest.raises(ValueError, match="for several inputs, `start`"):
        ClassModel(model)(1)


# What it shares with the explainers


@pytest.fixture(scope="module")
def expected():
    return make(model_kinds.functional()).numpy()


def make(model, target=(2, 3), **options):
    options = {"num_steps": 4, "total_variation": 0.01, "jitter": 1, **options}
    return ClassModel(model, **options)(np.array(target), shape=SHAPE)


# All of them are read every day by explainers, in the same way.
EVERYDAY = ("loaded", "nested_functional", "sequential_unbuilt", "subclassed")


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in EVERYDAY else pytest.param(kind, marks=pytest.mark.slow)
        for kind in TWINS
    ],
)
def test_the_same_function_has_the_same_image_however_it_is_built(
    kind, expected
):
    assert_close(make(TWINS[kind]()), expected, 2e-6)


def test_a_one_dimensional_and_a_channels_first_model_have_images():
    for kind in ("one_dimensional", "three_dimensional", "channels_first"):
        kind = model_kinds.OTHERS[kind]()
        image = ClassModel(kind.model, 3, jitter=2, blur=0.5)(1)
        assert image.shape == (1, *kind.inputs.shape[1:])
        assert np.isfinite(image).all()
        assert np.abs(image).max() > 0


def test_channels_first_rolls_and_blurs_positions_only():
    w = np.random.default_rng(0).normal(size=(5, 4, 2)).astype("float32")
    last = linear(w[..., None])
    first = keras.Sequential(
        [
            keras.Input((2, 5, 4)),
            layers.AveragePooling2D(1, data_format="channels_first"),
            layers.Flatten(),
            layers.Dense(1, use_bias=False),
        ]
    )
    first.set_weights([np.moveaxis(w, -1, 0).reshape(-1, 1)])
    options = {"num_steps": 5, "total_variation": 0.1, "jitter": 1, "blur": 0.7}
    image = ClassModel(first, **options)(NUMBER)
    assert_close(
        np.moveaxis(image.numpy(), 1, -1), ClassModel(last, **options)(NUMBER)
    )


def test_inside_the_users_function_is_as_outside(expected):
    maximise = ClassModel(
        model_kinds.functional(), 4, total_variation=0.01, jitter=1
    )

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32)])
    def mine(target):
        return maximise(target)

    assert_close(mine(tf.constant([2, 3])), expected)
    assert mine(tf.constant([1, 2, 3])).shape == (3, *SHAPE)


def test_a_model_built_for_two_replicas_has_the_same_image(strategy, expected):
    with strategy.scope():
        model = model_kinds.functional()
    assert_close(make(model), expected)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_gives_a_float32_image_close_to_float32(
    policy, expected
):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = model_kinds.functional()
    finally:
        keras.config.set_dtype_policy(before)
    image = make(model)
    assert image.dtype == tf.float32
    correlation = np.corrcoef(np.ravel(image), expected.ravel())[0, 1]
    assert correlation > 0.98


def test_the_image_of_one_class_does_not_depend_on_the_others(expected):
    model = model_kinds.functional()
    assert_close(make(model, (3,)), expected[1:])
    assert_close(make(model, (3, 0, 2))[::2], expected[::-1])


@pytest.mark.slow
def test_one_step_is_traced_for_all_classes_and_numbers_of_them():
    maximise = ClassModel(model_kinds.functional(), 2)
    for target in (0, 1):
        maximise(target)
    assert maximise._runner.num_traces == 1
    for target in ([0], [1, 2], [1, 2, 3]):
        maximise(target)
    assert maximise._runner.num_traces == 2


def test_the_model_is_traced_no_more_often_for_more_steps():
    traces = []
    for num_steps in (1, 300):
        counter = CountsTraces()
        model = keras.Sequential([keras.Input((4,)), counter, layers.Dense(2)])
        counter.count = 0
        ClassModel(model, num_steps)(0)
        traces.append(counter.count)
    assert traces[0] == traces[1] <= 3


def test_the_model_is_as_before_after_success_and_after_failure():
    model = model_kinds.nested_functional()
    model.compile("adam", "mse")
    data = images(*SHAPE)

    def state():
        return (
            [w.tobytes() for w in model.get_weights()],
            [v.numpy().tobytes() for v in model.optimizer.variables],
            model.get_config(),
            [sorted(vars(layer)) for layer in model.layers],
            len(model.losses),
            keras.layers.Layer.__call__,
            model(data).numpy().tobytes(),
        )

    before = state()
    maximise = ClassModel(model, 2)
    maximise(1)
    assert state() == before

    def failing(scores):
        raise RuntimeError("no such score")

    with pytest.raises(RuntimeError, match="no such score"):
        maximise(failing)
    assert state() == before


def test_four_threads_do_not_disturb_each_other(expected):
    model, made, errors = model_kinds.functional(), {}, []

    def work(number):
        try:
            made[number] = make(model).numpy()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for number in range(4):
        assert_close(made[number], expected)


@pytest.mark.slow
def test_it_is_freed_with_its_model():
    model = model_kinds.functional()
    maximise = ClassModel(model, 2)
    maximise(2)
    gone = weakref.ref(model)
    del model, maximise
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None


def test_a_dead_class_has_the_zero_image():
    model = linear(np.zeros((3, 2, 1, 2)))
    np.testing.assert_array_equal(ClassModel(model)(1), np.zeros((1, 3, 2, 1)))


# Errors


BAD = [
    ({"num_steps": 0}, "Received: num_steps=0"),
    ({"learning_rate": 0}, "Received: learning_rate=0"),
    ({"weight_decay": -1}, "Received: weight_decay=-1"),
    ({"total_variation": -1}, "Received: total_variation=-1"),
    ({"jitter": 1.5}, "Received: jitter=1.5"),
    ({"jitter": -1}, "Received: jitter=-1"),
    ({"blur": float("nan")}, "Received: blur=nan"),
    ({"score": "softmax"}, "Received: score='softmax'"),
    ({"weight_decay": 2}, "Received: learning_rate=1.0, weight_decay=2.0"),
]


@pytest.mark.parametrize("options, message", BAD, ids=lambda x: str(x))
def test_bad_arguments_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        ClassModel(random_network(), **options)


def test_steps_that_would_overshoot_the_differences_are_refused():
    maximise = ClassModel(
        random_network(), 2, weight_decay=0.1, total_variation=0.2
    )
    with pytest.raises(ValueError, match="Pass learning_rate < 0.5882"):
        maximise(0)
    assert np.abs(ClassModel(random_network(), 2, 0.58, 0.1, 0.2)(0)).max() > 0


def test_something_that_is_no_model_is_refused():
    with pytest.raises(TypeError, match="Received: model="):
        ClassModel(lambda x: x)


CALLS = {
    "no target": ({"target": None}, "Received: target=None"),
    "a class too many": (
        {"target": 4},
        r"Received: \(classes, target\) \[4\] \[4\]",
    ),
    "several classes per image": (
        {"target": [[0, 1]]},
        r"Pass the classes as an array \(n,\)",
    ),
    "shape and start": (
        {"shape": (9, 7, 3), "start": images(9, 7, 3)},
        "`shape` or `start`, not both",
    ),
    "a shape without numbers": ({"shape": (9, 7, None)}, "Received: shape="),
    "no shape": ({"shape": 9}, "Received: shape=9"),
    "a shape of booleans": ({"shape": (9, 7, True)}, "Received: shape="),
    "a shape of another rank": ({"shape": (9, 7)}, "takes inputs of other"),
    "a start of another length": (
        {"target": [0, 1], "start": images(9, 7, 3)},
        "for 3 images",
    ),
    "a start of NaN": (
        {"start": np.full((1, 9, 7, 3), np.nan, "float32")},
        "Received: an input with NaN",
    ),
    "a constant": (
        {"target": lambda scores: ops.ones(1)},
        "does not depend on what is to be explained",
    ),
    "no gradient": (
        {"target": lambda s: ops.cast(ops.argmax(s, -1), "float32")},
        "does not depend on what is to be explained",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_bad_calls_are_refused_with_what_was_expected(case):
    call, message = CALLS[case]
    with pytest.raises(ValueError, match=message):
        ClassModel(random_network(), 2)(**{"target": 0, **call})


def test_a_model_of_unknown_size_must_be_told_the_shape():
    model = model_kinds.any_size()
    with pytest.raises(ValueError, match="Received: shape=None for inputs of"):
        ClassModel(model, 2)(1)
    assert ClassModel(model, 2)(1, shape=SHAPE).shape == (1, *SHAPE)


def test_an_unknown_layer_is_refused_by_name():
    with pytest.raises(ValueError, match="Received: target_layer='nowhere'"):
        ClassModel(random_network(), 2, target_layer="nowhere")(0)


def test_activation_maximisation_of_tf_keras_vis_climbs_as_high():
    """A peer with another optimiser and regulariser: only of one order."""
    vis = pytest.importorskip("tf_keras_vis.activation_maximization")
    model = random_network(head="mlp")
    peer = vis.ActivationMaximization(model, clone=False)(
        lambda outputs: outputs[:, 1],
        seed_input=np.zeros((1, 9, 7, 3), "float32"),
        steps=50,
        input_range=(-3, 3),
        regularizers=[],
        input_modifiers=[],
    )
    ours = ClassModel(model, 50, 0.05, weight_decay=0)(1).numpy()
    ours *= 3 / np.abs(ours).max()
    theirs = np.asarray(peer)
    scores = [float(model(x)[0, 1]) for x in (ours, theirs)]
    start = float(model(np.zeros((1, 9, 7, 3)))[0, 1])
    assert min(scores) > start + 0.3 * (max(scores) - start)
