"""What is written of a run, and what is read when it goes on."""

import json
import os
import re

import numpy as np
import pytest

from keras_xmap.erasing._run_state import RunState
from keras_xmap.erasing._seen_images import SeenImages
from keras_xmap.erasing._together import raise_together

pytestmark = pytest.mark.tensorflow


class Workers:
    def __init__(self, count=1, index=0):
        self.count, self.index, self.is_chief = count, index, index == 0
        self.num_waits = 0

    def wait(self):
        self.num_waits += 1

    def sum(self, values):
        self.wait()
        return [float(value) for value in values]


def opened(directory, run=None, **kwargs):
    state = RunState(None if directory is None else str(directory))
    state.open(run or {"seed": 0}, Workers(**kwargs))
    return state


def values_of(state):
    names = ("round_id", "began", "weights", "trained", "records", "finished")
    return [getattr(state, name) for name in names]


def play(state):
    """Yields after every step of a run of two rounds."""
    state.begin_round(0)
    yield
    state.end_epoch(1, 77)
    state.end_epoch(1, 77)
    state.end_epoch(1, 78)  # a callback of the round has changed them
    yield
    state.end_training(2, {"loss": np.float32(0.5)}, 78)
    yield
    state.end_round({"round": 1}, 2, {"regions/a": 1})
    yield
    state.begin_round(3)  # another callback has put it off
    yield
    state.finish("Round 2 failed", {"round": 2})
    yield


def test_a_run_goes_on_from_every_step(tmp_path):
    state = opened(tmp_path)
    trained = {"num_epochs": 2, "logs": {"loss": 0.5}, "weights": 78}
    both = {"1": [77, 78]}
    expected = [
        [1, 0, {}, None, [], None],
        [1, 0, both, None, [], None],
        [1, 0, both, trained, [], None],
        [2, 2, {}, None, [{"round": 1}], None],
        [2, 3, {}, None, [{"round": 1}], None],
        [2, 3, {}, None, [{"round": 1}, {"round": 2}], "Round 2 failed"],
    ]
    for values, _ in zip(expected, play(state), strict=True):
        assert values_of(state) == values
        assert values_of(opened(tmp_path)) == values
    content = json.loads((tmp_path / "state.json").read_text())["state"]
    assert content["run"] == {"seed": 0}
    assert content["files"] == {"regions/a": 1}
    assert content["round"] == 2 and content["finished"] == "Round 2 failed"
    # Opened for another run in memory, it begins anew.
    memory = opened(None)
    assert all(True for _ in play(memory)) and memory.finished
    memory.open({"seed": 0}, Workers())
    assert values_of(memory) == [1, None, {}, None, [], None]


def test_the_chief_alone_writes_once_all_have_mined(tmp_path):
    other = opened(tmp_path, count=2, index=1)
    other.began = 0
    for _ in play(other):
        assert os.listdir(tmp_path) == []
    assert other._workers.num_waits == 1
    with pytest.raises(ValueError, match="Received: directory=None"):
        opened(None, count=2)


def test_a_worker_of_another_run_is_refused(tmp_path):
    opened(tmp_path, count=2).begin_round(0)
    other = RunState(str(tmp_path))
    other._run, other._workers = {"seed": 1}, Workers(2, 1)
    with pytest.raises(ValueError, match="seed=1, where the run has 0"):
        other.begin_round(0)


def test_all_workers_raise_if_one_does():
    class Sum(Workers):
        def sum(self, values):
            return [values[0] + 1.0]  # another one has an error

    with pytest.raises(RuntimeError, match="Received: 1 of 2 that do not"):
        raise_together(Sum(2), lambda: None)
    with pytest.raises(ValueError, match="my own"):
        raise_together(Sum(2), lambda: int("my own"))
    assert raise_together(Workers(2), lambda: 3) == 3


def test_another_run_is_refused_field_by_field(tmp_path):
    run = {"seed": 0, "optimizer": {"rate": 0.5, "class": "SGD"}}
    opened(tmp_path, run).finish("max_rounds=3 is reached.")
    run = {"seed": 1, "optimizer": {"rate": 0.1, "class": "SGD"}, "new": [2]}
    message = (
        "with seed=1, where the run has 0; optimizer.rate=0.1, where the run "
        "has 0.5; new=[2], where the run has None. Give what the run has"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        opened(tmp_path, run)


def damaged(content):
    place = content.index(b'"round"') + 9
    return content[:place] + b"7" + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        damaged,
        lambda content: content[:-20],
        lambda content: b"",
        lambda content: b"[]",
        lambda content: b"[" * 100000,
        lambda content: b"\x00\xff" * 50,
        lambda content: json.dumps(json.loads(content)["state"]).encode(),
    ],
)
def test_a_damaged_state_is_named(tmp_path, damage):
    opened(tmp_path).begin_round(0)
    path = tmp_path / "state.json"
    content = path.read_bytes()
    path.write_bytes(damage(content))
    with pytest.raises(ValueError, match=r"state\.json \(not as .* Put back"):
        opened(tmp_path)
    path.write_bytes(content)
    assert opened(tmp_path).began == 0


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    state = opened(tmp_path)
    state.start_values([np.zeros(2)])
    state.begin_round(0)
    for name in ("start.npz", "state.json"):
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
        with pytest.raises(ValueError, match=f"{name} .a folder.*Put back"):
            opened(tmp_path).start_values([np.zeros(2)])
        if name == "start.npz":
            (tmp_path / name).rmdir()


def test_a_run_starts_from_what_its_first_process_began_with(tmp_path):
    first = [np.arange(3.0), np.array(2, "int32")]
    other = [np.zeros(3), np.array(7, "int32")]
    # Nothing has begun, and what is there is of nobody.
    opened(tmp_path).start_values(other)
    state = opened(tmp_path)
    found = [state.start_values(first)]
    state.begin_round(0)
    found.append(opened(tmp_path).start_values(other))
    for values in found:
        for one, array in zip(first, values, strict=True):
            assert (one == array).all() and one.dtype == array.dtype
    assert opened(None).start_values(other) is other
    path = tmp_path / "start.npz"
    content = path.read_bytes()
    for damage in (content[:-1], content.replace(b"arr_0", b"arr_1"), None):
        path.unlink()
        if damage is not None:
            path.write_bytes(damage)
        how = "missing" if damage is None else "not as it was written"
        with pytest.raises(ValueError, match=rf"start\.npz \({how}\)"):
            opened(tmp_path).start_values(other)
        path.write_bytes(content)
    assert (opened(tmp_path).start_values(other)[0] == first[0]).all()


def test_a_folder_of_regions_must_hold_what_the_state_names(tmp_path):
    state = opened(tmp_path)
    state.begin_round(0)
    state.end_round({}, 2, {"regions/a": 1, "regions/b": 2, "held_out/c": 3})
    state = opened(tmp_path)
    state.check_files("regions", {"regions/a": 1, "regions/b": 2})
    for found, message in (
        ({"regions/a": 1}, r"regions/b \(missing\)"),
        ({"regions/a": 1, "regions/b": 9}, r"regions/b \(not as it was"),
        ({"regions/a": 1, "regions/b": 2, "regions/x": 2}, r"x \(of another"),
    ):
        with pytest.raises(ValueError, match=message):
            state.check_files("regions", found)


def test_what_images_look_like_is_kept_once(tmp_path):
    state, seen = opened(tmp_path), SeenImages("dataset")
    seen.show([0, 1], np.arange(2), [np.eye(2)], [np.arange(2)])
    state.begin_round(0)
    state.keep_images("regions", seen)
    (first,) = tmp_path.glob("images-regions-*.npy")
    assert first.stat().st_size < 256
    seen.check_count(2)
    state.keep_images("regions", seen)
    assert list(tmp_path.glob("images-*")) == [first]
    seen = opened(tmp_path).seen_images("regions", SeenImages("dataset"))
    assert len(seen) == seen.count == 2
    seen.show([0, 1], np.arange(2), [np.eye(2)], [np.arange(2)])
    seen.check()
    # Another worker, with other labels.
    other = SeenImages("dataset")
    other.show([0, 1], np.arange(2), [np.eye(2)], [np.arange(2)[::-1]])
    with pytest.raises(ValueError, match="that the chief has.* other labels"):
        opened(tmp_path, count=2, index=1).keep_images("regions", other)
    first.unlink()
    with pytest.raises(ValueError, match=r"\.npy \(missing\)"):
        opened(tmp_path).seen_images("regions", SeenImages("dataset"))
