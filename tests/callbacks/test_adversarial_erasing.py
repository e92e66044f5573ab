import keras
import numpy as np
import pytest
import tensorflow as tf
from callbacks import blobs

import keras_xmap
from keras_xmap import distribution
from keras_xmap import explainers
from keras_xmap.callbacks import AdversarialErasing
from keras_xmap.callbacks import StopRule
from keras_xmap.layers import EraseRegions

pytestmark = pytest.mark.tensorflow


EARLY = keras.callbacks.EarlyStopping("loss")


def erasing_of(images, labels, **kwargs):
    arguments = {
        "epochs_per_round": 1,
        "threshold": 0.5,
        "fill": 0.0,
        "stop": StopRule("accuracy", 0.4),
        **kwargs,
    }
    return AdversarialErasing(blobs.make_dataset(images, labels), **arguments)


def fit(model, erasing, batch_size=4, **kwargs):
    data = erasing.training_data(batch_size)
    arguments = {
        "epochs": erasing.num_epochs,
        "callbacks": [erasing],
        "verbose": 0,
        **kwargs,
    }
    return model.fit(data, **arguments)


@pytest.mark.slow
def test_each_round_finds_the_next_piece_until_nothing_is_left():
    images, labels, masks = blobs.make_images()
    before = images.copy()
    erasing = erasing_of(images, labels, max_rounds=4)
    history = fit(blobs.brightest(), erasing)
    for j, round_id in enumerate((1, 2)):
        regions = blobs.regions_of(erasing.store, 16, rounds=round_id)
        assert (regions == masks[:, j]).all()
    assert erasing.store.rounds == [1, 2]
    # The brightest pixel that the network saw: of no image an older one.
    assert history.history["peak"] == [3.0, 1.0, 0.0]
    assert [r["round"] for r in erasing.rounds] == [1, 2, 3]
    assert [r["new_share"] for r in erasing.rounds[:2]] == [1 / 16, 1 / 16]
    assert [r["area_share"] for r in erasing.rounds[:2]] == [1 / 16, 2 / 16]
    assert [r["num_regions"] for r in erasing.rounds[:2]] == [16, 16]
    # Without any evidence both scores are 0, and class 0 wins.
    assert erasing.rounds[2]["logs"]["accuracy"] == 0.5
    assert "new_share" not in erasing.rounds[2]
    assert erasing.finished.startswith("Round 3 failed: accuracy 0.5")
    assert (images == before).all()
    for i, label in enumerate(labels):
        assert not erasing.store.region(i, class_id=1 - label).any()
        assert erasing.store.region(i, class_id=label).sum() == 32


def test_a_first_round_that_has_not_learned_is_told():
    images, labels, _ = blobs.make_images(8)
    inputs = keras.Input((blobs.SIZE, blobs.SIZE, 2))
    x = keras.layers.Conv2D(2, 1, kernel_initializer="zeros")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Softmax()(x))
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    erasing = erasing_of(images, labels, max_rounds=1, stop=StopRule())
    said = "its loss is 0.693, and 0.693 is that of guessing"
    with pytest.warns(UserWarning, match=said):
        fit(model, erasing)


def test_statistics_that_lag_behind_are_told():
    images, labels, _ = blobs.make_images(16, noise=0.1)
    model = keras.Sequential(
        [
            keras.Input((blobs.SIZE, blobs.SIZE, 2)),
            # Far from 0 and narrow, which takes many steps to gather.
            keras.layers.Rescaling(0.01, offset=10.0),
            keras.layers.BatchNormalization(momentum=0.999),
            keras.layers.Conv2D(2, 1),
            keras.layers.GlobalMaxPooling2D(),
        ]
    )
    blobs.compiled(model, keras.optimizers.Adam(0.2))
    erasing = erasing_of(
        images, labels, epochs_per_round=4, max_rounds=1, stop=StopRule()
    )
    with pytest.warns(UserWarning, match="moving statistics of its Batch"):
        fit(model, erasing)
    assert erasing.rounds[0]["logs"]["accuracy"] > 0.9
    assert model.evaluate(images, labels, verbose=0)[1] < 0.7


@pytest.mark.slow
def test_masks_have_a_threshold_of_their_own(tmp_path):
    images, labels, masks = blobs.make_images()
    # The weak square is a third as bright: it is a mask, and not erased.
    options = {"max_rounds": 1, "mask_threshold": 0.2, "directory": tmp_path}
    erasing = erasing_of(images, labels, **options)
    fit(blobs.brightest(), erasing)
    regions = blobs.regions_of(erasing.store, 16, rounds=1)
    assert (regions == masks[:, 0]).all()
    found = blobs.regions_of(erasing.mask_store, 16, rounds=1)
    assert (found == masks.any(axis=1)).all()
    # A run that goes on knows both, and has both.
    again = erasing_of(images, labels, **{**options, "max_rounds": 2})
    fit(blobs.brightest(), again)
    found = blobs.regions_of(again.mask_store, 16, rounds=2)
    assert (found == masks[:, 1]).all()
    assert again.mask_store.rounds == again.store.rounds == [1, 2]
    other = erasing_of(images, labels, **{**options, "mask_threshold": 0.3})
    with pytest.raises(ValueError, match="mask_threshold=0.3, where the run"):
        fit(blobs.brightest(), other)
    (shard, *_) = (tmp_path / "regions-masks").glob("*.npz")
    shard.unlink()
    with pytest.raises(ValueError, match="regions-masks/.* .missing"):
        fit(blobs.brightest(), erasing_of(images, labels, **options))
    alone = erasing_of(images, labels, max_rounds=1)
    fit(blobs.brightest(), alone)
    assert alone.mask_store is alone.store
    with pytest.raises(ValueError, match="Received: mask_threshold=1"):
        erasing_of(images, labels, mask_threshold=1)


@pytest.mark.parametrize(
    "loss",
    ["binary_crossentropy", pytest.param("mse", marks=pytest.mark.slow)],
)
def test_labels_of_0_and_1_are_the_classes_of_a_single_unit(loss):
    images, labels, masks = blobs.make_images()
    column = labels[:, None].astype("float32")
    erasing = erasing_of(images, column, max_rounds=2, reset="start")
    fit(blobs.brighter(loss), erasing)
    for j, round_id in enumerate((1, 2)):
        regions = blobs.regions_of(erasing.store, 16, rounds=round_id)
        assert (regions == masks[:, j]).all()
    for i, label in enumerate(labels):
        assert erasing.store.region(i, class_id=label).sum() == 32
        assert not erasing.store.region(i, class_id=1 - label).any()


def test_a_round_that_finds_next_to_nothing_is_the_last():
    images, labels, _ = blobs.make_images()
    stop = StopRule("accuracy", min_new_share=0.07)
    erasing = erasing_of(images, labels, stop=stop)
    history = fit(blobs.brightest(), erasing)
    assert len(history.history["loss"]) == 1
    assert erasing.store.rounds == [1]
    assert erasing.finished == (
        "Round 1 is the last: new regions cover 0.062 of the images, less "
        "than 0.07."
    )


def test_as_many_rounds_as_are_asked_for():
    images, labels, _ = blobs.make_images()
    erasing = erasing_of(images, labels, max_rounds=2)
    assert erasing.num_epochs == 2
    fit(blobs.brightest(), erasing)
    assert erasing.store.rounds == [1, 2]
    assert erasing.finished == "max_rounds=2 is reached."
    first = erasing.rounds[0]
    assert first["guess"]["accuracy"] == 0.5
    assert first["guess"]["loss"] == pytest.approx(np.log(2))
    # The weak square is of the same map, a third as bright, and tells as well.
    assert first["whole_auc"] == first["erased_auc"] == 1.0
    assert erasing.advice.startswith("Lower the threshold: ")
    assert "knows 100% of what it learned" in erasing.advice


def test_a_cue_that_the_first_network_hardly_knows_is_told():
    images, labels, _ = blobs.make_images()
    # In 14 of 16 images the weak square tells nothing.
    images[2:][images[2:] == 1.0] = 0.0
    erasing = erasing_of(images, labels, max_rounds=2, stop=lambda x: None)
    assert erasing.advice is None
    fit(blobs.brightest(), erasing, validation_data=(images, labels))
    # One of 8 images of a class is above all others, 7 are as they are.
    assert erasing.rounds[0]["erased_auc"] == 1 / 8 + 7 / 8 / 2
    assert erasing.advice.startswith("Erase: ")
    assert "knows 12% of" in erasing.advice
    # Whatever the rule allows: it may look at images that are trained on.
    erasing.rounds[1]["logs"]["val_accuracy"] = 0.7
    assert "(val_accuracy 0.7 is worse than 0.75)" in erasing.advice
    erasing.stop = StopRule("val_accuracy", tolerance=0.9)
    assert erasing.advice.startswith("Erase: ")
    erasing.stop = StopRule("loss", tolerance=0.9)
    assert erasing.advice.startswith("Lower the threshold: ")


def test_classes_of_an_image_have_regions_of_their_own_and_erase_together():
    images = np.zeros((3, 16, 16, 3), "float32")
    images[0, 2:4, 2:4, 0] = 2.0
    images[0, 8:10, 8:10, 2] = 1.0
    images[1, 5:8, 5:8, 1] = 1.0
    images[2, 1, 1, 1] = 1.0  # which nobody says is there
    labels = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], "float32")
    erasing = erasing_of(images, labels, max_rounds=1)
    model = blobs.brightest(3)
    model.compile("sgd", "mse")
    erasing.stop = lambda records: None
    fit(model, erasing)
    store = erasing.store
    assert (store.region(0, class_id=0) == (images[0, ..., 0] > 0)).all()
    assert (store.region(0, class_id=2) == (images[0, ..., 2] > 0)).all()
    assert (store.region(0) == images[0].any(axis=-1)).all()
    assert (store.region(1, class_id=1) == (images[1, ..., 1] > 0)).all()
    assert store.image_ids == [0, 1]


def test_what_is_erased_is_the_mean_of_all_images():
    images, labels, masks = blobs.make_images(noise=0.1)
    erasing = erasing_of(images, labels, fill="mean", max_rounds=1)
    fit(blobs.brightest(), erasing)
    erasing._rounds.state.round_id = 2
    data = erasing.training_data(16, shuffle_buffer=1)
    ((erased, of_batch),) = data.as_numpy_iterator()
    assert (of_batch == labels).all()
    mean = images.mean(axis=(0, 1, 2))
    # Noise carries the threshold into parts of the weak square as well.
    regions = blobs.regions_of(erasing.store, 16)
    assert (regions & masks[:, 0]).sum() == 16 * 16
    np.testing.assert_allclose(
        erased[regions], mean[None].repeat(regions.sum(), axis=0), rtol=1e-5
    )
    assert (erased[~regions] == images[~regions]).all()


def test_nothing_is_traced_again_in_a_later_round():
    images, labels, _ = blobs.make_images()
    made = []

    def explainer(model):
        made.append(explainers.GradCAM(model))
        return made[-1]

    erasing = erasing_of(images, labels, max_rounds=3, explainer=explainer)
    plain = blobs.brightest()
    model = blobs.CountedModel(plain.inputs, plain.outputs)
    blobs.compiled(model, keras.optimizers.SGD(0.0))
    blobs.CountedModel.num_traces = 0
    erasing.stop = lambda records: (
        counts.append((model.num_traces, made[0]._runner.num_traces)) or None
    )
    counts = []
    fit(model, erasing)
    assert len(made) == 1 and len(counts) >= 6
    assert counts[-1] == counts[1]  # as after the first round has mined


def test_an_epoch_that_is_not_one_new_pass_is_an_error():
    images, labels, _ = blobs.make_images()

    def spoiled(spoil, **kwargs):
        erasing = erasing_of(images, labels, epochs_per_round=2, max_rounds=2)
        data = spoil(erasing.training_data(4))
        with pytest.raises(ValueError, match="one pass over `training_data`"):
            blobs.brightest().fit(
                data, epochs=4, callbacks=[erasing], verbose=0, **kwargs
            )
        # Before anything was mined that should not have been.
        assert erasing.store is None or erasing.store.rounds in ([], [1])

    spoiled(lambda data: data.cache())
    spoiled(lambda data: data.repeat().prefetch(2), steps_per_epoch=4)
    spoiled(lambda data: data.repeat(), steps_per_epoch=3)
    spoiled(lambda data: data, steps_per_epoch=2)


@pytest.mark.parametrize(
    "spoil",
    [
        "map",
        *(
            pytest.param(x, marks=pytest.mark.slow)
            for x in ("cache before", "steps")
        ),
    ],
)
def test_what_is_allowed_behind_and_before_the_data_stays_fresh(spoil):
    images, labels, _ = blobs.make_images()
    dataset = blobs.make_dataset(images, labels)
    erasing = AdversarialErasing(
        dataset.cache() if spoil == "cache before" else dataset,
        epochs_per_round=2,
        max_rounds=2,
        threshold=0.5,
        fill=0.0,
        stop=StopRule("accuracy", 0.4),
    )
    data = erasing.training_data(4)
    if spoil == "map":
        data = data.map(lambda x, y: (x[:, ::-1], y)).shuffle(2).prefetch(8)
    history = blobs.brightest().fit(
        data,
        epochs=4,
        callbacks=[erasing],
        verbose=0,
        steps_per_epoch=4 if spoil == "steps" else None,
    )
    assert history.history["peak"] == [3.0, 3.0, 1.0, 1.0]


def test_a_dataset_that_repeats_or_is_empty_is_refused():
    dataset = blobs.make_dataset(*blobs.make_images()[:2])
    with pytest.raises(ValueError, match="must end"):
        AdversarialErasing(dataset.repeat(), 1)
    with pytest.raises(ValueError, match="must hold an image"):
        AdversarialErasing(dataset.take(0), 1)


class Recorder(keras.callbacks.Callback):
    """Writes down what it is told, and the learning rate."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def on_train_begin(self, logs=None):
        self.heard.append("begin")

    def on_train_end(self, logs=None):
        self.heard.append("end")

    def on_epoch_begin(self, epoch, logs=None):
        rate = float(self.model.optimizer.learning_rate)
        self.heard.append((epoch, round(rate, 4)))


def test_callbacks_of_a_round_live_for_a_round():
    images, labels, _ = blobs.make_images()
    recorder = Recorder()
    early = keras.callbacks.EarlyStopping("loss", patience=1)
    plateau = keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.5, patience=1, min_delta=1.0, min_lr=0.0
    )
    erasing = erasing_of(
        images,
        labels,
        epochs_per_round=8,
        max_rounds=2,
        callbacks=[recorder, plateau, early],
    )
    # A rate that moves nothing: the loss is the same in the second epoch.
    model = blobs.brightest(learning_rate=1e-12)
    model.optimizer.learning_rate = 0.0
    outer = Recorder()
    history = fit(model, erasing, callbacks=[erasing, outer])
    one_round = ["begin", (0, 0.0), (1, 0.0), "end"]
    assert recorder.heard == one_round * 2
    assert [r["num_epochs"] for r in erasing.rounds] == [2, 2]
    assert len(history.history["loss"]) == 4
    assert [x[0] for x in outer.heard if isinstance(x, tuple)] == [0, 1, 2, 3]


@pytest.mark.slow
def test_the_learning_rate_of_a_round_begins_anew():
    images, labels, _ = blobs.make_images()
    recorder = Recorder()
    erasing = erasing_of(
        images,
        labels,
        epochs_per_round=2,
        max_rounds=2,
        callbacks=[
            keras.callbacks.LearningRateScheduler(lambda e, rate: rate / 2),
            recorder,
        ],
    )
    fit(blobs.trained(keras.optimizers.SGD(0.1)), erasing)
    rates = [x for x in recorder.heard if isinstance(x, tuple)]
    assert rates == [(0, 0.05), (1, 0.025)] * 2


def test_another_callback_that_stops_training_ends_it_in_a_round():
    images, labels, _ = blobs.make_images()

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2

    erasing = erasing_of(images, labels, epochs_per_round=2, max_rounds=2)
    with pytest.warns(UserWarning, match="in round 2 .* after 1 of 2"):
        fit(blobs.brightest(), erasing, callbacks=[Stop(), erasing])
    assert erasing.store.rounds == [1] and erasing.finished is None


def test_labels_that_need_a_word_get_one():
    images, labels, masks = blobs.make_images()
    erasing = erasing_of(
        images,
        labels[:, None, None],
        max_rounds=1,
        targets=lambda labels: labels[:, 0, 0],
    )
    model = blobs.brightest()
    model.compile("sgd", lambda y_true, y_pred: 0.0 * y_pred[:, 0])
    erasing.stop = lambda records: None
    fit(model, erasing)
    regions = blobs.regions_of(erasing.store, 16)
    assert (regions == masks[:, 0]).all()
    erasing = erasing_of(images, labels[:, None, None])
    model = blobs.brightest()
    with pytest.raises(ValueError, match=r"shape \(1, 1, 1\).* as `targets`"):
        fit(model, erasing)
    assert int(model.optimizer.iterations) == 0  # at once


@pytest.mark.slow
def test_one_object_serves_two_fits():
    images, labels, masks = blobs.make_images()
    erasing = erasing_of(images, labels, max_rounds=2)
    data = erasing.training_data(4)
    for _ in range(2):
        model = blobs.brightest()
        model.fit(data, epochs=2, callbacks=[erasing], verbose=0)
        assert len(erasing.rounds) == 2
        assert (blobs.regions_of(erasing.store, 16) == masks.any(1)).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"threshold": 1.0}, "Received: threshold=1.0"),
        ({"epochs_per_round": 0}, "Received: epochs_per_round=0"),
        ({"max_rounds": 0}, "Received: max_rounds=0"),
        ({"reset": "old"}, "Received: reset='old'"),
        ({"fill": "black"}, "Received: fill='black'"),
        ({"fill": np.array(["black", "noise"])}, r"Received: fill=array\("),
        ({"fill": np.array([np.nan, 1.0])}, r"Received: fill=array\("),
        ({"seed": -1}, "Received: seed=-1"),
        ({"explainer": "cam"}, "Received: explainer='cam'"),
        ({"targets": [0, 1]}, r"Received: targets=\[0, 1\]"),
        ({"stop": "never"}, "Received: stop='never'"),
        ({"directory": 3}, "Received: directory=3"),
        ({"callbacks": StopRule()}, r"Received: callbacks=StopRule\("),
        ({"callbacks": [StopRule]}, "Received: callbacks=<class"),
        ({"callbacks": 3}, "Received: callbacks=3"),
        ({"callbacks": [EARLY, EARLY]}, r"EarlyStopping, ...\] twice"),
        (
            {"callbacks": [keras.callbacks.BackupAndRestore("a")]},
            r"BackupAndRestore, ...\]. Give it to `fit`",
        ),
        ({"stop": 2}, "Received: stop=2"),
        ({"stop": lambda: None}, r"with the signature \(\)"),
        ({"stop": StopRule}, r"a class. Call it: StopRule\(\)"),
        ({"reset": lambda model: model}, r"with the signature \(model\)"),
        ({"targets": float("nan")}, "Received: targets=nan"),
        ({"targets": lambda x, y: x}, r"with the signature \(x, y\)"),
        ({"explainer": ["GradCAM"]}, r"Received: explainer=\['GradCAM'\]"),
        ({"explainer": lambda: None}, "Give `GradCAM`, or `lambda model"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    images, labels, _ = blobs.make_images()
    with pytest.raises((ValueError, TypeError), match=message):
        erasing_of(images, labels, **arguments)


def test_what_a_function_returns_is_checked_before_a_round_has_trained():
    images, labels, _ = blobs.make_images(4)
    model = blobs.brightest()
    others = explainers.GradCAM(blobs.brightest())
    for arguments, message in (
        ({"explainer": lambda model: [model]}, "must return an explainer"),
        ({"explainer": lambda model: others}, "explain the model that trains"),
        ({"explainer": OneMap}, r"classes of shape \(4, 1\).* \(4, 16, 16\)"),
        ({"targets": lambda labels: labels * np.nan}, "dtype float"),
        ({"targets": lambda labels: labels["a"]}, "only integers"),
        ({"targets": lambda labels: labels + 5}, "to 1. Received: class 6"),
        ({"targets": lambda labels: labels[1:]}, "one entry per image"),
        ({"reset": lambda: None}, "returns a keras.Model. Received: None"),
        ({"reset": lambda: model}, 'or give reset="start"'),
        ({"reset": lambda: blobs.trained()}, "must have the weights of"),
    ):
        erasing = erasing_of(images, labels, **arguments)
        with pytest.raises(Exception, match=message):
            fit(model, erasing)
        assert int(model.optimizer.iterations) == 0, arguments
    with pytest.raises(TypeError, match="`explainer` must be a function"):
        erasing_of(images, labels, explainer=explainers.GradCAM(model))
    erasing = erasing_of(images, labels, max_rounds=1)
    with pytest.raises(ValueError, match="must hold this callback once"):
        fit(model, erasing, callbacks=[erasing, erasing])
    with pytest.raises(ValueError, match="returned last"):
        old = erasing.training_data(4)
        erasing.training_data(2)
        model.fit(old, epochs=1, callbacks=[erasing], verbose=0)
    with pytest.raises(TypeError, match="must return a text.* Received: 2"):
        fit(model, erasing_of(images, labels, stop=lambda records: 2))
    # The same objects serve for a right one.
    fit(model, erasing)
    assert erasing.store.rounds == [1]


class OneMap:
    """Answers with one map an image, whatever it is asked for."""

    def __init__(self, model):
        pass

    def explain_batches(self, inputs, target, batch_size):
        yield inputs[..., 0]


def test_a_label_beyond_the_classes_is_told_before_a_round_has_trained():
    images, labels, _ = blobs.make_images(16)
    labels[-1] = 2
    model = blobs.brightest()
    model.compile("sgd", lambda y_true, y_pred: 0.0 * y_pred[:, 0])
    erasing = erasing_of(images, labels, stop=lambda records: None)
    with pytest.raises(ValueError, match="from 0 to 1. Received: class 2"):
        fit(model, erasing)
    assert int(model.optimizer.iterations) <= 4
    assert erasing.rounds == []


class Mirrored:
    def __init__(self, model):
        self._explainer = explainers.GradCAM(model)

    def explain_batches(self, *args, **kwargs):
        views = [1, "mirror"]
        return self._explainer.explain_batches(*args, **kwargs, views=views)


def test_maps_may_be_means_over_views_of_what_is_left():
    images, labels, _ = blobs.make_images(4)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 2)),
            keras.layers.Conv2D(6, 3, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    blobs.compiled(model, keras.optimizers.SGD(0.0))
    erasing = erasing_of(
        images,
        labels,
        explainer=Mirrored,
        max_rounds=2,
        reset="start",
        stop=lambda records: None,
    )
    fit(model, erasing)
    grad_cam, left = explainers.GradCAM(model), images
    for round_id in (1, 2):
        maps = grad_cam.explain(left, labels, views=[1, "mirror"])
        expected = keras_xmap.ops.above_threshold(maps, 0.5)
        found = blobs.regions_of(erasing.store, 4, rounds=round_id)
        np.testing.assert_array_equal(found, expected)
        plain = grad_cam.explain(left, labels)
        plain = keras_xmap.ops.above_threshold(plain, 0.5)
        assert (np.asarray(plain) != found).any()
        left = np.where(found[..., None], 0, left)


class Diverged(OneMap):
    """Answers with numbers when it is tried, and with none later."""

    value = 1.0

    def explain_batches(self, inputs, target, batch_size):
        value, self.value = self.value, np.nan
        yield np.full((len(inputs), 1, 16, 16), value)


def test_maps_without_numbers_do_not_pass_for_nothing_found():
    images, labels, _ = blobs.make_images(4)
    erasing = erasing_of(images, labels, explainer=Diverged)
    with pytest.raises(ValueError, match="infinity after round 1 has trained"):
        fit(blobs.brightest(), erasing)


@pytest.mark.parametrize("answer", [True, np.bool_(True)])
def test_a_rule_may_answer_that_it_is_enough(answer):
    images, labels, _ = blobs.make_images(4)
    erasing = erasing_of(images, labels, stop=lambda records: answer)
    fit(blobs.brightest(), erasing)
    assert erasing.finished == "Round 1 failed: `stop` is true."
    assert erasing.store.rounds == []


def test_wrong_batches_are_refused():
    erasing = erasing_of(*blobs.make_images()[:2])
    with pytest.raises(ValueError, match="Received: drop_remainder=1"):
        erasing.training_data(drop_remainder=1)
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        erasing.validation_data(None, batch_size=0)
    with pytest.raises(TypeError, match="Received: dataset=None"):
        erasing.validation_data(None)


def test_it_prints_as_the_call_that_makes_it():
    text = repr(erasing_of(*blobs.make_images()[:2], directory="run"))
    assert text.startswith("AdversarialErasing(dataset=<_ZipDataset")
    assert text.endswith(
        ", epochs_per_round=1, threshold=0.5, fill=0.0, stop=StopRule("
        "monitor='accuracy', tolerance=0.4), directory='run', callbacks=[])"
    )


def test_wrong_data_is_refused():
    images, labels, _ = blobs.make_images()
    plain = tf.data.Dataset.from_tensor_slices((images, labels))
    with pytest.raises(ValueError, match=r"pairs `\(ids, \(inputs"):
        AdversarialErasing(plain, 1)
    with pytest.raises(ValueError, match="Do not batch it"):
        AdversarialErasing(plain.batch(4).enumerate(), 1)
    ids = tf.data.Dataset.from_tensor_slices(np.arange(16.0))
    with pytest.raises(ValueError, match="Received: ids of dtype float64"):
        AdversarialErasing(tf.data.Dataset.zip(ids, plain), 1)


def test_too_few_epochs_are_refused():
    images, labels, _ = blobs.make_images()
    erasing = erasing_of(images, labels, epochs_per_round=4)
    with pytest.raises(ValueError, match="= 12. Received: epochs=11"):
        fit(blobs.brightest(), erasing, epochs=11)


def test_images_are_found_among_several_inputs():
    images, labels, masks = blobs.make_images()
    dataset = tf.data.Dataset.from_tensor_slices(
        ({"scene": images, "extra": np.ones((16, 1), "float32")}, labels)
    ).enumerate()
    scene = keras.Input((16, 16, 2), name="scene")
    extra = keras.Input((1,), name="extra")
    score = blobs.brightest()(scene) + 0 * extra
    model = keras.Model({"scene": scene, "extra": extra}, score)
    blobs.compiled(model, keras.optimizers.SGD(0.0))
    erasing = AdversarialErasing(
        dataset,
        1,
        max_rounds=2,
        threshold=0.5,
        fill=EraseRegions(0.0, dtype="float32"),
        explainer=lambda model: explainers.GradCAM(
            model, "sequential/re_lu", input_name="scene"
        ),
        stop=StopRule("accuracy", 0.4),
    )
    fit(model, erasing)
    assert (blobs.regions_of(erasing.store, 16) == masks.any(1)).all()


def test_noise_in_place_of_regions_hangs_on_round_and_epoch_alone():
    images, labels, masks = blobs.make_images()

    def batches(epoch, round_id=2, before=0):
        erasing = erasing_of(images, labels, fill="noise")
        data = erasing.training_data(4)
        rounds = erasing._rounds
        workers = distribution.Workers(tf.distribute.get_strategy())
        rounds.state.open({}, workers)
        rounds.data.open(workers)
        erasing.store.add(range(16), labels, 1, masks[:, 0])
        rounds.state.round_id = round_id
        for _ in range(before + 1):
            rounds.data.begin_epoch(epoch)
            *_, last = data
        return last[0].numpy()

    whole = batches(epoch=1)
    assert (batches(epoch=1, before=2) == whole).all()
    assert (batches(epoch=2) != whole).any()
    assert (batches(epoch=1, round_id=3) != whole).any()


@pytest.mark.slow
def test_held_out_images_lack_what_is_found_in_them():
    images, labels, masks = blobs.make_images(24)
    erasing = erasing_of(
        images[:16],
        labels[:16],
        max_rounds=4,
        stop=StopRule("val_accuracy", 0.4),
    )
    held_out = blobs.make_dataset(images[16:], labels[16:])
    data = erasing.validation_data(held_out, batch_size=4)
    history = fit(blobs.brightest(), erasing, validation_data=data).history
    assert history["val_peak"] == [3.0, 1.0, 0.0]
    assert history["val_accuracy"] == [1.0, 1.0, 0.5]
    assert erasing.finished.startswith("Round 3 failed: val_accuracy 0.5")
    # What was found in them is theirs alone, though ids are the same.
    for j, round_id in enumerate((1, 2)):
        regions = blobs.regions_of(erasing.held_out_store, 8, rounds=round_id)
        assert (regions == masks[16:, j]).all()
        regions = blobs.regions_of(erasing.store, 16, rounds=round_id)
        assert (regions == masks[:16, j]).all()
    assert [r["num_regions"] for r in erasing.rounds[:2]] == [16, 16]


def test_a_second_set_to_validate_on_is_refused():
    images, labels, _ = blobs.make_images()
    erasing = erasing_of(images, labels)
    data = blobs.make_dataset(images, labels)
    assert erasing.held_out_store is None
    erasing.validation_data(data)
    with pytest.raises(ValueError, match="Received: a second one"):
        erasing.validation_data(data)
