import gc
import pathlib
import re
import warnings
import weakref

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from keras import layers

from keras_xmap import targets
from keras_xmap.engine import Runner
from keras_xmap.explainers import GradCAM
from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow

X = np.arange(28, dtype="float32").reshape(7, 4)
KERNEL = np.arange(12, dtype="float32").reshape(4, 3) - 5


def linear():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.set_weights([KERNEL, np.zeros(3)])
    return model


def echo(model=None):
    """A runner that returns the inputs it was given, and its batch sizes."""
    sizes = []

    def compute(inputs, target, parts):
        def note(x):
            sizes.append(len(x))
            return x

        flat = keras.tree.flatten(inputs)
        noted = tf.numpy_function(note, [flat[0]], flat[0].dtype)
        noted.set_shape(flat[0].shape)
        with tf.control_dependencies([noted]):
            return keras.tree.map_structure(tf.identity, inputs), {}

    return Runner(model or linear(), compute), sizes


def collected(runner, data, target=None, batch_size=32, verbose=0):
    return runner.collect(data, targets.get(target), batch_size, verbose)


# Batches of arrays


@pytest.mark.parametrize(
    "batch_size, expected",
    [(1, [1] * 7), (2, [2, 2, 2, 1]), (6, [6, 1]), (7, [7]), (10**9, [7])],
)
def test_arrays_are_cut_into_batches_and_joined_in_order(batch_size, expected):
    runner, sizes = echo()
    result = collected(runner, X, batch_size=batch_size)
    np.testing.assert_array_equal(result, X)
    assert isinstance(result, np.ndarray)
    assert sizes == expected
    assert runner.num_traces == 1


def test_a_numpy_batch_size_is_an_integer():
    runner, sizes = echo()
    collected(runner, X, batch_size=np.int64(4))
    assert sizes == [4, 3]


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, None, True, "32"])
def test_another_batch_size_is_refused(batch_size):
    runner, _ = echo()
    with pytest.raises(
        ValueError, match=f"Received: batch_size={batch_size!r}"
    ):
        collected(runner, X, batch_size=batch_size)


STRUCTURES = {
    "array": X,
    "tensor": tf.constant(X),
    "variable": tf.Variable(X),
    "list": [X, X[:, None] + 1],
    "dict": {"b": X, "a": tf.constant(X[:, :2])},
    "nested": {"a": [X, X + 1], "b": X * 2},
    "with integers": [X, np.arange(7)],
}


@pytest.mark.parametrize("case", STRUCTURES)
def test_structures_come_back_as_they_went_in(case):
    data = STRUCTURES[case]
    runner, _ = echo()
    result = collected(runner, data, batch_size=3)
    keras.tree.assert_same_structure(result, data)
    for actual, expected in zip(
        keras.tree.flatten(result), keras.tree.flatten(data), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)


def test_inputs_of_different_lengths_are_refused():
    runner, _ = echo()
    with pytest.raises(
        ValueError, match=r"of one size. Received: shapes \[\(7"
    ):
        collected(runner, [X, X[:3]])
    with pytest.raises(ValueError, match=r"Received: shapes \(\)"):
        collected(runner, 3.0)


@pytest.mark.parametrize(
    "data", [X, [X, X], {"a": X}], ids=["array", "list", "dict"]
)
def test_no_image_at_all_is_refused(data):
    runner, sizes = echo()
    nothing = keras.tree.map_structure(lambda x: x[:0], data)
    with pytest.raises(ValueError, match="at least one image"):
        collected(runner, nothing)
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(2).take(0)
    with pytest.raises(ValueError, match="data without any batch"):
        collected(runner, dataset)
    assert sizes == []


# Datasets


def generated():
    """Uneven batches of unknown number and size."""

    def generate():
        yield X[:3]
        yield X[3:4]
        yield X[4:]

    return tf.data.Dataset.from_generator(
        generate, output_signature=tf.TensorSpec((None, 4), tf.float32)
    )


DATASETS = {
    "batched": lambda: tf.data.Dataset.from_tensor_slices(X).batch(3),
    "x and y": lambda: tf.data.Dataset.from_tensor_slices(
        (X, np.arange(7))
    ).batch(3),
    "x, y and weight": lambda: tf.data.Dataset.from_tensor_slices(
        (X, np.arange(7), np.ones(7))
    ).batch(3),
    "x alone in a tuple": lambda: tf.data.Dataset.from_tensor_slices(
        (X,)
    ).batch(3),
    "unknown": generated,
    "filtered": lambda: (
        tf.data.Dataset.from_tensor_slices(X)
        .filter(lambda x: x[0] >= 0)
        .batch(2)
        .prefetch(2)
    ),
}


@pytest.mark.parametrize("case", DATASETS)
def test_a_dataset_is_read_once_and_in_order(case):
    runner, sizes = echo()
    result = collected(runner, DATASETS[case]())
    np.testing.assert_array_equal(result, X)
    assert sum(sizes) == 7
    assert runner.num_traces == 1


def test_elements_may_be_dicts_with_or_without_labels():
    inputs = {"a": X, "b": X[:, :2]}
    for data in (inputs, (inputs, np.arange(7))):
        runner, _ = echo()
        dataset = tf.data.Dataset.from_tensor_slices(data).batch(3)
        result = collected(runner, dataset)
        np.testing.assert_array_equal(result["a"], X)
        np.testing.assert_array_equal(result["b"], X[:, :2])


def test_the_first_of_two_in_a_tuple_is_x_so_two_inputs_are_nested():
    runner, _ = echo()
    dataset = tf.data.Dataset.from_tensor_slices(((X, X + 1), X)).batch(3)
    first, second = collected(runner, dataset)
    np.testing.assert_array_equal(first, X)
    np.testing.assert_array_equal(second, X + 1)


def test_targets_run_along_with_a_dataset():
    classes = np.arange(7) % 3
    for make in (DATASETS["batched"], generated):
        maps = Saliency(linear(), None).explain(make(), classes, verbose=0)
        np.testing.assert_array_equal(maps, KERNEL.T[classes])


@pytest.mark.parametrize("count", [5, 6, 8, 20])
@pytest.mark.parametrize("make", [DATASETS["batched"], generated])
def test_a_dataset_of_another_length_than_the_target_is_refused(make, count):
    saliency = Saliency(linear())
    with pytest.raises(ValueError, match="one entry per image. Received"):
        saliency.explain(make(), np.zeros(count, int), verbose=0)


def test_arrays_of_another_length_are_refused_before_any_work():
    runner, sizes = echo()
    with pytest.raises(ValueError, match=r"\(8,\) for 7 images"):
        collected(runner, X, np.zeros(8, int), batch_size=2)
    assert sizes == []


def test_an_error_of_the_dataset_comes_through():
    def generate():
        yield X[:3]
        raise RuntimeError("disk on fire")

    dataset = tf.data.Dataset.from_generator(
        generate, output_signature=tf.TensorSpec((None, 4), tf.float32)
    )
    runner, _ = echo()
    with pytest.raises(tf.errors.OpError, match="disk on fire"):
        collected(runner, dataset)


# One batch at a time


def test_batches_are_computed_as_they_are_asked_for():
    runner, sizes = echo()
    batches = runner.batches(X, targets.get(None), 2, 0)
    assert sizes == []
    np.testing.assert_array_equal(next(batches), X[:2])
    # One ahead, so that the device works while the host looks at results.
    assert sizes == [2, 2]
    np.testing.assert_array_equal(next(batches), X[2:4])
    assert sizes == [2, 2, 2]
    rest = list(batches)
    np.testing.assert_array_equal(np.concatenate(rest), X[4:])


def test_stopping_early_reads_no_more_of_the_data():
    read = []

    def generate():
        for i in range(100):
            read.append(i)
            yield X[:1] + i

    dataset = tf.data.Dataset.from_generator(
        generate, output_signature=tf.TensorSpec((None, 4), tf.float32)
    )
    saliency = Saliency(linear())
    for number, _ in enumerate(saliency.explain_batches(dataset, 0)):
        if number == 2:
            break
    assert len(read) < 10


def test_results_do_not_pile_up():
    saliency, results = Saliency(linear()), []
    for maps in saliency.explain_batches(X.repeat(20, 0), 0, batch_size=10):
        assert maps.shape == (10, 4)
        results.append(weakref.ref(maps))
        assert sum(result() is not None for result in results) <= 2
    assert len(results) == 14


# Progress


@pytest.mark.parametrize(
    "verbose, batch_size, shown",
    [
        ("auto", 3, True),
        ("auto", 7, False),
        (1, 7, True),
        (True, 7, True),
        (0, 3, False),
        (False, 3, False),
    ],
)
def test_the_progress_bar_is_shown_or_not(capsys, verbose, batch_size, shown):
    runner, _ = echo()
    collected(runner, X, batch_size=batch_size, verbose=verbose)
    printed = capsys.readouterr().out
    if not shown:
        assert printed == ""
        return
    count = -(-7 // batch_size)
    assert f"{count}/{count}" in printed


def test_the_progress_bar_counts_batches_of_unknown_number(capsys):
    runner, _ = echo()
    collected(runner, generated(), verbose=1)
    printed = capsys.readouterr().out
    assert "3/Unknown" in printed or "3/3" in printed
    assert printed.endswith("\n")


@pytest.mark.parametrize("verbose", ["yes", 3, None, -1, np.ones(2)])
def test_another_verbose_is_refused(verbose):
    runner, _ = echo()
    with pytest.raises(
        ValueError, match=re.escape(f"Received: verbose={verbose!r}")
    ):
        collected(runner, X, verbose=verbose)


# Steps and traces


def test_a_step_is_traced_per_size_dtype_structure_and_kind_of_target():
    runner, _ = echo()

    def traces(data, target=None):
        before = runner.num_traces
        collected(runner, data, target, batch_size=3)
        return runner.num_traces - before

    assert traces(X) == 1
    assert traces(X[:2]) == traces(X + 1) == traces(tf.constant(X)) == 0
    assert traces(X[:, :2]) == 1
    assert traces(X.astype("float64")) == 0  # the model declares float32
    assert traces([X]) == 1
    assert traces({"a": X}) == 1
    assert traces(X, 1) == 1
    assert traces(X, 2) == 0
    assert traces(X, np.zeros(7, int)) == 1
    assert traces(X, np.zeros((7, 2), int)) == 1
    assert traces(X, np.zeros((7, 3), int)) == 1
    assert traces(X) == 0


def test_calling_and_explaining_share_a_step():
    saliency = Saliency(linear())
    saliency(X, 0)
    saliency(X[:2], 1)
    saliency.explain(X, 2, batch_size=3, verbose=0)
    assert saliency._runner.num_traces == 1


def test_seventeen_functions_warn_once_and_all_are_right():
    saliency = Saliency(linear(), None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(20):
            maps = saliency.explain(X, lambda o, i=i: i * o[:, i % 3])
            np.testing.assert_array_equal(maps, [i * KERNEL[:, i % 3]] * 7)
            of_ours = [w for w in caught if "different steps" in str(w.message)]
            assert len(of_ours) == (i > 15)
    assert len(saliency._runner._steps) == 16
    maps = saliency.explain(X, 1)
    np.testing.assert_array_equal(maps, [KERNEL[:, 1]] * 7)


@pytest.mark.parametrize("way", ["explain", "explain_batches", "__call__"])
def test_the_warning_points_at_the_users_line(way):
    saliency = Saliency(linear())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(17):
            list(getattr(saliency, way)(X, lambda o: o[:, 0]))
    (of_ours,) = (w for w in caught if "different steps" in str(w.message))
    assert of_ours.filename == __file__


@pytest.mark.slow
def test_a_step_that_is_used_again_is_kept():
    saliency = Saliency(linear())

    def favourite(outputs):
        return outputs[:, 0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(20):
            saliency.explain(X, favourite)
            saliency.explain(X, lambda o: o[:, 1])
    before = saliency._runner.num_traces
    saliency.explain(X, favourite)
    assert saliency._runner.num_traces == before == 21


@pytest.mark.slow
def test_a_function_that_is_gone_does_not_lend_its_step_to_another():
    saliency = Saliency(linear(), None)
    for k in (0, 1, 2, 0):
        maps = saliency.explain(X, lambda o, k=k: o[:, k])
        gc.collect()
        np.testing.assert_array_equal(maps, [KERNEL[:, k]] * 7)


def test_a_failed_trace_is_not_kept():
    saliency, fails = Saliency(linear(), None), [True]

    def sometimes(outputs):
        if fails[0]:
            raise RuntimeError("not yet")
        return outputs[:, 1]

    with pytest.raises(RuntimeError, match="not yet"):
        saliency.explain(X, sometimes)
    fails[0] = False
    maps = saliency.explain(X, sometimes)
    np.testing.assert_array_equal(maps, [KERNEL[:, 1]] * 7)


# Memory


@pytest.mark.slow
def test_a_thousand_calls_hold_nothing():
    saliency = Saliency(linear())
    saliency(X, 0)
    gc.collect()
    before = len(gc.get_objects())
    for i in range(1000):
        saliency(X[: 1 + i % 7], i % 3)
    gc.collect()
    assert len(gc.get_objects()) - before < 200
    assert saliency._runner.num_traces == 1


def test_the_first_batch_is_not_kept_with_the_step():
    saliency, x = Saliency(linear()), tf.constant(X)
    gone = weakref.ref(x)
    saliency(x, 0)
    del x
    gc.collect()
    assert gone() is None


def test_explainers_of_one_model_do_not_pile_up():
    model, gone = linear(), []
    for _ in range(3):
        saliency = Saliency(model)
        saliency.explain(X, 0)
        gone += [weakref.ref(saliency), weakref.ref(saliency._runner)]
        del saliency
    gc.collect()
    assert [ref() for ref in gone] == [None] * 6


@pytest.mark.slow
def test_the_model_may_be_freed_while_others_are_explained():
    kept = Saliency(linear())
    kept(X, 0)
    for _ in range(3):
        model = linear()
        gone = weakref.ref(model)
        Saliency(model)(X, 0)
        del model
        gc.collect()
        assert gone() is None
    np.testing.assert_array_equal(kept(X, 0), [np.abs(KERNEL[:, 0])] * 7)


# What is wrong with the data


@pytest.mark.parametrize(
    "data, error, message",
    [
        (X * np.inf, ValueError, "Received: an input with NaN or infinite"),
        ([X, X * np.nan], ValueError, "Received: an input with NaN"),
        (len, TypeError, "Received: builtin_function"),
        ("cat.png", TypeError, r"path 'cat.png'. Read the image .*read_photo"),
        (pathlib.Path("cat.png"), TypeError, "Received: the text or path"),
        (np.array([None, {}]), TypeError, "Received: array.* of type ndarray"),
        ([X, "cat.png"], TypeError, "Received: the text or path 'cat.png'"),
        (
            PIL.Image.new("RGB", (5, 4)),
            TypeError,
            r"Received: a PIL image of size \(5, 4\). Pass `np.asarray",
        ),
    ],
)
def test_bad_data_is_refused(data, error, message):
    runner, _ = echo()
    with pytest.raises(error, match=message):
        collected(runner, data)


@pytest.mark.parametrize(
    "inputs", [object(), {1, 2}, 2**63, keras.KerasTensor((None, 4))]
)
def test_what_is_no_tensor_is_not_explained(inputs):
    with pytest.raises(TypeError, match="`inputs` must be.* Received: "):
        Saliency(linear())(inputs, 0)


def test_a_bad_image_far_down_is_refused_too():
    runner, _ = echo()
    for row in (5, 6):
        x = X.copy()
        x[row, 2] = np.nan
        for batch_size in (2, 4, 32):
            with pytest.raises(ValueError, match="an input with NaN"):
                collected(runner, x, batch_size=batch_size)
    np.testing.assert_array_equal(collected(runner, X, batch_size=2), X)


def test_in_the_users_function_a_bad_image_is_tensorflows_error():
    saliency = Saliency(linear())
    step = tf.function(lambda x: saliency(x, 0))
    assert step(X).shape == (7, 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be finite"):
        step(X * np.nan)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool", "int64"])
def test_integers_become_the_floats_that_the_model_declares(dtype):
    x = np.arange(28).reshape(7, 4).astype(dtype)
    runner, _ = echo()
    result = collected(runner, x)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, x.astype("float32"))


def test_integers_that_the_model_declares_stay_what_they_are():
    tokens, image = keras.Input((5,), dtype="int32"), keras.Input((4,))
    x = layers.Concatenate()([keras.ops.cast(tokens, "float32"), image])
    runner, _ = echo(keras.Model([tokens, image], layers.Dense(2)(x)))
    data = [np.ones((7, 5), "int32"), X.astype("int32")]
    of_tokens, of_image = collected(runner, data)
    assert of_tokens.dtype == np.int32
    assert of_image.dtype == np.float32


class Subclassed(keras.Model):
    """A model that declares no input."""

    def __init__(self):
        super().__init__()
        self.rescale = layers.Rescaling(1 / 255)
        self.pool = layers.GlobalAveragePooling2D()

    def call(self, x):
        return self.pool(self.rescale(x))


def test_a_model_that_declares_nothing_gets_images_as_floats():
    images = np.arange(7 * 48, dtype="uint8").reshape(7, 4, 4, 3)
    maps = Saliency(Subclassed(), None).explain(images, 1, verbose=0)
    floats = images.astype("float32")
    expected = Saliency(Subclassed(), None).explain(floats, 1, verbose=0)
    np.testing.assert_array_equal(maps, expected)


def test_tokens_of_a_model_that_declares_nothing_stay_integers():
    model = keras.Sequential([layers.Embedding(9, 2), layers.Flatten()])
    runner, _ = echo(model)
    result = collected(runner, np.zeros((7, 5), "int32"))
    assert result.dtype == np.int32


# Batches of Keras and of Python


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, number):
        rows = slice(3 * number, 3 * number + 3)
        return X[rows], np.arange(7)[rows] % 3


def test_a_dataset_of_keras_is_read_in_order():
    runner, sizes = echo()
    np.testing.assert_array_equal(collected(runner, Batches()), X)
    assert sizes == [3, 3, 1]


def test_a_dataset_of_keras_without_an_end_is_refused():
    class Endless(keras.utils.PyDataset):
        @property
        def num_batches(self):
            return None

    with pytest.raises(ValueError, match="without a number of batches"):
        collected(echo()[0], Endless())


@pytest.mark.parametrize("with_labels", [False, True])
def test_a_generator_of_batches_is_read_once(with_labels):
    def generate():
        for rows in (slice(3), slice(3, 7)):
            yield (X[rows], np.zeros(7)[rows]) if with_labels else X[rows]

    runner, sizes = echo()
    np.testing.assert_array_equal(collected(runner, generate()), X)
    assert sizes == [3, 4]


# The labels of the data as the target


def one_hot(labels):
    return np.eye(3, dtype="float32")[labels]


LABELS = {
    "class numbers": lambda labels: labels,
    "floats": lambda labels: labels.astype("float32"),
    "a column": lambda labels: labels[:, None],
    "one-hot rows": one_hot,
}


@pytest.mark.parametrize("case", LABELS)
def test_the_labels_of_a_dataset_are_explained(case):
    classes = np.arange(7) % 3
    labels = LABELS[case](classes)
    dataset = tf.data.Dataset.from_tensor_slices((X, labels)).batch(3)
    saliency = Saliency(linear(), None)
    maps = saliency.explain(dataset, "labels", verbose=0)
    np.testing.assert_array_equal(maps, KERNEL.T[classes])
    assert saliency._runner.num_traces == 1


def test_the_labels_of_a_dataset_of_keras_are_explained():
    maps = Saliency(linear(), None).explain(Batches(), "labels", verbose=0)
    np.testing.assert_array_equal(maps, KERNEL.T[np.arange(7) % 3])


@pytest.mark.parametrize(
    "data, message",
    [
        (X, "Received: no labels. Pass the classes"),
        (
            [(X, {"a": np.zeros(7, int), "b": np.zeros(7, int)})],
            "Received: 2 arrays of labels",
        ),
        ([(X, np.ones((7, 3)))], r"labels of shape \(7, 3\), dtype float64"),
        ([(X, np.full(7, 0.5))], r"Received: labels of shape \(7,\)"),
    ],
)
def test_labels_that_are_no_classes_are_refused(data, message):
    data = iter(data) if isinstance(data, list) else data
    with pytest.raises(ValueError, match=message):
        Saliency(linear()).explain(data, "labels", verbose=0)


def test_another_word_than_labels_is_refused():
    with pytest.raises(ValueError, match="Received: target='label'"):
        Saliency(linear()).explain(X, "label", verbose=0)


# Two replicas


def test_replicas_give_every_result_once_and_in_order(strategy):
    with strategy.scope():
        model = linear()
    runner, _ = echo(model)
    for batch_size in (1, 2, 3, 5, 32):
        result = collected(runner, X, batch_size=batch_size)
        np.testing.assert_array_equal(result, X)
    result = collected(runner, generated())
    np.testing.assert_array_equal(result, X)


def test_replicas_get_the_targets_of_their_images(strategy):
    with strategy.scope():
        model = linear()
    saliency = Saliency(model, None)
    classes = np.array([0, 2, 1, 0, 2, 2, 1])
    for batch_size in (1, 3, 4):
        maps = saliency.explain(X, classes, batch_size=batch_size, verbose=0)
        np.testing.assert_array_equal(maps, KERNEL.T[classes])
    maps = saliency.explain(X, 1, batch_size=3, verbose=0)
    np.testing.assert_array_equal(maps, [KERNEL[:, 1]] * 7)


def test_an_error_on_a_replica_is_the_same_error(strategy):
    with strategy.scope():
        model = linear()
    runner, _ = echo(model)
    with pytest.raises(ValueError, match="Received: an input with NaN"):
        collected(runner, X * np.nan)


# Models without weights yet


def test_unknown_sizes_cannot_build_a_model():
    model = keras.Sequential([layers.Conv2D(2, 3), layers.Flatten()])
    explainer = GradCAM(model)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def step(x):
        return explainer(x, 0)

    with pytest.raises(
        ValueError, match=r"Received: shapes \[\(None, None, 3\)\]. Call"
    ):
        step(np.ones((1, 8, 8, 3), "float32"))


def test_a_model_is_built_inside_the_users_function():
    model = keras.Sequential([layers.Dense(3)])
    saliency = Saliency(model)

    @tf.function
    def step(x):
        return saliency(x, 0)

    maps = step(X)
    assert model.built
    np.testing.assert_allclose(maps, [np.abs(model.get_weights()[0][:, 0])] * 7)
