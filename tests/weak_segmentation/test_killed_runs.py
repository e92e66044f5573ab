"""A run that was killed ends as one that was not; memory does not grow."""

import pathlib
import signal
import subprocess
import sys

import pytest
from distribution.test_distribution import start_workers
from weak_segmentation import blots

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

WORKER = pathlib.Path(__file__).with_name("segmentation_worker.py")


def run(folder, directory, *options):
    command = [sys.executable, WORKER, folder, directory, *options]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=600
    )


def results(directory):
    return {
        path.relative_to(directory): path.read_bytes()
        for path in sorted(directory.rglob("*.png"))
    }


def kill_and_go_on(folder, directory, patterns, *options):
    for pattern in patterns:
        killed = run(folder, directory, "--kill", pattern, *options)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    made = {p: p.stat().st_mtime_ns for p in directory.rglob("*.png")}
    done = run(folder, directory, *options)
    assert done.returncode == 0, done.stderr
    # What was there is not made again.
    assert {p: p.stat().st_mtime_ns for p in made} == made
    return results(directory)


def test_a_run_that_is_killed_in_every_stage_ends_as_if_it_was_not(tmp_path):
    blots.write_scenes(tmp_path / "scenes", 20)
    whole = run(tmp_path / "scenes", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    found = kill_and_go_on(
        tmp_path / "scenes",
        tmp_path / "killed",
        [
            "backup-classifier/epoch-00000001*.h5",
            "pseudo_labels/scene0003.png",
            "backup-network/epoch-00000002*.h5",
            "masks/scene0012.png",
        ],
    )
    assert found == results(tmp_path / "whole") and len(found) == 40


@pytest.mark.sweep
def test_erasing_that_is_killed_goes_on(tmp_path):
    blots.write_scenes(tmp_path / "scenes", 12)
    whole = run(tmp_path / "scenes", tmp_path / "whole", "--erase")
    assert whole.returncode == 0, whole.stderr
    found = kill_and_go_on(
        tmp_path / "scenes",
        tmp_path / "killed",
        ["backup-erasing/epoch-00000002*.h5", "erasing/regions/*"],
        "--erase",
    )
    assert found == results(tmp_path / "whole")


@pytest.mark.sweep
def test_memory_does_not_grow_with_the_number_of_images(
    tmp_path, record_property
):
    peaks = []
    for count in (200, 2000):
        folder = tmp_path / str(count)
        blots.write_scenes(folder, count)
        done = run(folder, folder / "run", "--epochs", "1")
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]))
    record_property("MiB at 200 and 2,000 images", peaks)
    assert peaks[1] < peaks[0] + 60


@pytest.mark.sweep
def test_several_workers_are_refused_before_the_work(tmp_path):
    blots.write_scenes(tmp_path / "scenes", 2)
    arguments = tmp_path / "scenes", tmp_path / "run", "--workers"
    processes = start_workers(WORKER, *arguments)
    for process in processes:
        error = process.communicate(timeout=300)[1]
        assert process.returncode == 1
        assert "with 2 workers. Train under tf.distribute.Mirr" in error
    assert not (tmp_path / "run").exists()
