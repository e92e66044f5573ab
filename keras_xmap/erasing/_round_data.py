"""The images of a run, as the round that trains sees them."""

from keras_xmap._description import describe
from keras_xmap.datasets import channel_statistics
from keras_xmap.erasing._mined_images import MinedImages
from keras_xmap.erasing._passes import Passes
from keras_xmap.erasing._passes import mining_pass
from keras_xmap.erasing._passes import numbered
from keras_xmap.erasing._passes import shown
from keras_xmap.erasing._passes import training_passes
from keras_xmap.erasing._passes import whole_batches
from keras_xmap.erasing._passes import with_ids
from keras_xmap.erasing._restart import random_states
from keras_xmap.erasing._restart import set_random_states
from keras_xmap.erasing.erased import erased
from keras_xmap.layers import EraseRegions

_MOST_IN_SAMPLE = 256


class RoundData:
    """The datasets of a run, whose images lack what earlier rounds found.

    They are made before `fit`, and serve all rounds.

    Args:
        dataset: As `callbacks.AdversarialErasing` takes it.
        fill: The same.
        seed: Integer, of the order of images and of a random filling.
        state: `RunState`, that knows the round.
        check_labels: As of `MinedImages`.
        has_masks: As of `MinedImages`. Defaults to `False`.

    Attributes:
        trained: `MinedImages`, those that are trained on.
        held_out: `MinedImages` to validate on, or `None`.
        passes: `Passes` over those that are trained on.
    """

    def __init__(
        self, dataset, fill, seed, state, check_labels, has_masks=False
    ):
        of_dataset = isinstance(fill, str) and fill in ("mean", "noise")
        if not isinstance(fill, EraseRegions) and not of_dataset:
            EraseRegions(fill)  # that it can be made
        self.trained = MinedImages(dataset, "regions", check_labels, has_masks)
        self.held_out = None
        self.passes = Passes(seed)
        self._fill = fill
        self._seed = seed
        self._state = state
        self._check_labels = check_labels
        self._has_masks = has_masks
        self._erase = None
        # What `fit` was given, and what the pass that it is in is of.
        self._arguments = self._arguments_in_use = {"batch_size": 32}

    @property
    def sets(self):
        """List of all `MinedImages` of the run."""
        held_out = [] if self.held_out is None else [self.held_out]
        return [self.trained, *held_out]

    def open(self, workers):
        """Opens the stores, as of the beginning of the round that trains."""
        self.passes.leave()
        for images in self.sets:
            images.open(self._state, workers)

    def files(self):
        """Returns the checksums of all files of regions, by their path."""
        found = [images.files() for images in self.sets]
        return {path: value for part in found for path, value in part.items()}

    def description(self):
        """Returns what of the data must stay the same for a run to go on."""
        held_out = self.held_out
        return {
            "dataset": self.trained.description(),
            "validation_data": held_out and held_out.description(),
            "training_data": self._arguments,
            "fill": describe(self._layer()),
        }

    def check_steps(self, steps):
        """Raises if an epoch of so many steps is not a pass; `None` may be."""
        number = int(self.trained.dataset.cardinality())
        size = self._arguments["batch_size"]
        if not self._arguments.get("drop_remainder"):
            number += size - 1
        if steps is not None and number >= 0 and steps != number // size:
            raise ValueError(
                "Every epoch must be one pass over `training_data`. Received: "
                f"{steps} steps an epoch, where a pass has {number // size}. "
                "Give `fit` the dataset that `training_data` returned last, "
                "as it is, without `steps_per_epoch`."
            )

    def check_batch(self):
        """Raises if a batch was wrong, or of an earlier epoch."""
        self.passes.check_batch()
        for images in self.sets:
            images.check()
        if self._arguments_in_use != self._arguments:
            raise ValueError(
                "`fit` must be given the dataset that `training_data` returned "
                f"last. Received: that of {self._arguments_in_use}, and "
                f"{self._arguments} in the last call. Call it once."
            )

    def end_epoch(self):
        """Keeps what the images look like, after a first look at them all."""
        for images in self.sets:
            images.check()
            if images.seen.is_watching:
                self.keep(images)

    def keep(self, images):
        """Keeps what the images of a set look like; all workers wait here."""
        images.keep(self._state)

    def training_data(self, batch_size, shuffle_buffer, drop_remainder):
        """Returns the dataset that `fit` trains on, in all rounds."""
        arguments = {
            "batch_size": batch_size,
            "shuffle_buffer": shuffle_buffer,
            "drop_remainder": drop_remainder,
        }
        self._arguments = arguments

        def begin():
            self._arguments_in_use = arguments
            return self.passes.begin()

        batches = training_passes(
            numbered(self.trained.dataset),
            begin,
            self.passes.note,
            batch_size,
            shuffle_buffer,
            drop_remainder,
        )
        return self._erased(self.trained, batches)

    def validation_data(self, dataset, batch_size):
        """Returns held-out images without what is mined from them."""
        if self.held_out is not None:
            raise ValueError(
                "There can be one set of images to validate on. Received: a "
                "second one. Join them with `Dataset.concatenate`, each image "
                "with an id of its own."
            )
        self.held_out = MinedImages(
            dataset, "held_out", self._check_labels, self._has_masks
        )
        batches = whole_batches(numbered(dataset), batch_size)
        return self._erased(self.held_out, batches)

    def sample(self, round_id):
        """Returns some images to train on, as a round has them.

        Taken from everywhere in the dataset, which may be sorted by class.

        Args:
            round_id: Integer: they lack the regions of the rounds before.

        Returns:
            `tf.data.Dataset` of `(inputs, labels, ids)`.
        """
        images, size = self.trained, self._arguments["batch_size"]
        number = max(int(images.dataset.cardinality()), 0)
        step = max(number // _MOST_IN_SAMPLE, 1)
        self._draw_anew("sample")
        batches = mining_pass(numbered(images.dataset), size, step, 0)
        return self._erased(
            images,
            batches.take(-(-_MOST_IN_SAMPLE // size)),
            with_ids,
            round_id,
        )

    def mining_data(self, images, workers):
        """Returns one worker's part of a set, `(inputs, labels, ids)`."""
        self._draw_anew("mining")
        images.seen.is_watching = True
        batches = mining_pass(
            numbered(images.dataset),
            self._arguments["batch_size"],
            workers.count,
            workers.index,
        )
        return self._erased(images, batches, with_ids)

    def begin_epoch(self, epoch):
        """Opens a pass over the images, `epoch` counted in the round."""
        self.passes.open_epoch(self._state.round_id, epoch)
        self._draw_anew(epoch)

    def _erased(self, images, batches, then=lambda x: x, round_id=None):
        return erased(
            then(shown(batches, images.show)),
            lambda ids, size: images.before(
                ids, size, round_id or self._state.round_id
            ),
            self._layer(),
            images.input_name,
        ).prefetch(2)

    def _layer(self):
        """Returns the layer that erases; made when it is first asked for."""
        if self._erase is None:
            self._erase = self._make_layer()
        return self._erase

    def _make_layer(self):
        if isinstance(self._fill, EraseRegions):
            return self._fill
        mean = stddev = None
        if self._fill in ("mean", "noise"):
            mean, stddev = channel_statistics(
                self.trained.dataset.batch(32), self.trained.input_name
            )
        return EraseRegions(
            self._fill,
            mean=mean,
            stddev=stddev,
            seed=self._seed,
            dtype="float32",
        )

    def _draw_anew(self, part):
        """Sets the state of a random filling for an epoch, or for mining."""
        key = f"{self._seed} {self._state.round_id} {part} filling"
        set_random_states(random_states(self._layer()), key)
