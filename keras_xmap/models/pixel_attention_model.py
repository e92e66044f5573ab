import functools
from collections.abc import Sequence
from typing import Any
from typing import Literal

import keras
from keras import ops

from keras_xmap._checks import check_boolean
from keras_xmap._checks import check_fraction
from keras_xmap._checks import check_non_negative
from keras_xmap._checks import check_non_negative_integer
from keras_xmap._checks import check_optional
from keras_xmap._saving import registered
from keras_xmap._typing import ArrayLike
from keras_xmap._typing import Number
from keras_xmap._typing import Structure
from keras_xmap._warnings import warn_user
from keras_xmap.layers import MaskNoise
from keras_xmap.losses import AreaRatio
from keras_xmap.models._attention_maps import AttentionMaps
from keras_xmap.models._attention_maps import check_mirrors
from keras_xmap.models._attention_parts import as_images
from keras_xmap.models._attention_parts import attention_and_noise
from keras_xmap.models._attention_training import NeededShare
from keras_xmap.models._attention_training import Untracked
from keras_xmap.models._attention_training import asked_of_codes
from keras_xmap.models._attention_training import harm_by_share
from keras_xmap.models._attention_training import held_out_images
from keras_xmap.models._attention_training import held_out_rows
from keras_xmap.models._attention_training import joined
from keras_xmap.models._attention_training import with_phases
from keras_xmap.models._chosen_noise import ChosenNoise
from keras_xmap.models._chosen_noise import choose_strength
from keras_xmap.models._fresh_optimizer import fresh_copy
from keras_xmap.models._fresh_optimizer import go_on_from
from keras_xmap.models._fresh_optimizer import has_begun
from keras_xmap.models._fresh_optimizer import start_anew
from keras_xmap.ops import relevance

# Where the choice of the ratio starts.
_FIRST_RATIO = 0.9
_PARTS = ("predictor", "attention", "noise")


@registered
class PixelAttention(keras.Model):
    """A regressor that learns which pixels its answers need, in one `fit`.

    It is trained and asked as the predictor is, with the same loss, targets
    and metrics; `predict` and `evaluate` are those of the predictor. What it
    adds is `explain`: a map an image.

    ```python
    model = models.PixelAttention(predictor, warm_up=20)
    model.compile("adam", "mse")
    model.fit(images, targets, epochs=30, validation_split=0.1)
    maps = model.explain(new_images)  # above 0.5: what the answer needs
    ```

    A `fit` goes through the whole method, see `pixel_attention`:

    1. `warm_up` epochs of the predictor alone. One that has learned nothing
       yet is disturbed by noise anywhere, and the map would be of nothing.
    2. With `noise=None`, the strength of the noise is chosen on the images
       held out by `validation_split` or `validation_data`: noise that would
       take most of the answers, since on all pixels it moves them by three
       quarters of their own variance.
    3. Predictor and map together, half of the loss for the image and half
       for the noisy one:
       `(L(F(I), P) + L(F(I'), P)) / 2 + c (mean(R(I)) - area_ratio)^2`
       The optimizer starts anew, as what it keeps is of another loss, but
       for its learning rate, of which a schedule goes on.
    4. With `area_ratio=None`, after each of these epochs, the ratio is chosen
       on the images held out: noise is laid on all but a share of the pixels
       that the map names first, and the smallest share is taken with which a
       tenth is left of the harm that noise does everywhere. The logs have it
       as `val_needed_share`, 1 while no share is enough.
    5. At the end `metrics.collusion` is asked, of up to 256 images held out,
       whether the two models agreed on a code, the predictor learned
       nothing, or the map turned over and protects the background, and warns
       if so; the result is `held_out_collusion`.

    Epochs are counted over all calls of `fit`, and in `.keras` files and
    backups: what was interrupted goes on where it was. The noisy image is
    answered as outside training, so batch normalization keeps the statistics
    of clean ones.

    Args:
        predictor: `keras.Model` from one image to one output, or to several
            in a list or dict. It is trained in place.
        attention: `keras.Model` from the same image to one map in [0, 1], 1
            where noise may go, or `None` for `attention_network`. Defaults to
            `None`.
        area_ratio: Float strictly between 0 and 1, the share of the image
            that takes noise, or `None` to choose it while training. Defaults
            to `None`.
        noise: Float > 0, the standard deviation of the noise in the unit of
            the images, or a `keras_xmap.layers.MaskNoise`, or `None` to
            choose it when the predictor has learned. Defaults to `None`.
        area_weight: Float >= 0, the weight `c`. Defaults to `25.0`.
        warm_up: Integer >= 0, the epochs of the predictor alone; 0 for one
            that is trained. Defaults to `5`.
        **kwargs: Keyword arguments of `keras.Model`, such as `name`.

    Raises:
        TypeError: If a model is not a `keras.Model`, or `noise` neither a
            number nor a `MaskNoise`.
        ValueError: If a number is out of range, the models do not fit
            together, or `fit` is to choose `area_ratio` or `noise` and
            nothing is held out, or the predictor answers the same for all
            that is.
        NotImplementedError: By `fit`, if a schedule of the learning rate has
            no `get_config`.

    References:
        - Li & Shimada, "Discovery of Image Pixels highly Contributing to
          CNN regression".

    Example:

    >>> layers = keras.layers
    >>> predictor = keras.Sequential(
    ...     [keras.Input((32, 32, 1)), layers.Flatten(), layers.Dense(2)]
    ... )
    >>> model = keras_xmap.models.PixelAttention(
    ...     predictor, area_ratio=0.9, noise=0.05, warm_up=1
    ... )
    >>> model.compile("adam", "mse")
    >>> data = keras_xmap.datasets.ellipses(64, seed=0)
    >>> history = model.fit(data.images, data.targets, epochs=2, verbose=0)
    >>> maps = model.explain(data.images, verbose=0)
    >>> maps.shape, float((maps > 0.5).mean().round(2))
    ((64, 32, 32), 0.1)
    """

    def __init__(
        self,
        predictor: keras.Model,
        attention: keras.Model | None = None,
        area_ratio: Number | None = None,
        noise: Number | MaskNoise | None = None,
        area_weight: Number = 25.0,
        warm_up: int = 5,
        **kwargs: Any,
    ) -> None:
        area_ratio = check_optional(check_fraction, "area_ratio", area_ratio)
        super().__init__(**kwargs)
        self.area_ratio = area_ratio
        self.area_weight = check_non_negative("area_weight", area_weight)
        self.warm_up = check_non_negative_integer("warm_up", warm_up)
        start = _FIRST_RATIO if area_ratio is None else area_ratio
        self.predictor = predictor
        self.attention, self.noise = attention_and_noise(
            predictor, attention, start, noise, may_choose=True
        )
        self.held_out_collusion = None
        self._epochs, self._ratio, self._first_step = (
            self.add_weight(
                shape=(),
                dtype=dtype,
                trainable=False,
                name=name,
                initializer=keras.initializers.Constant(value),
            )
            for name, dtype, value in (
                ("epochs", "float32", 0.0),
                ("ratio", "float32", start),
                ("first_step", "float32", -1.0),
            )
        )
        self._needed_share = None
        if area_ratio is None:
            self._needed_share = NeededShare(len(predictor.outputs))
        self._is_alone, self._is_choosing = self.warm_up > 0, False
        self._areas = AreaRatio()
        self._maps = Untracked()
        self._held_out = None
        self.built = True

    @property
    def current_area_ratio(self) -> float:
        """Float, the ratio that was given, or the one chosen so far."""
        return float(ops.convert_to_numpy(self._ratio))

    @property
    def current_noise(self) -> float | None:
        """Float, the noise that was given or chosen; `None` before that."""
        if not isinstance(self.noise, ChosenNoise):
            return self.noise.stddev
        return self.noise.chosen

    @property
    def input(self) -> Structure:
        """The symbolic input of the predictor."""
        return self.predictor.input

    @property
    def output(self) -> Structure:
        """The symbolic outputs of the predictor."""
        return self.predictor.output

    def call(self, inputs: Structure, training: bool = False) -> Structure:
        return self.predictor(inputs, training=training)

    def compute_loss(
        self,
        x=None,
        y=None,
        y_pred=None,
        sample_weight=None,
        training=True,
    ):
        if training and not self._is_alone:
            return self._loss_under_noise(x, y, y_pred, sample_weight)
        if self._is_choosing and not (training or self._is_alone):
            self._needed_share.update_state(self._harm(x))
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return loss
        # An optimizer warns about weights without a gradient.
        idle = (ops.sum(w.value) for w in self.attention.trainable_weights)
        return loss + 0.0 * sum(ops.cast(w, loss.dtype) for w in idle)

    def _loss_under_noise(self, x, y, y_pred, sample_weight):
        images = self._images(x)
        mask = self.attention(images, training=True)
        noisy = self.predictor(
            self.noise([images, mask], training=True), training=False
        )
        loss = super().compute_loss(
            x,
            *(joined(y, y), joined(y_pred, noisy)),
            joined(sample_weight, sample_weight),
            True,
        )
        wanted = ops.zeros(ops.shape(mask)[:1]) + self._ratio
        area = self._areas(wanted, mask)
        return loss + ops.cast(self.area_weight * area, loss.dtype)

    def _harm(self, x):
        images = self._images(x)
        heatmaps = relevance(self.attention(images, training=False))

        def answer(seen):
            return keras.tree.flatten(self.predictor(seen, training=False))

        return harm_by_share(answer, self.noise, images, heatmaps)

    def _images(self, x):
        return as_images(x, self.predictor, self.noise.data_format)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        self._check_held_out(validation_split, validation_data)
        if self.compiled and self._is_alone:
            # What cannot be copied is said now, not after the warm-up.
            fresh_copy(self.optimizer)
        self._is_choosing = self._needed_share is not None
        self._held_out = functools.partial(
            held_out_images,
            x,
            validation_split,
            validation_data,
            validation_batch_size or batch_size,
            validation_steps,
        )
        try:
            history = super().fit(
                x,
                y,
                batch_size,
                epochs,
                verbose,
                with_phases(callbacks, self),
                validation_split,
                validation_data,
                shuffle,
                class_weight,
                sample_weight,
                initial_epoch,
                steps_per_epoch,
                validation_steps,
                validation_batch_size,
                validation_freq,
            )
        finally:
            self._held_out = None
        self._end_choosing()
        rows = held_out_rows(x, y, validation_split, validation_data)
        if rows and not self._is_alone:
            images, targets = rows
            self.held_out_collusion = asked_of_codes(
                self, self._images(images), targets
            )
        return history

    def explain(
        self,
        data: Structure,
        batch_size: int | None = None,
        verbose: Literal["auto", 0, 1, 2] = "auto",
        mirrors: Sequence[str] = (),
        calibrate: bool = True,
    ) -> ArrayLike:
        """Returns a map for each image, bright where the answer comes from.

        Calibrated, a map runs from 0 to 1 whatever the contrast of the noise
        left in it, and as many pixels as the answer needs, a share of
        `1 - current_area_ratio`, are above 0.5; see `ops.calibrate`. The mask
        of the noise itself is what `attention.predict` returns, and
        `visualization.grayscale_attention(1 - maps)` draws the object dark.

        Args:
            data: What `predict` takes.
            batch_size: Integer, or `None` for 32. Defaults to `None`.
            verbose: See `keras.Model.predict`. Defaults to `"auto"`.
            mirrors: List out of `"left_right"`, `"up_down"`, `"transpose"`
                if such mirror images are images of the same kind: the map is
                the mean of those of all of them, mirrored back, eight for
                the three. Defaults to `()`.
            calibrate: Boolean, `False` for `1 - mask` as it was learned.
                Defaults to `True`.

        Returns:
            NumPy array `(n, height, width)`, float32.

        Raises:
            ValueError: If `mirrors` holds another word, or one twice, or
                `"transpose"` for images that are not square.
        """
        key = check_mirrors(mirrors), check_boolean("calibrate", calibrate)
        if key not in self._maps.kept:
            self._maps.kept[key] = AttentionMaps(
                self.attention, self._ratio, self.noise.data_format, *key
            )
        maps = self._maps.kept[key]
        return maps.predict(data, batch_size=batch_size, verbose=verbose)

    def _check_held_out(self, split, data):
        to_choose = {
            "area_ratio": (self.area_ratio is None, 0.95),
            "noise": (self.current_noise is None, 0.05),
        }
        for name, (is_open, example) in to_choose.items():
            if is_open and data is None and not split:
                raise ValueError(
                    f"`{name}` is chosen on images held out of the training. "
                    "Received: validation_split=0.0, validation_data=None. "
                    f"Pass either, or `{name}` to the model, such as "
                    f"{example}."
                )
        if self.current_noise is None and hasattr(data, "__next__"):
            raise ValueError(
                "`noise` is chosen on images held out of the training, which "
                "are read more than once. Received: validation_data="
                f"{data!r}. Pass arrays or a dataset, or `noise` to the "
                "model, such as 0.05."
            )

    def _enter_phase(self):
        alone = int(ops.convert_to_numpy(self._epochs)) < self.warm_up
        if not alone:
            if self.current_noise is None:
                choose_strength(
                    self.noise, self.predictor, self._images, self._held_out()
                )
            self._start_optimizer()
        if alone != self._is_alone:
            self._is_alone = alone
            # Both were traced for the other phase.
            self.make_train_function(force=True)
            self.make_test_function(force=True)

    def _start_optimizer(self):
        step = int(ops.convert_to_numpy(self._first_step))
        if step < 0:
            step = start_anew(self) if self.warm_up else 0
        elif not has_begun(self):  # Compiled anew.
            step = 0
        self._first_step.assign(step)
        go_on_from(self, step)

    def _end_choosing(self):
        if not self._is_choosing:
            return
        # The last one, of `fit`, asks what `evaluate` does not.
        self._is_choosing = False
        self.make_test_function(force=True)
        if not self._is_alone and self._share_found() == 1:
            warn_user(
                "On the images held out, no share of the pixels is enough for "
                f"the answers: `area_ratio` is still "
                f"{self.current_area_ratio:.3g}. Train longer, with stronger "
                "noise, or pass `area_ratio`."
            )

    def _leave_epoch(self):
        self._epochs.assign(self._epochs + 1)
        if not self._is_choosing or self._is_alone:
            return
        share = self._share_found()
        if share < 1:
            # Halfway: the order of a young map is not yet that of need.
            self._ratio.assign((self._ratio + (1 - share)) / 2)

    def _share_found(self):
        return float(ops.convert_to_numpy(self._needed_share.result()))

    def get_config(self):
        parts = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in _PARTS
        }
        if isinstance(self.noise, ChosenNoise):
            parts["noise"] = None
        return {
            **parts,
            "area_ratio": self.area_ratio,
            "area_weight": self.area_weight,
            "warm_up": self.warm_up,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        read = keras.saving.deserialize_keras_object
        parts = {
            name: read(config[name], custom_objects=custom_objects)
            for name in _PARTS
        }
        return cls(**{**config, **parts})
