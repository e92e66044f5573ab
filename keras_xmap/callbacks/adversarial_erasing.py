import time

import keras

from keras_xmap import distribution
from keras_xmap import explainers
from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._warnings import warn_user
from keras_xmap.callbacks.stop_rule import StopRule
from keras_xmap.erasing._restart import Restart
from keras_xmap.erasing._restart import check_reset
from keras_xmap.erasing._rounds import ErasingRounds
from keras_xmap.layers import EraseRegions


class AdversarialErasing(keras.callbacks.Callback):
    """Finds whole objects with a classifier, by erasing what it has found.

    A classifier looks at the part of an object that tells it best from other
    classes, and its map shows that part only. Take it away, and a new
    classifier has to find another. Within one `fit`, round after round:

    1. a network is trained on the images without the regions so far;
    2. its map of each class in an image's label is computed for every
       training image; where it exceeds `threshold` times its maximum, it is
       added to the regions of that class in that image;
    3. the union of the regions of an image, over its classes, is erased from
       it; weights, random states and optimizer go back to a start.

    It ends when a round does not learn any more, whose regions are not
    taken; when a round finds next to nothing; or after `max_rounds`.

    Train on `training_data`, which looks regions up as batches are made, for
    `num_epochs`:

    ```python
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).enumerate()
    erasing = keras_xmap.callbacks.AdversarialErasing(
        dataset, epochs_per_round=10, directory="erasing")
    model.fit(
        erasing.training_data(batch_size=32),
        epochs=erasing.num_epochs,
        validation_data=(test_images, test_labels),
        callbacks=[erasing],
    )
    mask = erasing.store.region(7, class_id=3)
    ```

    **Other callbacks.** Those given to `fit` see one training of
    `num_epochs`: right for `TensorBoard`, `CSVLogger` and `BackupAndRestore`;
    one that stops training ends it in the middle of a round. Those given as
    `callbacks` live for a round: begun, counted from epoch 0 and ended with
    it. There `EarlyStopping` ends the round, and the regions come from the
    weights it restores; `ReduceLROnPlateau` and `LearningRateScheduler`
    begin anew with the learning rate. Nothing is traced a second time.

    **When it is killed.** With a `directory`, call the same `fit` again: it
    goes on with the round it was in, from that round's start, and ends with
    the regions it would have had, as far as the device computes the same
    twice. `epochs` stays `num_epochs`. With `BackupAndRestore` in `fit`, it
    goes on with the epoch. A run that had ended returns after one step.

    **Several replicas and workers.** Build the model in the scope of the
    strategy and hand it to `distribution.distribution_safe`. Workers share
    `directory`, and each mines its part of the images.

    Args:
        dataset: Finite `tf.data.Dataset` of `(id, (inputs, labels))`, or with
            weights as third: single images of one size, in the same order at
            every pass, as `enumerate` makes them. Ids are integers or text.
        epochs_per_round: Integer >= 1.
        max_rounds: Integer >= 1. Defaults to `3`.
        threshold: Float between 0 and 1, the share of a map's maximum above
            which it is a region. Defaults to `0.2`.
        explainer: Function that takes the model and returns an explainer
            with maps of a class. Defaults to `explainers.GradCAM`, which on
            global average pooling and one linear layer is `CAM`.
        targets: Function that takes labels of a batch as an array and returns
            class numbers `(batch,)`, or a value for each class `(batch,
            classes)`, above 0.5 for those present. Defaults to `None`: the
            labels are one of these.
        fill: What is put in place of regions, see `layers.EraseRegions`; mean
            and deviation are computed, or give a layer with `dtype="float32"`
            that has them. Defaults to `"mean"`.
        reset: What a round starts from. `"new"`: freshly drawn weights in
            place of those that train, so that the networks of all rounds are
            independent; frozen layers keep theirs. `"start"`: the weights
            at the start of `fit`, for pretrained ones. Or a function without
            arguments that returns a new model. Defaults to `"new"`.
        stop: `StopRule`, or a function like it. Defaults to `None`:
            `StopRule()`.
        directory: Folder for regions and the state of the run; or `None` to
            keep them in memory. Defaults to `None`.
        callbacks: List of callbacks that live for a round. Defaults to `()`.
        seed: Integer, for the order of images, new weights and, as every
            epoch begins, the random states of layers. Defaults to `0`.

    Attributes:
        store: `regions.RegionStore`, the regions by image, class and
            round, from 1.
        held_out_store: The same for the images of `validation_data`, or
            `None`.
        rounds: List of dictionaries, one for each round that ended: `"round"`;
            `"num_epochs"`; `"logs"` of the last of them; and for rounds that
            mined `"num_regions"`, the shares of all pixels `"new_share"` and
            `"area_share"`, and `"mining_seconds"`.
        finished: Text, why there are no more rounds; `None` before.
        num_epochs: Integer, the most epochs that all rounds take.

    Raises:
        ValueError: If an argument is out of range; in `fit`, if the data is
            not that of `training_data`, or if `epochs` is less than
            `num_epochs`.

    References:
        - [Wei et al., 2017](https://arxiv.org/abs/1703.08448)

    Example:

    >>> import tensorflow as tf
    >>> images = np.random.uniform(size=(8, 16, 16, 3)).astype("float32")
    >>> dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(8) % 2))
    >>> model = keras.Sequential([keras.Input((16, 16, 3)),
    ...     keras.layers.Conv2D(8, 3, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(2, activation="softmax")])
    >>> model.compile("sgd", "sparse_categorical_crossentropy")
    >>> erasing = keras_xmap.callbacks.AdversarialErasing(
    ...     dataset.enumerate(), epochs_per_round=1, max_rounds=1)
    >>> history = model.fit(erasing.training_data(batch_size=4),
    ...     epochs=erasing.num_epochs, callbacks=[erasing], verbose=0)
    >>> erasing.store.region(7, class_id=1).shape
    (16, 16)
    """

    def __init__(
        self,
        dataset,
        epochs_per_round,
        max_rounds=3,
        threshold=0.2,
        explainer=explainers.GradCAM,
        targets=None,
        fill="mean",
        reset="new",
        stop=None,
        directory=None,
        callbacks=(),
        seed=0,
    ):
        super().__init__()
        self.epochs_per_round = check_positive_integer(
            "epochs_per_round", epochs_per_round
        )
        self.max_rounds = check_positive_integer("max_rounds", max_rounds)
        self.explainer = explainer
        self.reset = check_reset(reset)
        self.stop = StopRule() if stop is None else stop
        self.callbacks = list(callbacks)
        self.seed = check_seed("seed", seed)
        if not isinstance(fill, EraseRegions) and fill not in ("mean", "noise"):
            EraseRegions(fill)
        self._rounds = ErasingRounds(
            dataset,
            targets,
            check_fraction("threshold", threshold),
            fill,
            directory,
            self.seed,
        )
        self._inner, self._epoch = None, 0

    @property
    def store(self):
        return self._rounds.store

    @property
    def held_out_store(self):
        return self._rounds.held_out_store

    @property
    def rounds(self):
        return self._rounds.records

    @property
    def finished(self):
        return self._rounds.finished

    @property
    def num_epochs(self):
        return self.max_rounds * self.epochs_per_round

    def training_data(
        self, batch_size=32, shuffle_buffer=1024, drop_remainder=False
    ):
        """Returns the dataset to train on: images without their regions.

        Every epoch must be one pass over it, begun in that epoch. You may
        `map` behind it, to crop or flip; `cache` and `repeat` are errors.

        Args:
            batch_size: Integer >= 1, images in a batch, of all replicas and
                workers together. Defaults to `32`.
            shuffle_buffer: Integer >= 1, images among which the next is
                drawn. 1 keeps their order. Defaults to `1024`.
            drop_remainder: Boolean, whether a last batch that is not full is
                left out. Replicas weigh the images of such a batch unevenly.
                Defaults to `False`.

        Returns:
            `tf.data.Dataset` of `(inputs, labels)`.
        """
        return self._rounds.training_data(
            check_positive_integer("batch_size", batch_size),
            check_positive_integer("shuffle_buffer", shuffle_buffer),
            drop_remainder,
        ).prefetch(2)

    def validation_data(self, dataset, batch_size=32):
        """Returns held-out images without what is found in them.

        Their regions are mined as well, by their labels and with the network
        of each round, which was not trained on them, into `held_out_store`.

        As `validation_data` of `fit` they tell, beside whole held-out images,
        what a round has learned from. It is the labels that say which maps
        are erased, so that holes may give labels away: where erased images
        are recognised and whole ones are not, the network reads the holes.
        Judge rounds by whole ones, see `StopRule`.

        To be called once, before `fit`.

        Args:
            dataset: Like `dataset` of the callback, of other images.
            batch_size: Integer >= 1. Defaults to `32`.

        Returns:
            `tf.data.Dataset` of `(inputs, labels)`, in the order of
            `dataset`.
        """
        return self._rounds.validation_data(
            dataset, check_positive_integer("batch_size", batch_size)
        ).prefetch(2)

    def on_train_begin(self, logs=None):
        if self.params["epochs"] < self.num_epochs:
            raise ValueError(
                "`epochs` of `fit` must be `num_epochs`, which is max_rounds * "
                f"epochs_per_round = {self.num_epochs}. Received: epochs="
                f"{self.params['epochs']}."
            )
        self._workers = distribution.Workers(self.model.distribute_strategy)
        self._rounds.open(self._workers)
        self._restart = Restart(self.model, self.reset, self.seed)
        self._restart.keep(self._rounds.start_values(self._restart.values()))
        self._explainer = self.explainer(self.model)
        self._inner, self._epoch = None, 0
        self._conclude()

    def on_epoch_begin(self, epoch, logs=None):
        if self._inner is None and self.finished is None:
            self._enter_round(epoch)
        if self._inner is not None:
            self._inner_stop = self._cut_short = False
            self._is_first_batch = True
            self._rounds.begin_epoch(self._epoch)
            self._restart.begin_epoch(self._rounds.round, self._epoch)
            self._inner.on_epoch_begin(self._epoch)

    def on_epoch_end(self, epoch, logs=None):
        if self._inner is None:
            return
        if self._cut_short:
            self._rounds.passes.leave()
        else:
            self._rounds.passes.close_epoch()
        outer_stop = self.model.stop_training and not self._inner_stop
        self.model.stop_training = False
        self._inner.on_epoch_end(self._epoch, logs)
        stopped = self.model.stop_training or self._inner_stop
        self.model.stop_training = outer_stop
        self._epoch += 1
        if stopped or self._epoch == self.epochs_per_round:
            self._inner.on_train_end(logs)
            self._inner = None
            self._end_round(epoch + 1, self._agreed(logs))

    def on_train_end(self, logs=None):
        if self._inner is not None:
            self._inner.on_train_end(logs)
            self._inner = None
        if self.finished is None:
            warn_user(
                f"Training ended in round {self._rounds.round} of erasing, "
                f"after {self._epoch} of {self.epochs_per_round} epochs: its "
                "regions were not mined. Callbacks that stop a round belong "
                "in `callbacks` of AdversarialErasing."
            )

    def on_train_batch_begin(self, batch, logs=None):
        if self._inner is not None:
            self._inner.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if self._inner is not None:
            if self._is_first_batch:
                self._rounds.passes.check_first_batch()
                self._is_first_batch = False
            before = self.model.stop_training
            self._inner.on_train_batch_end(batch, logs)
            self._inner_stop |= self.model.stop_training and not before
            self._cut_short = self.model.stop_training

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
        """Begins a round, or goes on with one that was broken off."""
        rounds = self._rounds
        if rounds.directory is None and epoch > 0 and not rounds.records:
            raise ValueError(
                "To go on with an earlier run, its regions must be known. "
                f"Received: directory=None, and a fit from epoch {epoch}."
            )
        # Where another callback has restored weights, epochs are done.
        self._epoch = epoch - rounds.began
        trained = rounds.trained or {
            "num_epochs": self.epochs_per_round,
            "logs": {},
        }
        # A backup may be older than the end of the round's training.
        if 0 < trained["num_epochs"] <= self._epoch:
            self._end_round(epoch, trained["logs"])
            if self.finished is not None:
                return
            self._epoch = 0
        if self._epoch <= 0:
            self._epoch = 0
            rounds.begin_at(epoch)
            self._restart.begin(rounds.round)
        self._inner = keras.callbacks.CallbackList(
            self.callbacks,
            model=self.model,
            **{**self.params, "epochs": self.epochs_per_round},
        )
        self._inner.on_train_begin()

    def _end_round(self, next_epoch, logs):
        rounds = self._rounds
        rounds.end_training(self._epoch, logs)
        record = {
            "round": rounds.round,
            "num_epochs": self._epoch,
            "logs": logs,
        }
        reason = self.stop([*rounds.records, record])
        if reason:
            rounds.finish(f"Round {rounds.round} failed: {reason}.", record)
            self.model.stop_training = True
            return
        started = time.perf_counter()
        self._restart.align_replicas()
        record.update(rounds.mine(self._explainer))
        record["mining_seconds"] = time.perf_counter() - started
        rounds.end_round(record, next_epoch)
        self._conclude()

    def _conclude(self):
        """Ends training if no round is to follow those that are mined."""
        rounds = self._rounds
        if rounds.records and rounds.finished is None:
            reason = self.stop(rounds.records)
            if reason:
                rounds.finish(
                    f"Round {rounds.round - 1} is the last: {reason}."
                )
            elif rounds.round > self.max_rounds:
                rounds.finish(f"max_rounds={self.max_rounds} is reached.")
        if rounds.finished is not None:
            self.model.stop_training = True

    def _agreed(self, logs):
        """Returns logs that are the same on all workers, whose acts hang on."""
        names = sorted(logs or {})
        sums = self._workers.sum([float(logs[name]) for name in names])
        count = self._workers.count
        return {n: x / count for n, x in zip(names, sums, strict=True)}
