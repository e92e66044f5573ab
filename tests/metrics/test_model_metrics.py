"""What all metrics share that ask the model about a map."""

import copy
import functools
import pickle

import keras
import numpy as np
import pytest

from keras_xmap import metrics
from keras_xmap import targets
from keras_xmap.metrics._model_metric import ModelMetric

pytestmark = pytest.mark.tensorflow

CASES = {
    "AverageDrop": {},
    "Deletion": {"num_steps": 3},
    "IncreaseInConfidence": {},
    "Infidelity": {"num_samples": 3},
    "Insertion": {"num_steps": 3},
    "ROAD": {"shares": (0.2, 0.5)},
}
every_metric = pytest.mark.parametrize("name", CASES)


@functools.cache
def classifier(units=3, activation="softmax"):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6, 5, 3), name="image"),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(units, activation=activation),
        ]
    )


def new(name, model=None, **arguments):
    arguments = {**CASES[name], **arguments}
    return getattr(metrics, name)(model or classifier(), **arguments)


@functools.cache
def made(name):
    return new(name, batch_size=3)


def batch(seed=0, count=5):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, 6, 5, 3)).astype("float32") * 3
    return images, rng.random((count, 6, 5)).astype("float32")


def test_every_metric_of_a_model_has_a_case():
    kinds = {name: getattr(metrics, name) for name in metrics.__all__}
    found = {
        name
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, ModelMetric)
    }
    assert found == CASES.keys()


def test_every_metric_that_ranks_methods_says_which_way():
    lower = {"AverageDrop", "Deletion", "Infidelity", "MaxSensitivity"}
    found = {
        name: kind.higher_is_better
        for name, kind in vars(metrics).items()
        if isinstance(kind, type) and issubclass(kind, keras.metrics.Metric)
    }
    assert isinstance(found.pop("ROAD"), property)  # by the order of pixels
    assert {name for name, is_higher in found.items() if not is_higher} == lower


@every_metric
def test_the_mean_is_that_of_the_images_however_they_come(name):
    images, maps = batch()
    classes = np.array([0, 1, 2, 0, 1])
    metric = made(name)
    before = [w.copy() for w in metric.model.get_weights()]
    scores = metric.image_scores(images, maps, classes)
    assert scores.shape == (5,) and scores.dtype == "float32"
    assert np.ptp(scores) > 0 or name == "IncreaseInConfidence"
    for weights in (None, np.array([1, 0, 2, 3, 1])):
        metric.reset_state()
        for rows in (slice(0, 2), slice(2, 5)):
            metric.update_state(
                images[rows],
                maps[rows],
                classes[rows],
                None if weights is None else weights[rows],
            )
        expected = np.average(scores, weights=weights)
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    for n in range(5):
        one = metric.image_scores(images[[n]], maps[[n]], classes[[n]])
        np.testing.assert_allclose(one, scores[[n]], rtol=1e-3, atol=1e-6)
    # The model is only called.
    for old, now in zip(before, metric.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)


def test_one_step_serves_all_batches():
    metric = new("Deletion", batch_size=2)
    images, maps = batch()
    metric.update_state(images, maps, 1)
    metric.update_state(images[:3], maps[:3], 0)
    assert metric._runner.num_traces == 1
    assert metric.score_used == "the output itself"


@every_metric
def test_it_prints_copies_and_pickles_but_has_no_config(name):
    metric = new(name, classifier(), input_name="image", dtype="float64")
    metric.total.assign([3.0])
    metric.weight.assign(2.0)
    for again in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert float(again.result()) == 1.5
        assert again.total.dtype == "float64"
        assert repr(again) == repr(metric)
    shown = "".join(f"{k}={v}, " for k, v in CASES[name].items())
    assert repr(metric) == (
        f"{name}(<Sequential {classifier().name!r}>, {shown}"
        "input_name='image', dtype='float64')"
    )
    with pytest.raises(NotImplementedError, match="Received: get_config"):
        metric.get_config()


def test_a_copy_goes_on():
    images, maps = batch()
    metric = made("Deletion")
    metric.reset_state()
    metric.update_state(images[:3], maps[:3], 1)
    again = copy.deepcopy(metric)
    for one in (metric, again):
        one.update_state(images[3:], maps[3:], 1)
    assert float(again.result()) == float(metric.result()) > 0


@pytest.mark.parametrize(
    "name",
    [
        name
        if name == "Deletion"
        else pytest.param(name, marks=pytest.mark.slow)
        for name in CASES
    ],
)
def test_a_function_of_the_users_takes_it_in(name):
    import tensorflow as tf

    metric = new(name)
    signature = [
        tf.TensorSpec([None, None, None, 3]),
        tf.TensorSpec([None, None, None]),
        tf.TensorSpec([None], "int32"),
    ]

    @tf.function(input_signature=signature)
    def step(images, maps, classes):
        scores = metric.image_scores(images, maps, classes)
        metric.update_state(images, maps, classes)
        return scores

    images, maps = batch()
    classes = np.array([0, 1, 2, 0, 1], "int32")
    expected = made(name).image_scores(images, maps, classes)
    found = step(images, maps, classes)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    mean = pytest.approx(expected.mean(), rel=1e-3)
    assert float(metric.result()) == mean
    with pytest.raises(Exception, match="must hold finite numbers"):
        step(images, maps * np.nan, classes)


def test_one_sigmoid_unit_is_two_classes():
    model = classifier(1, "sigmoid")
    images, maps = batch()
    p = model.predict(images, verbose=0)[:, 0]
    for score, of_class in (
        ("output", {1: p, 0: 1 - p}),
        ("logits", {1: np.log(p / (1 - p)), 0: np.log((1 - p) / p)}),
    ):
        metric = new("Deletion", model, score=score)
        for index, expected in of_class.items():
            found = metric.curves(images, maps, index).scores[:, 0]
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_logits_are_found_behind_a_softmax():
    images, maps = batch()
    metric = new("Insertion", score="logits")
    probabilities = made("Insertion").curves(images, maps, 1).scores
    logits = [metric.curves(images, maps, k).scores for k in range(3)]
    softmax = np.exp(logits[1]) / np.exp(logits).sum(0)
    np.testing.assert_allclose(probabilities, softmax, rtol=1e-4)
    assert metric.score_used != "the output itself"


def two_inputs():
    a, b = keras.Input((3, 4, 1), name="a"), keras.Input((2, 2, 1), name="b")
    pool = keras.layers.GlobalAveragePooling2D()
    outputs = {"sum": pool(a) + 10.0 * pool(b), "other": pool(a)}
    return keras.Model({"a": a, "b": b}, outputs)


def test_one_of_several_inputs_changes_and_one_of_several_outputs_tells():
    x = {"a": np.ones((1, 3, 4, 1)), "b": np.ones((1, 2, 2, 1))}
    target = targets.Component(output="sum")
    model, heatmap = two_inputs(), np.array([[[4.0, 3.0], [2.0, 1.0]]])
    metric = metrics.Deletion(model, 4, "zero", input_name="b")
    curves = metric.curves(x, heatmap, target)
    np.testing.assert_allclose(curves.scores, [[11, 8.5, 6, 3.5, 1]])
    # As explainers return maps of several inputs, some of which have none.
    again = metric.curves(x, {"a": None, "b": heatmap}, target)
    np.testing.assert_array_equal(again.scores, curves.scores)
    with pytest.raises(ValueError, match="Received: input_name=None with 2"):
        metrics.Deletion(model).curves(x, heatmap, target)
    with pytest.raises(ValueError, match="Received: maps of 2 inputs"):
        metric.curves(x, {"a": heatmap, "b": heatmap}, target)


@pytest.mark.parametrize(
    "change, received",
    [
        (lambda x, m: (x, m[:3]), r"maps.shape=\(3, 6, 5\) for 5 images"),
        (lambda x, m: (x, m[:, :3]), r"maps.shape=\(None, 3, 5\)"),
        (lambda x, m: (x, x), r"maps.shape=\(None, 6, 5, 3\)"),
        (lambda x, m: (x, m[..., None]), r"maps.shape=\(None, 6, 5, 1\)"),
        (lambda x, m: (x, m / 0), "maps with NaN"),
        (lambda x, m: (x, 1.5), r"maps.shape=\(\)"),
        (lambda x, m: (x, m[:0]), r"maps.shape=\(0, 6, 5\)"),
        (lambda x, m: (x, m, np.zeros((5, 2), int)), "a target of shape"),
        (lambda x, m: (x, m, "labels"), "no labels"),
        (lambda x, m: (x, m, None, [1, 2]), r"sample_weight.shape=\(2,\)"),
        (lambda x, m: (x, [m, m]), "maps of 2 inputs"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_does_not_fit_is_told(change, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        made("Deletion").update_state(*change(*batch()))


def test_a_dataset_is_refused_and_its_batches_are_taken():
    import tensorflow as tf

    images, maps = batch()
    data = tf.data.Dataset.from_tensor_slices((images, maps)).batch(2)
    with pytest.raises(TypeError, match="Received: inputs of type _Batch"):
        made("Deletion").update_state(data, maps)
    metric = copy.deepcopy(made("Deletion"))
    metric.reset_state()
    for some_images, some_maps in data:
        metric.update_state(some_images, some_maps)
    expected = made("Deletion").image_scores(images, maps).mean()
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_maps_of_other_sizes_follow_the_remedy():
    import keras_xmap

    images, maps = batch()
    small = maps[:, ::2, ::2]
    with pytest.raises(ValueError, match=r"ops.resize\(maps\[..., None\], \(6"):
        made("Deletion").image_scores(images, small)
    laid = keras_xmap.ops.resize(small[..., None], (6, 5))[..., 0]
    assert made("Deletion").image_scores(images, laid).shape == (5,)


def test_columns_of_several_classes_follow_the_remedy():
    images, maps = batch()
    classes = np.array([[0, 1]] * 5)
    metric = new("Deletion")
    for k in range(2):
        metric.update_state(images, maps, classes[:, k])
    both = [made("Deletion").image_scores(images, maps, k) for k in (0, 1)]
    assert float(metric.result()) == pytest.approx(np.mean(both), rel=1e-5)
