"""The same regions, however many replicas and workers find them."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from callbacks import blobs
from distribution.test_distribution import start_workers

from keras_xmap import distribution
from keras_xmap.callbacks import AdversarialErasing
from keras_xmap.callbacks import StopRule

pytestmark = pytest.mark.tensorflow

WORKER = pathlib.Path(__file__).with_name("worker.py")


def found_by(model, images, labels, **kwargs):
    distribution.distribution_safe(model)
    erasing = AdversarialErasing(
        blobs.make_dataset(images, labels), **{"epochs_per_round": 2, **kwargs}
    )
    history = model.fit(
        erasing.training_data(8),
        epochs=erasing.num_epochs,
        callbacks=[erasing],
        verbose=0,
    )
    return erasing, history.history


@pytest.mark.slow
def test_two_replicas_erase_piece_by_piece(strategy):
    images, labels, masks = blobs.make_images()
    with strategy.scope():
        model = blobs.brightest()
    erasing, history = found_by(
        model,
        images,
        labels,
        epochs_per_round=1,
        threshold=0.5,
        fill=0.0,
        stop=StopRule("accuracy", 0.4),
    )
    for j, round_id in enumerate((1, 2)):
        regions = blobs.regions_of(erasing.store, 16, rounds=round_id)
        assert (regions == masks[:, j]).all()
    # No replica saw a batch from before an erasure.
    assert history["peak"] == [3.0, 1.0, 0.0]
    assert erasing.finished.startswith("Round 3 failed")


@pytest.mark.slow
def test_two_replicas_find_what_one_finds(strategy):
    images, labels, _ = blobs.make_images(32, noise=0.2)
    models = [blobs.trained(seed=1, dropout=0.0)]
    with strategy.scope():
        models.append(blobs.trained(seed=1, dropout=0.0))
    regions, losses = [], []
    for model in models:
        erasing, history = found_by(
            model, images, labels, stop=lambda records: None
        )
        regions.append(
            [blobs.regions_of(erasing.store, 32, rounds=r) for r in (1, 2, 3)]
        )
        losses.append(history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    different = np.not_equal(*regions).mean(axis=(1, 2, 3))
    assert (different < 1e-3).all(), different
    assert np.mean(regions[0]) > 0.05


def results_of(processes):
    outputs = [process.communicate(timeout=300) for process in processes]
    errors = [error[-2000:] for _, error in outputs]
    assert [p.returncode for p in processes] == [0] * len(processes), errors
    return [out.splitlines()[-1] for out, _ in outputs]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A folder in which two workers trained, and what they found."""
    folder = tmp_path_factory.mktemp("two")
    found = results_of(start_workers(WORKER, folder))
    assert found[0] == found[1]
    return folder, found


@pytest.mark.slow
def test_two_workers_find_what_one_process_finds(tmp_path, undisturbed):
    folder, found = undisturbed
    (whole,) = results_of(
        [
            subprocess.Popen(
                [sys.executable, str(WORKER), str(tmp_path)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        ]
    )
    files = os.listdir(folder / "run" / "regions")
    for round_id in (1, 2, 3):
        for worker in (0, 1):
            prefix = f"regions-{round_id:04d}-{worker:05d}-"
            assert sum(name.startswith(prefix) for name in files) == 1
    # Sums over processes are rounded in another order: pixels may differ.
    counts = [
        json.loads(x.split(" ", 1)[1].rsplit(" ", 1)[0])
        for x in (whole, found[0])
    ]
    np.testing.assert_allclose(*counts, rtol=0.01)


@pytest.mark.slow
def test_a_worker_with_another_copy_of_the_data_is_refused(
    tmp_path, undisturbed
):
    processes = start_workers(WORKER, tmp_path, "--other-copy")
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert all(process.returncode == 1 for process in processes)
    assert "id 5 with other labels" in errors[1] and "the chief" in errors[1]
    assert "Received: 1 of 2 that do not" in errors[0]
    # Before anything was mined; with the chief's copy all of it is.
    assert not (tmp_path / "run" / "regions").exists()
    found = results_of(start_workers(WORKER, tmp_path))
    assert found == undisturbed[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "victim, sign",
    [
        (0, "mining 4"),
        # The other worker, and at the other moment.
        pytest.param(1, "epoch 3", marks=pytest.mark.sweep),
        pytest.param(1, "mining 4", marks=pytest.mark.sweep),
        pytest.param(0, "epoch 3", marks=pytest.mark.sweep),
    ],
)
def test_a_worker_that_is_killed_changes_nothing(
    tmp_path, undisturbed, victim, sign
):
    processes = start_workers(WORKER, tmp_path, "--slow", "--backup")
    for line in processes[victim].stdout:
        if line.startswith(sign):
            processes[victim].send_signal(signal.SIGKILL)
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode != 0  # nobody goes on alone
    resumed = results_of(start_workers(WORKER, tmp_path, "--backup"))
    assert resumed == undisturbed[1]
