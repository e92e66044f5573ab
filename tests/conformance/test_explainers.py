"""Properties that every explainer has on every kind of model."""

import copy
import functools
import gc
import inspect
import pickle
import re
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from conformance import model_kinds
from conformance.model_kinds import CLASSES
from conformance.model_kinds import OTHERS
from conformance.model_kinds import SIZE
from conformance.model_kinds import TEXTS
from conformance.model_kinds import TWINS
from conformance.model_kinds import images

from keras_xmap import explainers

pytestmark = pytest.mark.tensorflow

CASES = {
    "CAM": explainers.CAM,
    "DeconvNet": explainers.DeconvNet,
    # Of all classes, so that single classes have the same candidates.
    "DistinctClassSaliency": lambda model: explainers.DistinctClassSaliency(
        model, scales=(1,), candidates=CLASSES
    ),
    "EigenCAM": explainers.EigenCAM,
    "GradCAM": explainers.GradCAM,
    "GradCAMPlusPlus": explainers.GradCAMPlusPlus,
    "GradientInput": explainers.GradientInput,
    "GuidedBackprop": explainers.GuidedBackprop,
    "GuidedGradCAM": explainers.GuidedGradCAM,
    "HiResCAM": explainers.HiResCAM,
    "IntegratedGradients": lambda model: explainers.IntegratedGradients(
        model, num_steps=3
    ),
    "LayerCAM": explainers.LayerCAM,
    "Occlusion": lambda model: explainers.Occlusion(model, patch_size=6),
    # One level of cells, which are divided where the twins do not round.
    "QuadtreeOcclusion": lambda model: explainers.QuadtreeOcclusion(
        model, patch_size=6, strides=2
    ),
    # By logits, which all twins have.
    "RISE": lambda model: explainers.RISE(
        model, num_masks=5, grid_size=3, score="logits"
    ),
    "RegionCAM": explainers.RegionCAM,
    "Saliency": explainers.Saliency,
    # By logits, which all twins have.
    "ScoreCAM": lambda model: explainers.ScoreCAM(
        model, max_channels=8, score="logits"
    ),
    "SmoothGrad": lambda model: explainers.SmoothGrad(model, num_samples=3),
}
ACTIVATION_METHODS = (
    "CAM",
    "DistinctClassSaliency",
    "EigenCAM",
    "GradCAM",
    "GradCAMPlusPlus",
    "HiResCAM",
    "LayerCAM",
    "RegionCAM",
    "ScoreCAM",
)
METHODS_OF_A_SPATIAL_LAYER = (*ACTIVATION_METHODS, "GuidedGradCAM")
# Of those, the ones that need the positions of the layer in the input.
METHODS_OF_PIXELS = (
    "DistinctClassSaliency",
    "GuidedGradCAM",
    "RegionCAM",
    "ScoreCAM",
)
# Of one size of layers before a global average, whose derivatives are the same
# everywhere: RegionCAM says so, and has no map.
ALIKE_EVERYWHERE = (
    "channels_first",
    "segmentation",
    "token_ids",
    "transformer",
    "two_backbones",
    "video",
)
# These show the words of a text that is given as ids.
METHODS_OF_WORDS = tuple(
    name for name in ACTIVATION_METHODS if name not in METHODS_OF_PIXELS
)
# These explain scores that cannot be differentiated, too.
GRADIENT_FREE_METHODS = (
    "EigenCAM",
    "Occlusion",
    "QuadtreeOcclusion",
    "RISE",
    "ScoreCAM",
)

# The methods that stand for the others from day to day, one for each way of
# reading a model: its head, a layer, perturbed images, the input's gradients.
# What a rule for ReLUs reads has its own tests. `make test-slow` runs the grid.
EVERYDAY = ("CAM", "GradCAM", "Occlusion", "Saliency")
# Perturbed images are read by calling the model, which the others do as well.
READERS = ("CAM", "GradCAM", "Saliency")
# One of each base, for what the bases alone do.
COPIED = ("ClassModel", "GradCAM", "Occlusion", "Saliency")


# What the engine does, whatever the method: others come with `make test-sweep`.
SWEPT = (pytest.mark.slow, pytest.mark.sweep)
# Of one base with two others of the grid, and with the largest step to trace.
SWEPT_METHODS = ("QuadtreeOcclusion",)
# What the engine does for these it does for another one, which reads models in
# the same way.
READ_ALIKE = (
    *SWEPT_METHODS,
    "DeconvNet",
    "GradCAMPlusPlus",
    "GradientInput",
    "GuidedGradCAM",
    "HiResCAM",
    "LayerCAM",
    "SmoothGrad",
)


def everyday(
    chosen, names=CASES, others=(pytest.mark.slow,), swept=SWEPT_METHODS
):
    """Gives a test all names, those that are not chosen under marks."""

    def marked(name):
        marks = SWEPT if name in swept else others
        return pytest.param(name, marks=marks)

    return pytest.mark.parametrize(
        "name", [name if name in chosen else marked(name) for name in names]
    )


all_explainers = pytest.mark.parametrize("name", CASES)
every_explainer = everyday(EVERYDAY)
every_reader = everyday(EVERYDAY, swept=READ_ALIKE)


def explain(name, model, inputs, target=2, **options):
    return CASES[name](model).explain(inputs, target, verbose=0, **options)


# What is costly is a trace. So what no test changes is made and traced once.
@pytest.fixture(scope="module")
def shared():
    """Makes the explainers of one functional twin, one a method."""
    model = model_kinds.functional()
    return functools.cache(lambda name: CASES[name](model))


@pytest.fixture(scope="module")
def expected(shared):
    """Makes the maps of that twin, from which the others may not differ."""
    data = images(SIZE, SIZE, 3)
    return functools.cache(
        lambda name: shared(name).explain(data, 2, verbose=0)
    )


@pytest.fixture(scope="module")
def replicated(strategy):
    """The functional twin on two replicas."""
    with strategy.scope():
        return model_kinds.functional()


@pytest.fixture(scope="module")
def twins():
    return functools.cache(lambda kind: TWINS[kind]())


@pytest.fixture(scope="module")
def others():
    return functools.cache(lambda kind: OTHERS[kind]())


def assert_close(actual, expected, tolerance=2e-6):
    assert np.abs(expected).max() > 0
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual / scale, expected / scale, atol=tolerance)


# It takes no images: what it shares with the others is in its own tests.
NO_EXPLAINERS = {"ClassModel"}
# Bases to derive from, and what they hand to a formula.
BASES = {
    "CAMExplainer",
    "ChannelSumExplainer",
    "Explainer",
    "GradientExplainer",
    "Gradients",
    "InputLayout",
    "PerturbationExplainer",
}


def test_every_public_explainer_has_a_row():
    assert set(CASES) | NO_EXPLAINERS | BASES == set(explainers.__all__)


@everyday(READERS, others=SWEPT)
@pytest.mark.parametrize("kind", TWINS)
def test_the_same_function_has_the_same_maps_however_it_is_built(
    name, kind, twins, expected
):
    # A model without weights has them after the first explanation.
    model = TWINS[kind]() if kind == "sequential_unbuilt" else twins(kind)
    actual = explain(name, model, images(SIZE, SIZE, 3))
    assert_close(actual, expected(name))


def _assert_alike_everywhere(kind):
    with pytest.warns(UserWarning, match="no layer holds a place"):
        maps = explain("RegionCAM", kind.model, kind.inputs, kind.target)
    assert maps.shape == (3, *kind.map_shape)
    assert not maps.any()


# DistinctClassSaliency makes a graph for each layer, class and kind of model:
# minutes to trace, to ask what GuidedBackprop and GradCAM have been asked.
@everyday(READERS, swept=(*READ_ALIKE, "DistinctClassSaliency"))
@pytest.mark.parametrize("kind", OTHERS)
def test_every_kind_of_model_is_explained_or_refused_with_the_cause(
    name, kind, others
):
    if name == "RegionCAM" and kind in ALIKE_EVERYWHERE:
        _assert_alike_everywhere(others(kind))
        return
    kind = others(kind)
    refusal = kind.cam
    if name in (kind.refused or {}):
        words, remedy = kind.refused[name]
        with pytest.raises(ValueError, match=words):
            explain(name, kind.model, kind.inputs, kind.target)
        explainer = getattr(explainers, name)(kind.model, **remedy)
        maps = explainer.explain(kind.inputs, kind.target, verbose=0)
        assert maps.shape == (3, *kind.map_shape)
        assert np.abs(maps).max() > 0
        return
    if name != "CAM" and refusal not in (
        True,
        "The model has no spatial layer",
    ):
        refusal = True
    if name in METHODS_OF_A_SPATIAL_LAYER and refusal is not True:
        with pytest.raises(ValueError, match=refusal):
            explain(name, kind.model, kind.inputs, kind.target)
        return
    maps = explain(name, kind.model, kind.inputs, kind.target)
    if name in ACTIVATION_METHODS:
        maps = {"map": maps}
        expected = {"map": kind.map_shape}
    else:
        expected = keras.tree.map_structure(_positions, kind.inputs)
        if len(keras.tree.flatten(kind.inputs)) == 1:
            expected = kind.map_shape
    flat = keras.tree.flatten(maps)
    for values, shape in zip(
        flat, _shapes_in_order(maps, expected), strict=True
    ):
        if shape is None:
            assert values is None  # an input that is left out
            continue
        if name == "GuidedGradCAM" and len(shape) == 1 and len(flat) > 1:
            assert values is None  # a vector beside an image
            continue
        assert values.shape == (3, *shape)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert np.abs(values).max() > 0


def _positions(x):
    if x is None:
        return None
    return x.shape[1:-1] if x.ndim > 2 else x.shape[1:]


def _shapes_in_order(maps, shapes):
    if isinstance(maps, dict):
        return [shapes[name] for name in sorted(maps)]
    return shapes if isinstance(maps, list) else [shapes]


@pytest.mark.parametrize("kind", OTHERS)
def test_gradients_are_those_of_an_eager_tape(kind, others):
    kind = others(kind)
    target = kind.target if callable(kind.target) else kind.score
    inputs = keras.tree.map_structure(
        lambda x: None if x is None else tf.constant(x), kind.inputs
    )
    given = [x for x in keras.tree.flatten(inputs) if x is not None]
    with tf.GradientTape() as tape:
        tape.watch(given)
        scores = target(kind.model(inputs, training=False))
    expected = tape.gradient(scores, given)
    saliency = explainers.Saliency(
        kind.model, channel_reduction=None, score="output"
    )
    actual = saliency.explain(kind.inputs, kind.target, verbose=0)
    actual = [x for x in keras.tree.flatten(actual) if x is not None]
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e.numpy())


# Of two classes by one unit the gradients differ in sign alone, and each takes
# from the other what it has: what it does instead is in its own tests.
OF_ONE_UNIT = [name for name in CASES if name != "DistinctClassSaliency"]
# What a map becomes where the score is doubled; other methods are not linear.
WHERE_DOUBLED = {
    **dict.fromkeys((*EVERYDAY, "GradientInput", "GuidedBackprop"), 2),
    **dict.fromkeys(
        ("IntegratedGradients", "RISE", "DeconvNet", "LayerCAM"), 2
    ),
    "QuadtreeOcclusion": 2,
    "EigenCAM": 1,
    "GuidedGradCAM": 4,
    "RegionCAM": 1,
}


@everyday(EVERYDAY, OF_ONE_UNIT)
def test_a_single_unit_is_two_classes(name, others):
    kind = others("binary_unit")
    explainer = CASES[name](kind.model)
    answers = kind.model.predict(kind.inputs, verbose=0)[:, 0] > 0.5
    both = explainer.explain(kind.inputs, [[0, 1]] * 3, verbose=0)
    answered = explainer.explain(kind.inputs, verbose=0)
    chosen = both[np.arange(3), answers.astype(int)]
    np.testing.assert_allclose(answered, chosen, atol=1e-6)
    if name in WHERE_DOUBLED:
        twin = CASES[name](model_kinds.two_units_of(kind.model))
        expected = twin.explain(kind.inputs, [[0, 1]] * 3, verbose=0)
        assert_close(both, WHERE_DOUBLED[name] * expected)
        return
    for k, score in enumerate((lambda o: -o[:, 0], lambda o: o[:, 0])):
        expected = explainer.explain(kind.inputs, score, verbose=0)
        np.testing.assert_allclose(both[:, k], expected, atol=1e-6)


@every_explainer
@pytest.mark.parametrize("kind", TEXTS)
def test_texts_are_explained_at_a_layer_that_the_refusal_names(name, kind):
    if name == "RegionCAM" and kind in ALIKE_EVERYWHERE:
        _assert_alike_everywhere(TEXTS[kind]())
        return
    is_followed = kind == "token_ids"
    kind = TEXTS[kind]()
    if is_followed and name in METHODS_OF_WORDS:
        maps = explain(name, kind.model, kind.inputs)
        assert maps.shape == (3, *kind.map_shape)
        assert np.abs(maps).max() > 0
        return
    with pytest.raises(ValueError) as caught:
        explain(name, kind.model, kind.inputs)
    if name in METHODS_OF_A_SPATIAL_LAYER:
        # A text has no pixels to mask, or to multiply a map with.
        method = "GradCAM" if name in METHODS_OF_PIXELS else name
        options, shape = {"target_layer": "last", "resize": False}, (3, 7)
    else:
        (layer,) = re.findall(r"target_layer='(.*?)'", str(caught.value))
        # What covers its input names a method that need not.
        named = re.findall(r"(\w+)\(model, target_layer", str(caught.value))
        method, options = (*named, name)[0], {"target_layer": layer}
        shape = (3, *kind.map_shape)
    explainer = getattr(explainers, method)(kind.model, **options)
    maps = explainer.explain(kind.inputs, 2, verbose=0)
    assert maps.shape == shape
    assert np.abs(maps).max() > 0


@all_explainers
def test_one_by_one_is_as_all_at_once(name, shared, expected):
    explainer, data = shared(name), images(SIZE, SIZE, 3)
    one_by_one = explainer.explain(data, 2, batch_size=1, verbose=0)
    assert_close(one_by_one, expected(name))
    uneven = explainer.explain(data, 2, batch_size=2, verbose=0)
    assert_close(uneven, expected(name))


@every_reader
def test_a_dataset_gives_the_same_maps_in_the_same_order(
    name, shared, expected
):
    explainer, data = shared(name), images(SIZE, SIZE, 3)
    labels = np.zeros(3)
    dataset = tf.data.Dataset.from_tensor_slices((data, labels)).batch(2)
    assert_close(explainer.explain(dataset, 2, verbose=0), expected(name))
    batches = list(explainer.explain_batches(dataset, 2))
    assert [len(batch) for batch in batches] == [2, 1]
    assert_close(np.concatenate(batches), expected(name))


@every_explainer
def test_calling_gives_tensors_of_the_same_values(name, shared, expected):
    maps = shared(name)(images(SIZE, SIZE, 3), 2)
    assert tf.is_tensor(maps)
    assert_close(maps.numpy(), expected(name))


@every_reader
def test_inside_the_users_function_is_as_outside(name, shared, expected):
    explainer = shared(name)

    @tf.function
    def mine(x, target):
        return explainer(2.0 * x / 2.0, target)

    data = tf.constant(images(SIZE, SIZE, 3))
    assert_close(mine(data, tf.constant(2)).numpy(), expected(name))


@every_reader
def test_inside_the_users_loop_is_as_outside(name, shared, expected):
    explainer = shared(name)

    @tf.function
    def mine(x):
        return tf.map_fn(lambda image: explainer(image[None], 2)[0], x)

    assert_close(mine(images(SIZE, SIZE, 3)).numpy(), expected(name))


@every_explainer
def test_several_classes_are_those_of_single_calls(name, shared):
    explainer, data = shared(name), images(SIZE, SIZE, 3)
    several = np.array([[0, 2], [4, 1], [2, 2]])
    together = explainer.explain(data, several, verbose=0)
    assert together.shape == (3, 2, SIZE, SIZE)
    for k in range(2):
        alone = explainer.explain(data, several[:, k], verbose=0)
        assert_close(together[:, k], alone)


@every_explainer
def test_a_mirrored_view_is_the_map_of_the_mirrored_images(name, shared):
    explainer, data = shared(name), images(SIZE, SIZE, 3)
    mirrored = explainer.explain(data[:, :, ::-1], 2, verbose=0)[:, :, ::-1]
    views = explainer.explain(data, 2, verbose=0, views=["mirror"])
    assert_close(views, mirrored)


@every_reader
def test_no_target_means_the_class_with_the_highest_score(name, shared):
    explainer, data = shared(name), images(SIZE, SIZE, 3)
    top = explainer.model.predict(data, verbose=0).argmax(axis=-1)
    expected = explainer.explain(data, top, verbose=0)
    actual = explainer.explain(data, None, verbose=0)
    np.testing.assert_allclose(actual, expected, atol=1e-7)


@every_reader
def test_two_replicas_are_as_one(name, replicated, shared):
    data = images(SIZE, SIZE, 3, count=5)
    explainer = CASES[name](replicated)
    targets = np.array([0, 1, 2, 3, 4])
    # Even shares, one batch, uneven shares.
    for target, batch_size in ((2, 2), (2, 32), (targets, 4)):
        maps = explainer.explain(data, target, batch_size, verbose=0)
        alone = shared(name).explain(data, target, verbose=0)
        # This one stretches what it has rounded to the range from 0 to 1.
        tolerance = 2e-5 if name == "RegionCAM" else 2e-6
        assert_close(maps, alone, tolerance)


@everyday(EVERYDAY, others=SWEPT)
def test_a_model_without_weights_is_built_in_its_strategy(
    name, strategy, expected
):
    with strategy.scope():
        model = model_kinds.sequential_unbuilt()
    assert_close(explain(name, model, images(SIZE, SIZE, 3)), expected(name))


@everyday(EVERYDAY, others=SWEPT)
def test_it_runs_inside_the_users_strategy_run(
    name, strategy, replicated, shared
):
    data = images(SIZE, SIZE, 3, count=4)
    alone = shared(name).explain(data, 2, verbose=0)
    explainer = CASES[name](replicated)

    def run():
        shares = strategy.experimental_distribute_values_from_function(
            lambda c: tf.constant(np.split(data, 2)[c.replica_id_in_sync_group])
        )
        return strategy.run(lambda x: explainer(x, 2), args=(shares,))

    for where in (run, tf.function(run)):
        parts = strategy.experimental_local_results(where())
        assert_close(np.concatenate([x.numpy() for x in parts]), alone)


@every_reader
@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        # The same code with the other half.
        pytest.param("mixed_bfloat16", marks=SWEPT),
    ],
)
def test_mixed_precision_gives_float32_maps_close_to_float32_models(
    name, policy, expected
):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = model_kinds.functional()
    finally:
        keras.config.set_dtype_policy(before)
    maps = explain(name, model, images(SIZE, SIZE, 3))
    assert maps.dtype == np.float32
    correlation = np.corrcoef(maps.ravel(), expected(name).ravel())[0, 1]
    assert correlation > (0.999 if policy == "mixed_float16" else 0.98)


@everyday(EVERYDAY, others=SWEPT)
def test_four_threads_do_not_disturb_each_other(name, expected):
    shared_model = model_kinds.nested_functional()
    shared = CASES[name](shared_model)
    data = images(SIZE, SIZE, 3)
    maps, errors = {}, []

    def work(number):
        try:
            own = CASES[name](shared_model)
            maps[number] = [own.explain(data, 2, verbose=0), shared(data, 2)]
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for number in range(4):
        for result in maps[number]:
            assert_close(np.asarray(result), expected(name))
    assert keras.layers.Layer.__call__.__qualname__ == "Layer.__call__"
    assert not hasattr(keras.layers.Layer.__call__, "tapped")


@every_reader
def test_the_model_is_as_before_after_success_and_after_failure(name):
    model = model_kinds.nested_functional()
    model.compile("adam", "mse")
    data = images(SIZE, SIZE, 3)
    before = _state(model, data)
    explainer = CASES[name](model)
    explainer.explain(data, 2, verbose=0)
    assert _state(model, data) == before

    def failing(scores):
        raise RuntimeError("no such score")

    with pytest.raises(RuntimeError, match="no such score"):
        explainer.explain(data, failing, verbose=0)
    with pytest.raises(ValueError):
        explainer.explain(data, CLASSES + 4, verbose=0)
    assert _state(model, data) == before
    assert explainer.explain(data, 2, verbose=0).shape == (3, SIZE, SIZE)


def _state(model, data):
    layers = [model, *model.layers, *model.get_layer("base").layers]
    return (
        [w.tobytes() for w in model.get_weights()],
        [v.numpy().tobytes() for v in model.optimizer.variables],
        model.get_config(),
        [sorted(vars(layer)) for layer in layers],
        [layer.trainable for layer in layers],
        len(model.losses),
        keras.layers.Layer.__call__,
        model(data).numpy().tobytes(),
    )


@every_reader
def test_one_step_is_traced_per_signature(name):
    explainer = CASES[name](model_kinds.any_size())
    first, second = images(SIZE, SIZE, 3), images(SIZE, 12, 3, count=2)
    for _ in range(3):
        for target in (0, 1):
            explainer.explain(first, target, batch_size=2, verbose=0)
            explainer(first[:1], target)
    assert explainer._runner.num_traces == 1
    explainer.explain(second, 0, verbose=0)
    assert explainer._runner.num_traces == 2
    explainer.explain(first, np.array([0, 1, 2]), verbose=0)
    assert explainer._runner.num_traces == 3


@every_reader
def test_explainer_and_model_are_freed_together(name):
    model = model_kinds.functional()
    explainer = CASES[name](model)
    explainer.explain(images(SIZE, SIZE, 3), 2, verbose=0)
    gone = weakref.ref(model)
    del model, explainer
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None


@every_reader
def test_weights_trained_after_the_first_explanation_count(name):
    model = model_kinds.functional()
    explainer = CASES[name](model)
    data = images(SIZE, SIZE, 3)
    explainer.explain(data, 2, verbose=0)
    model.set_weights([-0.5 * w for w in model.get_weights()])
    again = explainer.explain(data, 2, verbose=0)
    np.testing.assert_allclose(
        again, explain(name, model, data), rtol=1e-5, atol=1e-7
    )


BAD_INPUTS = {
    "one image without a batch": (
        lambda x: (x[0], 2),
        ValueError,
        r"Received: shapes \[\(None, 16, 3\)\]. A single image needs a batch",
    ),
    "too many classes": (
        lambda x: (x, CLASSES),
        ValueError,
        r"Received: \(classes, target\) \[5\] \[5\]",
    ),
    "a negative class": (
        lambda x: (x, -1),
        ValueError,
        "must be >= 0. Received: target=-1",
    ),
    "a target of another length": (
        lambda x: (x, [1, 2]),
        ValueError,
        r"Received: \w+ of shape \(2,\) for 3 images",
    ),
    "one-hot labels": (
        lambda x: (x, np.eye(5)[:3]),
        TypeError,
        "use `labels.argmax",
    ),
    "NaN": (
        lambda x: (x * np.nan, 2),
        ValueError,
        "Received: an input with NaN",
    ),
    "a path": (
        lambda x: ("cat.png", 2),
        TypeError,
        "Received: the text or path 'cat.png'",
    ),
    "nothing": (
        lambda x: (x[:0], 2),
        ValueError,
        "Expected: at least one image",
    ),
    "a constant target": (
        lambda x: (x, lambda outputs: tf.ones(3)),
        ValueError,
        "does not depend on what is to be explained",
    ),
    "a target without gradient": (
        lambda x: (x, lambda o: tf.cast(tf.argmax(o, -1), tf.float32)),
        ValueError,
        "does not depend on what is to be explained",
    ),
    "a target that is not one number per image": (
        lambda x: (x, lambda outputs: outputs),
        ValueError,
        r"Received: shape \(None, 5\)",
    ),
    "an endless dataset": (
        lambda x: (tf.data.Dataset.from_tensors(x).repeat(), 2),
        ValueError,
        "`data` must end",
    ),
}


@every_explainer
@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_refused_with_what_was_expected_and_the_remedy(
    name, case, shared
):
    make, error, message = BAD_INPUTS[case]
    data, target = make(images(SIZE, SIZE, 3))
    explainer = shared(name)
    if case == "a target without gradient" and name in GRADIENT_FREE_METHODS:
        assert np.isfinite(explainer.explain(data, target, verbose=0)).all()
        return
    with pytest.raises(error, match=message):
        explainer.explain(data, target, verbose=0)


@every_explainer
def test_models_with_several_outputs_need_to_be_told_which_one(name, others):
    kind = others("dict_outputs")
    with pytest.raises(ValueError, match=r"'class' \(None, 5\), 'place'"):
        explain(name, kind.model, kind.inputs, 2)


@every_explainer
def test_something_that_is_no_model_is_refused(name):
    with pytest.raises(TypeError, match="Received: model="):
        CASES[name](lambda x: x)


@every_explainer
def test_a_wrong_score_is_refused(name, twins):
    kind = getattr(explainers, name)
    with pytest.raises(ValueError, match="Received: score='softmax'"):
        kind(twins("functional"), score="softmax")


ARGUMENTS = {
    "CAM": {"target_layer": "last", "resize": False},
    "ClassModel": {"num_steps": 3, "blur": 0.5},
    "DeconvNet": {"channel_reduction": None},
    "DistinctClassSaliency": {"scales": (1,), "candidates": 2},
    "EigenCAM": {"center": True},
    "GradCAM": {"target_layer": ["first", "last"], "fusion": "max"},
    "GradCAMPlusPlus": {"normalize_alpha": True},
    "GradientInput": {"target_layer": "last"},
    "GuidedBackprop": {"channel_reduction": "norm"},
    "GuidedGradCAM": {"target_layer": "first"},
    "HiResCAM": {"score": "output"},
    "IntegratedGradients": {"num_steps": 3, "baseline": "mean"},
    "LayerCAM": {"gamma": 2.0, "rectify": "products"},
    "Occlusion": {"patch_size": (6, 4), "strides": 4},
    "QuadtreeOcclusion": {"patch_size": 6, "tolerance": 0.3, "max_passes": 90},
    "RISE": {"num_masks": 5, "seed": 7},
    "RegionCAM": {"target_layer": ["first", "last"]},
    "Saliency": {"target_layer": ["last"], "channel_reduction": "sum"},
    "ScoreCAM": {"max_channels": 2},
    "SmoothGrad": {"num_samples": 2, "reduction": "variance"},
}
with_arguments = pytest.mark.parametrize("name", ARGUMENTS)


def test_every_explainer_has_arguments_to_print():
    assert set(ARGUMENTS) == set(CASES) | NO_EXPLAINERS


@with_arguments
def test_it_prints_as_the_call_that_makes_it(name, twins):
    model = twins("functional")
    explainer = getattr(explainers, name)(model, **ARGUMENTS[name])
    shown = f"<Functional {model.name!r}>"
    text = repr(explainer)
    assert text.startswith(f"{name}({shown}, ")
    again = eval(text.replace(shown, "model"), {**vars(explainers)} | locals())
    for argument, value in ARGUMENTS[name].items():
        assert getattr(again, argument) == value
    assert repr(again) == text
    assert repr(getattr(explainers, name)(model)) == f"{name}({shown})"


@everyday(COPIED, ARGUMENTS, others=SWEPT)
def test_a_copy_explains_the_same_and_by_itself(name):
    explainer = getattr(explainers, name)(
        model_kinds.functional(), **ARGUMENTS[name]
    )

    def explained(by):
        if name == "ClassModel":
            return by(2).numpy()
        return by.explain(images(SIZE, SIZE, 3, count=2), 2, verbose=0)

    expected = explained(explainer)
    for copied in (
        copy.copy,
        copy.deepcopy,
        lambda x: pickle.loads(pickle.dumps(x)),
    ):
        other = copied(explainer)
        keras.tree.map_structure(
            np.testing.assert_array_equal, explained(other), expected
        )
        assert other._runner is not explainer._runner
        assert other._runner.num_traces == 1
        assert repr(other) == repr(explainer)


@with_arguments
def test_arguments_follow_one_grammar(name, twins):
    parameters = inspect.signature(getattr(explainers, name)).parameters
    assert next(iter(parameters)) == "model"
    assert list(parameters)[-1] == "score"
    kinds = {parameter.kind for parameter in parameters.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert not {"layers", "layer", "which", "options"} & set(parameters)
    with pytest.raises(
        TypeError, match=f"^{name}\\.__init__.*unexpected.*'scoer'"
    ):
        getattr(explainers, name)(twins("functional"), scoer="logits")
