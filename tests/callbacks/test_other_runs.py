"""A folder is gone on with by the run that it is of, and by no other."""

import functools
import json
import os
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from callbacks import blobs
from callbacks.blobs import Kill
from callbacks.blobs import Killed

from keras_xmap import explainers
from keras_xmap.callbacks import AdversarialErasing
from keras_xmap.callbacks import ChiefBackup
from keras_xmap.callbacks import StopRule
from keras_xmap.regions import RegionStore

pytestmark = pytest.mark.tensorflow

IMAGES, LABELS, MASKS = blobs.make_images(8)
layers = keras.layers


def dataset_of(images=IMAGES, labels=LABELS):
    return blobs.make_dataset(images, labels)


def run(directory, *callbacks, model=None, data=None, fit=None, **kwargs):
    """The life of a process, whose arguments are told apart by where they go.

    Its regions are known: of each image the strong square, then the weak one.
    """
    dataset = kwargs.pop("dataset", None) or dataset_of()
    held_out = kwargs.pop("held_out", None)
    arguments = {
        "epochs_per_round": 1,
        "max_rounds": 2,
        "threshold": 0.5,
        "fill": 0.0,
        "stop": lambda records: None,
        **kwargs,
    }
    erasing = AdversarialErasing(dataset, directory=directory, **arguments)
    training = erasing.training_data(**{"batch_size": 4, **(data or {})})
    fit = dict(fit or {})
    if held_out is not None:
        fit["validation_data"] = erasing.validation_data(held_out)
    epochs = {"epochs": erasing.num_epochs, "verbose": 0}
    (model or blobs.brightest()).fit(
        training, callbacks=[erasing, *callbacks], **{**epochs, **fit}
    )
    return erasing


def assert_right(erasing):
    for j, round_id in enumerate((1, 2)):
        found = blobs.regions_of(erasing.store, len(IMAGES), rounds=round_id)
        assert (found == MASKS[:, j]).all()


@functools.cache
def half_done(folder):
    """A folder whose run was killed in its second round."""
    with pytest.raises(Killed):
        run(folder, Kill(1, 0))
    return folder


@pytest.fixture
def folder(tmp_path, tmp_path_factory):
    kept = tmp_path_factory.getbasetemp() / "half_done"
    return shutil.copytree(half_done(kept), tmp_path / "run")


@pytest.mark.slow
def test_it_goes_on_whatever_names_verbosity_and_weights_at_hand(folder):
    blobs.brightest()  # Keras counts names on
    model = blobs.brightest()
    model.set_weights([w + 1.0 for w in model.get_weights()])
    assert_right(run(folder, model=model, fit={"verbose": 2}))


def other_model(activation="softplus"):
    model = keras.Sequential(
        [
            keras.Input((blobs.SIZE, blobs.SIZE, 2)),
            layers.Dense(2, kernel_initializer="identity", name="channels"),
            layers.Activation(activation),
            layers.GlobalMaxPooling2D(),
        ]
    )
    return blobs.compiled(model, keras.optimizers.SGD(0.0), blobs.peak)


def recompiled(optimizer=None, loss=None):
    model = blobs.brightest()
    model.compile(
        optimizer or keras.optimizers.SGD(0.0),
        loss or model.loss,
        metrics=["accuracy", blobs.peak],
    )
    return model


def half_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return blobs.brightest()
    finally:
        keras.config.set_dtype_policy(policy)


GAIN = 1.0


def scaled(labels):
    return (labels * GAIN).astype("int32")


class Halved(explainers.GradCAM):
    def __init__(self, model, by=2.0):
        super().__init__(model)
        self.by = by


sgd = keras.optimizers.SGD
OTHERS = {
    "threshold=0.6, where the run has 0.5": lambda: {"threshold": 0.6},
    "seed=1, where the run has 0": lambda: {"seed": 1},
    "epochs_per_round=2": lambda: {"epochs_per_round": 2},
    "reset='start', where the run has 'new'": lambda: {"reset": "start"},
    "fill.fill=1.0, where the run has 0.0": lambda: {"fill": 1.0},
    "targets='<lambda> ": lambda: {"targets": lambda x: 1 - x},
    "targets='scaled ": lambda: {"targets": scaled},
    "explainer.is.class='LayerCAM', where the run has 'GradCAM'": lambda: {
        "explainer": explainers.LayerCAM
    },
    "explainer.is.target_layer='layer .', where the run has None": lambda: {
        "explainer": lambda model: explainers.GradCAM(model, "channels")
    },
    "explainer.made_by='Halved ": lambda: {"explainer": Halved},
    "callbacks=.*EarlyStopping": lambda: {
        "callbacks": [keras.callbacks.EarlyStopping("loss")]
    },
    "training_data.batch_size=8": lambda: {"data": {"batch_size": 8}},
    "shuffle_buffer=2": lambda: {"data": {"shuffle_buffer": 2}},
    "drop_remainder=True": lambda: {"data": {"drop_remainder": True}},
    "optimizer.learning_rate=0.5, where the run has 0.0": lambda: {
        "model": recompiled(sgd(0.5))
    },
    "optimizer.momentum=0.5": lambda: {
        "model": recompiled(sgd(0.0, momentum=0.5))
    },
    "optimizer.class='Adam', where the run has 'SGD'": lambda: {
        "model": recompiled(keras.optimizers.Adam(0.0))
    },
    "loss.from_logits=False": lambda: {
        "model": recompiled(loss=keras.losses.SparseCategoricalCrossentropy())
    },
    "model.layer 3, Activation=": lambda: {"model": other_model()},
    "model.layer 2, Dense=": lambda: {"model": half_precision()},
    "dataset.inputs='float16 .* has 'float32": lambda: {
        "dataset": dataset_of(IMAGES.astype("float16"))
    },
    "dataset.number=7, where the run has 8": lambda: {
        "dataset": dataset_of().take(7)
    },
    "validation_data=": lambda: {"held_out": dataset_of()},
}


@pytest.mark.parametrize("message", OTHERS)
def test_what_decides_a_region_must_be_as_it_was(folder, message):
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(
        ValueError, match=f"with .*{message}.* Give what the run has"
    ):
        run(folder, **OTHERS[message]())
    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert before == after


@pytest.mark.slow
def test_a_refused_run_has_a_folder_of_its_own_or_goes_on(folder, tmp_path):
    with pytest.raises(ValueError, match="or an empty `directory`"):
        run(folder, fill=1.0)
    erasing = run(tmp_path / "other", fill=1.0, max_rounds=1)
    assert erasing.store.rounds == [1]
    assert_right(run(folder))


def in_reverse():
    ids = np.arange(8)[::-1]
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES[ids], LABELS[ids]))
    ids = tf.data.Dataset.from_tensor_slices(ids.astype("int64"))
    return tf.data.Dataset.zip(ids, pairs)


@pytest.mark.parametrize(
    "dataset, message",
    [
        (dataset_of(IMAGES, 1 - LABELS), "with other labels or weights"),
        pytest.param(
            dataset_of(IMAGES[::-1], LABELS[::-1]),
            "other inputs and with other labels",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            dataset_of(IMAGES * 1.0001, LABELS),
            "with other inputs",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            in_reverse(),
            r"at another place \(\d, before \d\)",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_other_images_are_refused_before_they_train(folder, dataset, message):
    ended = []
    listener = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ended.append(epoch)
    )
    with pytest.raises(ValueError, match=f"run in directory=.*{message}"):
        run(folder, listener, dataset=dataset)
    assert not ended
    assert_right(run(folder))


def noisy(image):
    noise = tf.numpy_function(np.random.random, [], tf.float64)
    noise = tf.ensure_shape(noise, ())
    return image + tf.cast(noise, tf.float32)


def spoiled(spoil):
    return pytest.param(spoil, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.shuffle(8, seed=1).enumerate(),
        spoiled(lambda data: data.enumerate().shuffle(8, seed=1)),
        spoiled(lambda data: data.map(lambda x, y: (noisy(x), y)).enumerate()),
    ],
)
def test_data_that_changes_from_pass_to_pass_is_refused(spoil):
    plain = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    with pytest.raises(ValueError, match="Received: id . .* `training_data`"):
        run(None, dataset=spoil(plain))


def shards(folder):
    return sorted((folder / "regions").iterdir())


def regions_of_others(folder):
    store = RegionStore(folder / "regions", worker=3)
    store.add([0], [0], 1, MASKS[:1, 0])
    store.flush()


def renamed(folder):
    (path,) = shards(folder)
    path.rename(path.with_name(path.name.replace("0001-", "0002-")))


def of_another_round(folder):
    (path,) = shards(folder)
    with np.load(path) as content:
        arrays = {**content, "round": np.int32(3)}
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def other_content(folder):
    (path,) = shards(folder)
    store = RegionStore(folder / "other")
    store.add([0], [0], 1, MASKS[:1, 1])
    store.flush()
    os.replace(next((folder / "other").iterdir()), path)


def cut(folder):
    (path,) = shards(folder)
    path.write_bytes(path.read_bytes()[:-60])


def without(name):
    def delete(folder):
        (path,) = folder.glob(name)
        path.unlink()

    return delete


LOST = {
    r"regions-0001-\S* \(missing\)": without("regions/*.npz"),
    r"regions-0001-00003-\S* \(of another run": regions_of_others,
    r"-0002-\S* \(of .*-0001-\S* \(missing|-0001-.*-0002-": renamed,
    r"regions-0001-\S* \((not as it was|of another)": of_another_round,
    r"regions-0001-\S* \(not as it was written\)": other_content,
    r"regions-0001-\S* \(File is not a zip": cut,
    r"start.npz \(missing\)": without("start.npz"),
    r"images-regions-\S* \(missing\)": without("images-*"),
    r"regions-0001-\S* \(of another run, or": without("state.json"),
}


@pytest.mark.slow
def test_what_is_lost_or_foreign_is_named(folder, tmp_path):
    whole = tmp_path / "whole"
    folder.rename(whole)
    for message, lose in LOST.items():
        shutil.copytree(whole, folder)
        lose(folder)
        files = sorted(folder.rglob("*"))
        with pytest.raises(ValueError, match=f"{message}.*Put back the fol"):
            run(folder)
        assert sorted(folder.rglob("*")) == files  # nothing was taken away
        shutil.rmtree(folder)
    whole.rename(folder)
    assert_right(run(folder))


def test_a_folder_of_a_version_without_checksums_is_refused(folder):
    path = folder / "state.json"
    state = json.loads(path.read_text())["state"]
    path.write_text(json.dumps({"settings": state["run"], **state}))
    with pytest.raises(ValueError, match="begin anew with an empty `dir"):
        run(folder)


@pytest.mark.slow
def test_a_state_that_is_older_than_the_folder_is_refused(folder):
    old = (folder / "state.json").read_bytes()
    run(folder)
    (folder / "state.json").write_bytes(old)
    # The second round may have been broken off while it mined.
    assert_right(run(folder, max_rounds=3))
    (folder / "state.json").write_bytes(old)
    with pytest.raises(ValueError, match=r"regions-0003-\S* \(of another run"):
        run(folder)


@pytest.mark.slow
def test_more_rounds_and_another_rule_go_on_with_what_is_there(folder):
    erasing = run(folder, max_rounds=1)
    assert erasing.finished == "max_rounds=1 is reached."
    assert_right(run(folder))
    # As if the rule had been there from the start: the third round fails.
    rule = StopRule("accuracy", 0.4, min_new_share=0.0)
    erasing = run(folder, max_rounds=3, stop=rule)
    assert erasing.finished.startswith("Round 3 failed: accuracy 0.5")
    again = run(folder, max_rounds=4, stop=rule)
    assert again.finished == erasing.finished and len(again.rounds) == 3
    assert_right(again)
    # One that lets it pass trains it again, and mines.
    erasing = run(folder, max_rounds=3, stop=lambda records: None)
    assert [r["round"] for r in erasing.rounds] == [1, 2, 3]
    assert "new_share" in erasing.rounds[2]


@pytest.mark.slow
def test_fewer_rounds_than_there_are_are_refused(folder):
    run(folder)
    for arguments, message in (
        ({"max_rounds": 1}, "of more than the 1 rounds to which max_rounds=1"),
        ({"stop": StopRule(min_new_share=0.07)}, "1 rounds to which new reg"),
        ({"stop": lambda records: "bad"}, "the 0 rounds to which bad leads"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            run(folder, **arguments)
    assert_right(run(folder))


def moving():
    return blobs.brightest(learning_rate=0.01)


@pytest.mark.slow
def test_a_later_epoch_needs_weights_of_this_run(tmp_path):
    def start(name, *callbacks, **kwargs):
        return run(
            tmp_path / name,
            *callbacks,
            model=moving(),
            epochs_per_round=2,
            **kwargs,
        )

    with pytest.raises(ValueError, match="epoch 2, and no run in directory"):
        start("a", fit={"initial_epoch": 2})
    # That it was refused must not make it a run.
    with pytest.raises(ValueError, match="epoch 1, and no run in directory"):
        start("a", fit={"initial_epoch": 1})
    backup = ChiefBackup(tmp_path / "backup")
    with pytest.raises(Killed):
        start("a", backup, Kill(1, 0))
    shutil.copytree(tmp_path / "backup", tmp_path / "stale")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ValueError, match="weights that this run did not have"):
        start("b", fit={"initial_epoch": 1})
    assert start("a", backup).store.rounds == [1, 2]
    # The backup has outlived a folder that was deleted.
    shutil.rmtree(tmp_path / "a")
    stale = ChiefBackup(tmp_path / "stale")
    with pytest.raises(ValueError, match="Delete the backup"):
        start("a", stale)
    with pytest.raises(Killed):
        start("a", Kill(0, 0), seed=1)
    with pytest.raises(ValueError, match="Delete the backup"):
        start("a", stale, seed=1)
    shutil.rmtree(tmp_path / "stale")
    assert start("a", stale, seed=1).store.rounds == [1, 2]
