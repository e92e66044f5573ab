"""The rounds of adversarial erasing, around whatever trains."""

import time

from keras_xmap.distribution import Workers
from keras_xmap.erasing._mining import Mining
from keras_xmap.erasing._restart import Restart
from keras_xmap.erasing._restart import check_reset
from keras_xmap.erasing._round_data import RoundData
from keras_xmap.erasing._run_state import RunState


class ErasingRounds:
    """Puts state, data, restart and mining of a run in their order.

    Round `t` trains on images without the regions of the rounds before; at
    its end it mines its own. `callbacks.AdversarialErasing` says when an
    epoch begins and ends, and has the description of the arguments.

    Attributes:
        state: `RunState`, which round it is and what has been done.
        data: `RoundData`, the datasets and what was mined from them.
    """

    def __init__(
        self, dataset, threshold, targets, fill, reset, directory, seed
    ):
        self.state = RunState(directory)
        self.data = RoundData(dataset, fill, seed, self.state)
        self._mining = Mining(threshold, targets)
        self._how = check_reset(reset)
        self._settings = {"threshold": threshold, "seed": seed}

    def open(self, model, max_rounds, make_explainer, stop):
        """Starts a run, or goes on with the one in the directory.

        Args:
            model: Compiled and built `keras.Model`.
            max_rounds: Integer >= 1.
            make_explainer: Function that takes the model.
            stop: Function of the records that says why to stop, or `None`.
        """
        self._max_rounds, self._stop = max_rounds, stop
        self._workers = Workers(model.distribute_strategy)
        settings = {**self._settings, **self.data.settings()}
        self.state.open(settings, self._workers)
        self.data.open(self._workers)
        self._restart = Restart(model, self._how, self._settings["seed"])
        self._restart.keep(self.state.start_values(self._restart.values()))
        self._explainer = make_explainer(model)
        self._judge_last()

    def enter(self, epoch, epochs_per_round):
        """Begins a round, or goes on with one that was broken off.

        Args:
            epoch: Integer, an epoch of `fit`.
            epochs_per_round: Integer, the most that a round takes.

        Returns:
            Integer, the epoch of the round.
        """
        state = self.state
        if state.directory is None and epoch > 0 and not state.records:
            raise ValueError(
                "To go on with an earlier run, its regions must be known. "
                f"Received: directory=None, and a fit from epoch {epoch}."
            )
        # Where another callback has restored weights, epochs are done.
        done = epoch - state.began
        trained = state.trained or {"num_epochs": epochs_per_round, "logs": {}}
        # A backup may be older than the end of the round's training.
        if 0 < trained["num_epochs"] <= done:
            self._end_round(done, trained["logs"], epoch)
            done = 0
        if state.finished is None and done <= 0:
            done = 0
            state.begin_round(epoch)
            self._restart.begin(state.round_id)
        return done

    def begin_epoch(self, epoch):
        """Opens an epoch, counted in the round."""
        self.data.begin_epoch(epoch)
        self._restart.begin_epoch(self.state.round_id, epoch)

    def check_batch(self):
        """Raises if what was trained on is of an earlier epoch."""
        self.data.passes.check_batch()

    def end_epoch(self, cut_short):
        """Raises if the epoch was not one pass, unless it was cut short."""
        if cut_short:
            self.data.passes.leave()
        else:
            self.data.passes.close_epoch()

    def end_round(self, num_epochs, logs, next_epoch):
        """Judges a round that has trained, and mines it if it has learned.

        Args:
            num_epochs: Integer, how many epochs it took.
            logs: Dictionary, those of its last epoch.
            next_epoch: Integer, the epoch of `fit` that follows.
        """
        self._end_round(num_epochs, self._agreed(logs), next_epoch)

    def _end_round(self, num_epochs, logs, next_epoch):
        state = self.state
        state.end_training(num_epochs, logs)
        record = {
            "round": state.round_id,
            "num_epochs": num_epochs,
            "logs": logs,
        }
        reason = self._stop([*state.records, record])
        if reason:
            state.finish(f"Round {state.round_id} failed: {reason}.", record)
            return
        started = time.perf_counter()
        self._restart.align_replicas()
        mined = self._mining.mine(
            self.data, state.round_id, self._explainer, self._workers
        )
        record.update(mined, mining_seconds=time.perf_counter() - started)
        state.end_round(record, next_epoch)
        self._judge_last()

    def _judge_last(self):
        """Finishes if no round is to follow those that are mined."""
        state = self.state
        if not state.records or state.finished is not None:
            return
        reason = self._stop(state.records)
        if reason:
            last = state.round_id - 1
            state.finish(f"Round {last} is the last: {reason}.")
        elif state.round_id > self._max_rounds:
            state.finish(f"max_rounds={self._max_rounds} is reached.")

    def _agreed(self, logs):
        """Returns logs that are the same on all workers, whose acts hang on."""
        names = sorted(logs or {})
        sums = self._workers.sum([float(logs[name]) for name in names])
        count = self._workers.count
        return {n: x / count for n, x in zip(names, sums, strict=True)}
