"""The rounds of adversarial erasing, around whatever trains."""

import time

import keras
import numpy as np

from keras_xmap._description import describe
from keras_xmap._description import describe_callbacks
from keras_xmap._description import describe_model
from keras_xmap._description import describe_training
from keras_xmap._description import layer_names
from keras_xmap._warnings import warn_user
from keras_xmap.distribution import Workers
from keras_xmap.erasing._inference import answers_in_inference
from keras_xmap.erasing._inference import auc_of
from keras_xmap.erasing._inference import has_moving_statistics
from keras_xmap.erasing._inference import judge
from keras_xmap.erasing._inference import loss_of
from keras_xmap.erasing._mining import Mining
from keras_xmap.erasing._restart import Restart
from keras_xmap.erasing._restart import check_reset
from keras_xmap.erasing._restart import have_weights_in_common
from keras_xmap.erasing._round_data import RoundData
from keras_xmap.erasing._run_state import RunState
from keras_xmap.erasing._together import raise_together


def check_explainer(explainer, model):
    """Returns what `explainer` of the callback has returned for a model."""
    if not callable(getattr(explainer, "explain_batches", None)):
        raise TypeError(
            "`explainer` must return an explainer. Received: "
            f"{explainer!r}. For example `lambda model: "
            'keras_xmap.explainers.GradCAM(model, "name_of_a_layer")`.'
        )
    explained = getattr(explainer, "model", None)
    if isinstance(explained, keras.Model) and not (
        have_weights_in_common(explained, model)
    ):
        raise ValueError(
            "`explainer` must explain the model that trains. Received: "
            f"{explainer!r}, of a model that has no weight of {model.name!r}. "
            "Make it of the model that the function is called with, as "
            "`GradCAM` and `lambda model: GradCAM(model)` do."
        )
    return explainer


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
        self,
        dataset,
        threshold,
        targets,
        fill,
        reset,
        directory,
        seed,
        mask_threshold=None,
    ):
        self.state = RunState(directory)
        self._mining = Mining(threshold, targets, mask_threshold)
        check_labels = self._mining.check_labels
        self.data = RoundData(
            dataset,
            fill,
            seed,
            self.state,
            check_labels,
            has_masks=mask_threshold is not None,
        )
        self._how = check_reset(reset)
        self._seed = seed
        self._arguments = {
            "threshold": threshold,
            "mask_threshold": mask_threshold,
            "targets": targets,
            "reset": reset,
            "seed": seed,
        }

    def meet(self, model):
        """Looks at a model before another callback has changed it."""
        self._training = describe_training(model)

    def open(
        self,
        model,
        steps,
        make_explainer,
        max_rounds,
        stop,
        epochs_per_round,
        callbacks,
    ):
        """Starts a run, or goes on with the one in the directory.

        Args:
            model: Compiled and built `keras.Model`.
            steps: Integer, batches in an epoch, or `None` if not known.
            make_explainer: Function that takes the model.
            max_rounds: Integer >= 1.
            stop: Function of the records that says why to stop, or `None`.
            epochs_per_round: Integer >= 1.
            callbacks: List of callbacks that live for a round.
        """
        self._max_rounds, self._stop, self._steps = max_rounds, stop, steps
        self._model = model
        self.data.check_steps(steps)
        self._workers = Workers(model.distribute_strategy)
        for images in self.data.sets:
            self._mining.check_spec(images.labels_spec)
        self._restart = Restart(model, self._how, self._seed)
        self._explainer = check_explainer(make_explainer(model), model)
        self._mining.meet(self._explainer)
        if max_rounds > 1:
            raise_together(self._workers, self._restart.check)
        names = layer_names(model)
        run = {
            **describe(self._arguments),
            "epochs_per_round": epochs_per_round,
            "callbacks": describe_callbacks(callbacks),
            "explainer": describe(
                {"made_by": make_explainer, "is": self._explainer}, names
            ),
            "model": describe_model(model),
            **self._training,
            **self.data.description(),
        }
        raise_together(
            self._workers, lambda: self.state.open(run, self._workers)
        )
        self.data.open(self._workers)
        self._restart.keep(self.state.start_values(self._restart.values()))
        self._judge_again()
        if self.state.finished is None:
            raise_together(self._workers, self._try_mining)

    def enter(self, epoch, epochs_per_round):
        """Begins a round, or goes on with one that was broken off.

        Args:
            epoch: Integer, an epoch of `fit`.
            epochs_per_round: Integer, the most that a round takes.

        Returns:
            Integer, the epoch of the round.
        """
        state = self.state
        # Where another callback has restored weights, epochs are done.
        done = epoch - (state.began or 0)
        if done > 0:
            self._check_restored(epoch)
        trained = state.trained
        # A backup may be older than the end of the round's training.
        if trained is not None and done >= trained["num_epochs"]:
            if trained["weights"] == self._restart.checksum():
                self._end_round(done, trained["logs"], epoch)
            done = 0
        elif done >= epochs_per_round:  # with what result is not known
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
        """Raises if what was trained on is wrong, or of an earlier epoch."""
        self.data.check_batch()

    def end_epoch(self, cut_short, next_epoch):
        """Raises if the epoch was not one pass, unless it was cut short."""
        if cut_short:
            self.data.passes.leave()
        else:
            self.data.passes.close_epoch()
        self.data.end_epoch()
        self.note_weights(next_epoch)

    def note_weights(self, next_epoch):
        """Notes what a backup would hold, made between two epochs."""
        if self.state.directory is not None:
            self.state.end_epoch(next_epoch, self._restart.checksum())

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
        state.end_training(num_epochs, logs, self._restart.checksum())
        record = {
            "round": state.round_id,
            "num_epochs": num_epochs,
            "logs": logs,
        }
        if state.round_id == 1:
            self._warn_of_guesses(logs)
        whole = self._answers(state.round_id)
        self._warn_of_inference(logs, whole)
        reason = self._reason([*state.records, record])
        if reason:
            state.finish(f"Round {state.round_id} failed: {reason}.", record)
            return
        started = time.perf_counter()
        self._restart.align_replicas()
        mined = self._mining.mine(
            self.data, state.round_id, self._explainer, self._workers
        )
        record.update(mined, mining_seconds=time.perf_counter() - started)
        if state.round_id == 1:
            record.update(self._of_first_round(whole))
        state.end_round(record, next_epoch, self.data.files())
        self._judge_last()

    def _of_first_round(self, whole):
        """Returns what only the first round is asked, and the others need."""
        prior, model = self.data.trained.prior, self._model
        found = {"loss": prior.loss(model), "accuracy": prior.accuracy(model)}
        known = {k: np.nan if v is None else v for k, v in found.items()}
        agreed = self._agreed(known)
        answers = {"whole_auc": whole, "erased_auc": self._answers(2)}
        areas = {
            name: auc_of(x, self._mining.present)
            for name, x in answers.items()
            if x is not None
        }
        return {
            "guess": {k: v for k, v in agreed.items() if np.isfinite(v)},
            **{k: v for k, v in areas.items() if v is not None},
        }

    def _try_mining(self):
        self._mining.try_on(self.data, self._explainer, self._workers)

    def _answers(self, round_id):
        """Returns `answers_in_inference` on some images as a round has them.

        `None` where nobody asks for them, and for several workers, which
        would have to wait for each other.
        """
        is_asked = self.state.round_id == 1 or has_moving_statistics(
            self._model
        )
        if not is_asked or self._workers.count > 1:
            return None
        return answers_in_inference(self._model, self.data.sample(round_id))

    def _warn_of_guesses(self, logs):
        """Warns if the first round, which is the measure, has not learned."""
        told = self.data.trained.prior.judge(self._model, logs)
        if told and self._workers.is_chief:
            warn_user(told)

    def _warn_of_inference(self, logs, answers):
        """Warns if the network knows its images in training alone."""
        if answers is None or not has_moving_statistics(self._model):
            return
        told = judge(
            self.state.round_id,
            logs.get("loss"),
            loss_of(answers, self._model),
            self.data.trained.prior.loss(self._model),
        )
        if told:
            warn_user(told)

    def _judge_last(self):
        """Finishes if no round is to follow those that are mined."""
        state = self.state
        reason = self._reason(state.records)
        last = state.round_id - 1
        if reason:
            state.finish(f"Round {last} is the last: {reason}.")
        elif last >= self._max_rounds:
            state.finish(f"max_rounds={self._max_rounds} is reached.")

    def _judge_again(self):
        """Takes up a run where it would stand if it had begun with `stop`.

        That, and `max_rounds`, may be others than they were.
        """
        state = self.state
        records, state.finished = list(state.records), None
        for i, record in enumerate(records):
            keys = ("round", "num_epochs", "logs")
            trained = {key: record[key] for key in keys}
            reason = self._reason([*records[:i], trained])
            if "new_share" not in record:  # or else it is trained again
                state.records.pop()
                if reason:
                    state.finish(f"Round {i + 1} failed: {reason}.", record)
                return
            is_last = i + 1 == len(records)
            if reason or i >= self._max_rounds:
                self._refuse_more(i, reason)
            reason = None if is_last else self._reason(records[: i + 1])
            if reason:
                self._refuse_more(i + 1, reason)
        if records:
            self._judge_last()

    def _refuse_more(self, num_rounds, reason):
        raise ValueError(
            "A run can go on with a `stop` and `max_rounds` that allow the "
            "rounds that it has. Received: a run in directory="
            f"{self.state.directory!r} of more than the {num_rounds} rounds "
            f"to which {reason or f'max_rounds={self._max_rounds}'} leads. "
            "Call `fit` with what it had, or give an empty `directory`."
        )

    def _reason(self, records):
        reason = self._stop(records)
        if isinstance(reason, (bool, np.bool_)):
            reason = "`stop` is true" if reason else None
        if not (reason is None or isinstance(reason, str)):
            raise TypeError(
                "`stop` must return a text that says why to stop, or None. "
                f"Received: {reason!r}."
            )
        return reason

    def _check_restored(self, epoch):
        """Raises unless the weights are those that this epoch begins with."""
        state = self.state
        known = state.weights.get(str(epoch), [])
        if self.state.began is not None and (
            self._restart.checksum() in known
            # Where nobody could tell which batch was the last, a backup may
            # have been made before they were noted.
            or (self._steps is None and not known and self._is_next(epoch))
        ):
            return
        received = f"a `fit` that begins with epoch {epoch}"
        if state.directory is None:
            received += ", and directory=None"
        elif state.began is None:
            received += f", and no run in directory={state.directory!r}"
        else:
            received += ", and weights that this run did not have then"
        raise ValueError(
            "A run goes on with a later epoch only if a backup has restored "
            f"its weights, of this run and `directory`. Received: {received}. "
            "Delete the backup, or leave `initial_epoch` out: the round "
            "is then trained from its start."
        )

    def _is_next(self, epoch):
        last = max(map(int, self.state.weights), default=self.state.began)
        return epoch == last + 1 and self._restart.has_trained()

    def _agreed(self, logs):
        """Returns logs that are the same on all workers, whose acts hang on."""
        names = sorted(logs or {})
        sums = self._workers.sum([float(logs[name]) for name in names])
        count = self._workers.count
        return {n: x / count for n, x in zip(names, sums, strict=True)}
