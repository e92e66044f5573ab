"""One `fit` in rounds: what Keras calls, handed to those whose turn it is."""

import keras

from keras_xmap._checks import check_instance
from keras_xmap._checks import check_positive_integer
from keras_xmap._warnings import warn_user
from keras_xmap.callbacks.chief_backup import ChiefBackup


class RoundsInFit(keras.callbacks.Callback):
    """A callback that cuts one `fit` into rounds.

    Callbacks of a round are begun, counted from epoch 0 and ended with it. If
    one of them stops training, it ends the round alone.

    Args:
        rounds: `ErasingRounds`, opened by the subclass before training.
        epochs_per_round: Integer >= 1.
        callbacks: List of callbacks that live for a round.
    """

    def __init__(self, rounds, epochs_per_round, callbacks):
        super().__init__()
        self.epochs_per_round = check_positive_integer(
            "epochs_per_round", epochs_per_round
        )
        check_instance("callbacks", callbacks, (list, tuple), "a list")
        for callback in callbacks:
            kind = keras.callbacks.Callback
            check_instance("callbacks", callback, kind, "a list of callbacks")
        _check_live_for_a_round(callbacks)
        self.callbacks = list(callbacks)
        self._rounds = rounds
        self._has_begun = False
        self._inner = None  # the callbacks of this round, while it trains
        self._epoch = self._fit_epoch = 0  # in this round, and in `fit`

    def set_model(self, model):
        super().set_model(model)
        self._has_begun = False
        self._rounds.meet(model)

    def on_train_begin(self, logs=None):
        if self._has_begun:
            raise ValueError(
                "`callbacks` of `fit` must hold this callback once. Received: "
                f"callbacks=[..., {self!r}, ...] twice."
            )
        self._has_begun = True
        self._inner, self._epoch = None, 0

    def _open(self, explainer, max_rounds, stop):
        self._rounds.open(
            self.model,
            self.params.get("steps"),
            explainer,
            max_rounds,
            stop,
            self.epochs_per_round,
            self.callbacks,
        )
        self._stop_if_finished()

    def on_epoch_begin(self, epoch, logs=None):
        if self._inner is None and self._rounds.state.finished is None:
            self._enter_round(epoch)
        if self._inner is not None:
            # Whether a callback of the round has ended it, and whether
            # anybody has ended this epoch before its data did.
            self._round_is_over = self._is_cut_short = False
            self._fit_epoch = epoch
            self._rounds.begin_epoch(self._epoch)
            self._inner.on_epoch_begin(self._epoch)

    def on_epoch_end(self, epoch, logs=None):
        if self._inner is None:
            return
        self._rounds.end_epoch(self._is_cut_short, epoch + 1)
        others_stop = self.model.stop_training and not self._round_is_over
        self.model.stop_training = False
        self._inner.on_epoch_end(self._epoch, logs)
        stopped = self.model.stop_training or self._round_is_over
        self.model.stop_training = others_stop
        if self.callbacks:
            self._rounds.note_weights(epoch + 1)
        self._epoch += 1
        if stopped or self._epoch == self.epochs_per_round:
            self._leave_round(logs)
            self._rounds.end_round(self._epoch, logs, epoch + 1)
            self._stop_if_finished()

    def on_train_end(self, logs=None):
        if self._inner is not None:
            self._leave_round(logs)
        state = self._rounds.state
        if state.finished is None:
            warn_user(
                f"Training ended in round {state.round_id} of erasing, after "
                f"{self._epoch} of {self.epochs_per_round} epochs: its "
                "regions were not mined. Callbacks that stop a round belong "
                "in `callbacks` of AdversarialErasing. With a `directory`, "
                "the same `fit` goes on with this round."
            )

    def on_train_batch_begin(self, batch, logs=None):
        if self._inner is not None:
            self._inner.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if self._inner is not None:
            self._rounds.check_batch()
            # Before another callback can make a backup of the epoch.
            if batch + 1 == self.params.get("steps"):
                self._rounds.note_weights(self._fit_epoch + 1)
            before = self.model.stop_training
            self._inner.on_train_batch_end(batch, logs)
            self._is_cut_short = self.model.stop_training
            self._round_is_over |= self._is_cut_short and not before

    def on_test_begin(self, logs=None):
        if self._inner is not None:
            self._inner.on_test_begin(logs)

    def on_test_end(self, logs=None):
        if self._inner is not None:
            self._inner.on_test_end(logs)

    def on_test_batch_begin(self, batch, logs=None):
        if self._inner is not None:
            self._inner.on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch, logs=None):
        if self._inner is not None:
            self._inner.on_test_batch_end(batch, logs)

    def _enter_round(self, epoch):
        self._epoch = self._rounds.enter(epoch, self.epochs_per_round)
        self._stop_if_finished()
        if self._rounds.state.finished is None:
            self._inner = keras.callbacks.CallbackList(
                self.callbacks,
                model=self.model,
                **{**self.params, "epochs": self.epochs_per_round},
            )
            self._inner.on_train_begin()

    def _leave_round(self, logs):
        self._inner.on_train_end(logs)
        self._inner = None

    def _stop_if_finished(self):
        if self._rounds.state.finished is not None:
            self.model.stop_training = True


def _check_live_for_a_round(callbacks):
    """Raises if callbacks of a round are given twice, or live for all of it."""
    outer = (RoundsInFit, ChiefBackup, keras.callbacks.BackupAndRestore)
    for i, callback in enumerate(callbacks):
        if isinstance(callback, outer):
            raise ValueError(
                "`callbacks` must live for a round. Received: callbacks="
                f"[..., {type(callback).__name__}, ...]. Give it to `fit`."
            )
        if any(callback is other for other in callbacks[:i]):
            raise ValueError(
                "`callbacks` must be different objects. Received: callbacks="
                f"[..., {type(callback).__name__}, ...] twice."
            )
