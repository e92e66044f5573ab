from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Literal

import keras

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._checks import check_threshold
from keras_xmap._files import check_path
from keras_xmap._repr import call_repr
from keras_xmap._typing import Number
from keras_xmap._typing import Path
from keras_xmap.callbacks._functions import check_explainer
from keras_xmap.callbacks._functions import check_function
from keras_xmap.callbacks._functions import check_rule
from keras_xmap.callbacks._rounds_in_fit import RoundsInFit
from keras_xmap.callbacks.stop_rule import StopRule
from keras_xmap.erasing import ErasingRounds
from keras_xmap.erasing import advice
from keras_xmap.explainers import GradCAM
from keras_xmap.layers import EraseRegions
from keras_xmap.regions import RegionStore


class AdversarialErasing(RoundsInFit):
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

    That pays where objects hold a second cue that the first network ignores.
    Where they do not, a lower threshold of the first maps finds more of them
    at less cost: `advice` says which it is, after two rounds.

    Train on `training_data`, which looks regions up as batches are made, for
    `num_epochs`; held-out images are `validation_data` of `fit` as ever.

    **Other callbacks.** Those given to `fit` see one training of
    `num_epochs`: right for `TensorBoard`, `CSVLogger` and `BackupAndRestore`;
    one that stops training ends it in the middle of a round. Those given as
    `callbacks` live for a round: `EarlyStopping` ends the round, which mines
    with the weights it restores; schedules of the learning rate begin anew.

    **When it is killed.** With a `directory`, call the same `fit` again: it
    goes on with the round it was in, and ends with the regions it would have
    had, as far as the device computes the same twice; with another model,
    data or arguments it is refused. With `BackupAndRestore` in `fit`, it goes
    on with the epoch.

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
            class numbers `(batch,)` or `(batch, 1)`, such as the 0 and 1 of a
            model with a single unit, or a value for each class `(batch,
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
        stop: `StopRule`, or a function like it, that returns why to stop, or
            `True`, and `None` to go on. Defaults to `None`: `StopRule()`.
        directory: Folder for regions and the state of the run; or `None` to
            keep them in memory. Defaults to `None`.
        callbacks: List of callbacks that live for a round. Defaults to `()`.
        seed: Integer, for the order of images, new weights and, as every
            epoch begins, the random states of layers. Defaults to `0`.
        mask_threshold: Float from 0 to below 1, another share: regions above it
            go to `mask_store`, and are not erased. What erases well is not
            what masks well. Defaults to `None`: there are no others.

    Attributes:
        store: `regions.RegionStore`, the regions by image, class and
            round, from 1.
        mask_store: The same of `mask_threshold`; without one, `store`.
        held_out_store: `store` of the images of `validation_data`, or `None`.
        rounds: List of dictionaries, one for each round that ended: `"round"`;
            `"num_epochs"`; `"logs"` of the last of them; and for rounds that
            mined `"num_regions"`, the shares of all pixels `"new_share"` and
            `"area_share"`, and `"mining_seconds"`. The first one also has
            `"guess"`, the `"loss"` and `"accuracy"` of guessing how frequent
            each class is, for one cross-entropy; and how well its network
            ranks some 256 images to train on by their classes, as the mean
            area under ROC curves: `"whole_auc"`, and `"erased_auc"` without
            its regions; for one output, and one worker.
        finished: Text, why there are no more rounds; `None` before.
        advice: Text that begins with "Erase", "Lower the threshold" or
            "Nothing can be said", and says why; `None` before two rounds.
            Erasing pays if the first network loses more than half of what
            it knows, from an area of 0.5 on, without its regions, while the
            second network learns whole held-out ones, by the metric of
            `stop` if its name begins with "val_", else by `StopRule` of
            `"val_accuracy"` or `"val_loss"`.
        num_epochs: Integer, the most epochs that all rounds take.

    Warns:
        UserWarning: If the first round has a loss that is hardly below that
            of guessing how frequent each class is, where it is a
            cross-entropy. If a network with `BatchNormalization` does not
            know in inference the images that it has learned.

    Raises:
        ValueError: If an argument is out of range; in `fit`, if the data is
            not that of `training_data` or changes from pass to pass, if
            `directory` is of another run, if the first batch cannot be mined,
            if maps are not finite, or for too few `epochs`.
        TypeError: If an argument is of another type.

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
        dataset: Any,
        epochs_per_round: int,
        max_rounds: int = 3,
        threshold: float = 0.2,
        explainer: Callable[[keras.Model], Any] = GradCAM,
        targets: Callable[[Any], Any] | None = None,
        fill: str | Number | Sequence[Number] | EraseRegions = "mean",
        reset: Literal["new", "start"] | Callable[[], keras.Model] = "new",
        stop: Callable[[list[dict[str, Any]]], str | bool | None] | None = None,
        directory: Path | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        seed: int = 0,
        mask_threshold: float | None = None,
    ) -> None:
        self.dataset = dataset
        self.max_rounds = check_positive_integer("max_rounds", max_rounds)
        self.threshold = check_fraction("threshold", threshold)
        self.explainer = check_explainer("explainer", explainer)
        self.targets = check_optional(check_function, "targets", targets, 1)
        self.fill, self.reset = fill, reset
        if callable(reset):
            check_function("reset", reset, 0)
        self.stop = check_rule("stop", StopRule() if stop is None else stop)
        self.directory = check_optional(check_path, "directory", directory)
        self.seed = check_seed("seed", seed)
        self.mask_threshold = check_optional(
            check_threshold, "mask_threshold", mask_threshold
        )
        rounds = ErasingRounds(
            dataset,
            self.threshold,
            self.targets,
            fill,
            reset,
            self.directory,
            self.seed,
            self.mask_threshold,
        )
        super().__init__(rounds, epochs_per_round, callbacks)

    def __repr__(self) -> str:
        return call_repr(self)

    @property
    def store(self) -> RegionStore | None:
        return self._rounds.data.trained.store

    @property
    def mask_store(self) -> RegionStore | None:
        return self._rounds.data.trained.mask_store

    @property
    def held_out_store(self) -> RegionStore | None:
        held_out = self._rounds.data.held_out
        return None if held_out is None else held_out.store

    @property
    def rounds(self) -> list[dict[str, Any]]:
        return self._rounds.state.records

    @property
    def finished(self) -> str | None:
        return self._rounds.state.finished

    @property
    def advice(self) -> str | None:
        are_whole = self._rounds.data.held_out is None
        return advice(self.rounds, are_whole, self._judge)

    @property
    def num_epochs(self) -> int:
        return self.max_rounds * self.epochs_per_round

    def training_data(
        self,
        batch_size: int = 32,
        shuffle_buffer: int = 1024,
        drop_remainder: bool = False,
    ) -> Any:
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
        return self._rounds.data.training_data(
            check_positive_integer("batch_size", batch_size),
            check_positive_integer("shuffle_buffer", shuffle_buffer),
            check_boolean("drop_remainder", drop_remainder),
        )

    def validation_data(self, dataset: Any, batch_size: int = 32) -> Any:
        """Returns held-out images without what is found in them.

        Their regions are mined as well, by their labels and with the network
        of each round, which was not trained on them, into `held_out_store`.
        Labels say which maps are erased, so that holes may give them away:
        judge rounds by whole images, see `StopRule`.

        To be called once, before `fit`.

        Args:
            dataset: Like `dataset` of the callback, of other images.
            batch_size: Integer >= 1. Defaults to `32`.

        Returns:
            `tf.data.Dataset` of `(inputs, labels)`, in the same order.
        """
        batch_size = check_positive_integer("batch_size", batch_size)
        return self._rounds.data.validation_data(dataset, batch_size)

    def _judge(self, records):
        """Judges a round by held-out images, whatever else `stop` may do."""
        stop, logs = self.stop, records[0]["logs"]
        if isinstance(stop, StopRule) and (stop.monitor or "")[:4] == "val_":
            return stop(records)
        names = [x for x in ("val_accuracy", "val_loss") if x in logs]
        return StopRule(names[0])(records) if names else None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.params["epochs"] < self.num_epochs:
            raise ValueError(
                "`epochs` of `fit` must be `num_epochs`, which is max_rounds * "
                f"epochs_per_round = {self.num_epochs}. Received: epochs="
                f"{self.params['epochs']}."
            )
        super().on_train_begin(logs)
        self._open(self.explainer, self.max_rounds, self.stop)
