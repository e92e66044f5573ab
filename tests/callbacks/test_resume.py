"""Runs that were broken off end as those that were not."""

import pathlib
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from callbacks import blobs
from callbacks.blobs import Kill
from callbacks.blobs import Killed

from keras_xmap.callbacks import AdversarialErasing
from keras_xmap.callbacks import ChiefBackup
from keras_xmap.regions import RegionStore

pytestmark = pytest.mark.tensorflow

NUM_IMAGES, EPOCHS, ROUNDS = 24, 2, 3


def run(directory, *before, after=(), **kwargs):
    """One process's life: everything is made anew, from a seed of its own."""
    images, labels, _ = blobs.make_images(NUM_IMAGES, noise=0.2)
    model = blobs.trained(seed=1)
    erasing = AdversarialErasing(
        blobs.make_dataset(images, labels),
        epochs_per_round=EPOCHS,
        max_rounds=ROUNDS,
        stop=lambda records: None,
        directory=directory,
        explainer=blobs.MayDie,
        **kwargs,
    )
    model.fit(
        erasing.training_data(8),
        epochs=erasing.num_epochs,
        callbacks=[*before, erasing, *after],
        verbose=0,
    )
    return erasing


def regions(erasing):
    assert erasing.store.rounds == [1, 2, 3]
    return np.stack(
        [
            blobs.regions_of(erasing.store, NUM_IMAGES, rounds=round_id)
            for round_id in (1, 2, 3)
        ]
    )


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    keras.utils.set_random_seed(0)
    return run(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module")
def undisturbed(whole_run):
    found = regions(whole_run)
    assert (found.mean(axis=(1, 2, 3)) > 0.02).all() and found.mean() < 0.8
    return found


@pytest.mark.slow
def test_without_a_folder_the_regions_are_the_same(undisturbed):
    assert (regions(run(None)) == undisturbed).all()


@pytest.mark.slow
def test_a_round_that_was_broken_off_is_trained_again(tmp_path, undisturbed):
    # The last two count from the start of the run that they end.
    for place in ((1, 1), (2, None), (3, 0)):
        with pytest.raises(Killed):
            run(tmp_path, after=[Kill(*place)])
        keras.utils.set_random_seed(17)  # another process
    erasing = run(tmp_path)
    assert (regions(erasing) == undisturbed).all()
    assert [r["round"] for r in erasing.rounds] == [1, 2, 3]
    assert erasing.finished == "max_rounds=3 is reached."
    # Once more: there is nothing left to do.
    assert (regions(run(tmp_path)) == undisturbed).all()


@pytest.mark.slow
@pytest.mark.sweep
def test_regions_of_a_round_broken_off_while_mining_are_mined_again(
    tmp_path, undisturbed
):
    class WritesAndDies(keras.callbacks.Callback):
        """Dies as if killed while another worker has written regions."""

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                every = np.ones((NUM_IMAGES, blobs.SIZE, blobs.SIZE), "bool")
                store = RegionStore(tmp_path / "regions", worker=7)
                store.add(range(NUM_IMAGES), [0] * NUM_IMAGES, 1, every)
                store.flush()

    blobs.MayDie.fate.batch = 3
    with pytest.raises(Killed):
        run(tmp_path, WritesAndDies())
    assert list((tmp_path / "regions").glob("*.npz"))
    assert (regions(run(tmp_path)) == undisturbed).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "backup, order",
    [
        (ChiefBackup, "after"),
        (keras.callbacks.BackupAndRestore, "before"),
        pytest.param(ChiefBackup, "before", marks=pytest.mark.sweep),
        pytest.param(
            keras.callbacks.BackupAndRestore, "after", marks=pytest.mark.sweep
        ),
    ],
)
def test_a_backup_goes_on_with_the_epoch(tmp_path, undisturbed, backup, order):
    def epochs_of(*kill):
        backups = [backup(tmp_path / "backup")]
        heard = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: epochs.append(epoch)
        )
        before = backups if order == "before" else []
        after = backups if order == "after" else []
        epochs = []
        try:
            erasing = run(
                tmp_path / "run", *before, after=[*after, heard, *kill]
            )
        except Killed:
            return epochs
        assert (regions(erasing) == undisturbed).all()
        return epochs

    assert epochs_of(Kill(1, 1)) == [0, 1]
    keras.utils.set_random_seed(17)
    assert epochs_of(Kill(3, 1)) == [1, 2, 3]
    assert epochs_of() == [3, 4, 5]


@pytest.mark.slow
def test_noise_in_place_of_regions_and_held_out_ones_go_on_alike(tmp_path):
    """Killed in the second round, whose images hold noise."""

    def found(directory, *after):
        images, labels, _ = blobs.make_images(NUM_IMAGES + 8, noise=0.2)
        erasing = AdversarialErasing(
            blobs.make_dataset(images[8:], labels[8:]),
            epochs_per_round=2,
            max_rounds=2,
            fill="noise",
            stop=lambda records: None,
            directory=directory,
        )
        history = blobs.trained(seed=1).fit(
            erasing.training_data(8),
            epochs=4,
            validation_data=erasing.validation_data(
                blobs.make_dataset(images[:8], labels[:8]), batch_size=4
            ),
            callbacks=[erasing, *after],
            verbose=0,
        )
        return history.history, [
            blobs.regions_of(store, count, rounds=(1, 2))
            for store, count in (
                (erasing.store, NUM_IMAGES),
                (erasing.held_out_store, 8),
            )
        ]

    whole, expected = found(None)
    with pytest.raises(Killed):
        found(tmp_path, Kill(3, 1))
    keras.utils.set_random_seed(17)  # another process
    resumed, regions = found(tmp_path)
    for name in ("loss", "val_loss"):
        assert resumed[name] == whole[name][2:]
    for one, other in zip(regions, expected, strict=True):
        assert (one == other).all() and 0.02 < one.mean() < 0.9


@pytest.mark.slow
def test_a_round_that_has_trained_is_mined_by_its_last_weights(
    tmp_path, undisturbed
):
    """A backup made before mining has them; else an epoch is trained again."""

    before, after = (
        ChiefBackup(tmp_path / order) for order in ("before", "after")
    )
    blobs.MayDie.fate.batch = 2
    with pytest.raises(Killed):
        run(tmp_path / "run", before, after=[after])
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    for directory, first, last, expected in (
        ("run", [ChiefBackup(tmp_path / "before")], [], [2, 3, 4, 5]),
        ("again", [], [ChiefBackup(tmp_path / "after")], [1, 2, 3, 4, 5]),
    ):
        epochs = []
        heard = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs, seen=epochs: seen.append(epoch)
        )
        erasing = run(tmp_path / directory, *first, after=[*last, heard])
        assert epochs == expected
        assert (regions(erasing) == undisturbed).all()
        assert "accuracy" in erasing.rounds[0]["logs"]


def test_other_arguments_than_before_are_refused(tmp_path, whole_run):
    shutil.copytree(whole_run.directory, tmp_path, dirs_exist_ok=True)
    with pytest.raises(
        ValueError, match="threshold=0.3, where the run has 0.2"
    ):
        run(tmp_path, threshold=0.3)


@pytest.mark.slow
def test_a_later_epoch_without_known_regions_is_refused(tmp_path):
    with pytest.raises(Killed):
        run(None, after=[ChiefBackup(tmp_path), Kill(1, 1)])
    with pytest.raises(
        ValueError, match="begins with epoch 1, and directory=None"
    ):
        run(None, after=[ChiefBackup(tmp_path)])


WORKER = pathlib.Path(__file__).with_name("worker.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    "sign", ["mining 6", pytest.param("epoch 3", marks=pytest.mark.sweep)]
)
def test_a_killed_process_is_resumed(tmp_path, sign):
    def start(directory, *arguments):
        return subprocess.Popen(
            [sys.executable, WORKER, directory, *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )

    results = []
    for name in ("whole", "killed"):
        if name == "killed":
            process = start(tmp_path / name, "--slow")
            for line in process.stdout:
                if line.startswith(sign):
                    time.sleep(0.15)
                    process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        process = start(tmp_path / name)
        output, _ = process.communicate()
        assert process.returncode == 0
        results.append(output.splitlines()[-1])
    assert results[0] == results[1] and results[0].startswith("regions")
