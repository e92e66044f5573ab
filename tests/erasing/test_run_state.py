"""What is written of a run, and what is read when it goes on."""

import json
import os

import numpy as np
import pytest

from keras_xmap.erasing._run_state import RunState

pytestmark = pytest.mark.tensorflow


class Workers:
    def __init__(self, count=1, index=0):
        self.count, self.index, self.is_chief = count, index, index == 0
        self.num_waits = 0

    def wait(self):
        self.num_waits += 1


def opened(directory, settings=None, **kwargs):
    state = RunState(None if directory is None else str(directory))
    state.open(settings or {"seed": 0}, Workers(**kwargs))
    return state


def values_of(state):
    names = ("round_id", "began", "trained", "records", "finished")
    return [getattr(state, name) for name in names]


def play(state):
    """Yields after every step of a run of two rounds."""
    yield
    state.end_training(2, {"loss": np.float32(0.5)})
    yield
    state.end_round({"round": 1}, 2)
    yield
    state.begin_round(3)  # another callback has put it off
    yield
    state.finish("Round 2 failed", {"round": 2})
    yield


def test_a_run_goes_on_from_every_step(tmp_path):
    state = opened(tmp_path)
    expected = [
        [1, 0, None, [], None],
        [1, 0, {"num_epochs": 2, "logs": {"loss": 0.5}}, [], None],
        [2, 2, None, [{"round": 1}], None],
        [2, 3, None, [{"round": 1}], None],
        [2, 3, None, [{"round": 1}, {"round": 2}], "Round 2 failed"],
    ]
    for values, _ in zip(expected, play(state), strict=True):
        assert values_of(state) == values
        assert values_of(opened(tmp_path)) == values
    content = json.loads((tmp_path / "state.json").read_text())
    assert content["settings"] == {"seed": 0}
    assert content["round"] == 2 and content["finished"] == "Round 2 failed"
    # Opened for another run in memory, it begins anew.
    memory = opened(None)
    assert all(True for _ in play(memory)) and memory.finished
    memory.open({"seed": 0}, Workers())
    assert values_of(memory) == expected[0]


def test_the_chief_alone_writes_once_all_have_mined(tmp_path):
    other = opened(tmp_path, count=2, index=1)
    for _ in play(other):
        assert os.listdir(tmp_path) == []
    assert other._workers.num_waits == 1
    with pytest.raises(ValueError, match="Received: directory=None"):
        opened(None, count=2)


def test_other_settings_are_refused(tmp_path):
    opened(tmp_path).finish("max_rounds=3 is reached.")
    with pytest.raises(ValueError, match="Received: .*'seed': 0.*'seed': 1"):
        opened(tmp_path, {"seed": 1})


def test_a_run_starts_from_what_its_first_process_began_with(tmp_path):
    first = [np.arange(3.0), np.array(2, "int32")]
    other = [np.zeros(3), np.array(7, "int32")]
    for _ in range(2):
        found = opened(tmp_path).start_values(first)
        for one, array in zip(first, found, strict=True):
            assert (one == array).all() and one.dtype == array.dtype
        first, other = other, first
        found = opened(tmp_path).start_values(first)
        assert (found[0] == np.arange(3.0)).all() and found[1] == 2
        first, other = other, first
    assert opened(None).start_values(other) is other
