import keras
import numpy as np
from keras import ops

from keras_xmap._checks import check_integer
from keras_xmap._checks import check_one_of
from keras_xmap._checks import check_optional
from keras_xmap._checks import check_positive
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._numeric import as_array
from keras_xmap._repr import call_repr
from keras_xmap._typing import ArrayLike
from keras_xmap.segmentation._label_maps import IGNORED
from keras_xmap.segmentation._pairs import pairs
from keras_xmap.segmentation.random_walk import check_features
from keras_xmap.segmentation.random_walk import random_walk


class Affinity:
    """Learns which positions belong together, and spreads maps over them.

    After AffinityNet: of label maps that are sure of some positions only,
    such as `confident_labels` makes, pairs of sure positions within a radius
    are alike or not, whatever their classes. A small head on frozen features
    learns that, for all classes at once:

    `a_ij = exp(-mean_k |h(F)_ik - h(F)_jk|)`,
    `loss = -(mean log a over pairs of background) / 4
    - (mean log a over pairs of one class) / 4
    - (mean log(1 - a) over unlike pairs) / 2`

    and `refine` walks at random over what it calls alike. Features are
    arrays, of any network and any backend; the head is a `keras.Model` of two
    dense layers at each position, trained by `fit`. AffinityNet trains the
    layers below it, too.

    Args:
        channels: Integer >= 1: channels that the head puts out. Defaults to
            `64`.
        radius: Integer >= 2, in positions: how near a pair is. Defaults to
            `5`.
        seed: Integer for weights and an order of images that can be repeated,
            or `None`. Defaults to `None`.

    Attributes:
        head: The `keras.Model`, `None` before `fit`.
        losses: List of the loss after each epoch of the last `fit`.

    References:
        - [Ahn & Kwak, 2018](https://arxiv.org/abs/1803.10464)

    Example:

    >>> generator = np.random.default_rng(0)
    >>> labels = np.zeros((8, 6, 6), "uint8")
    >>> labels[:, :, 3:] = 1
    >>> features = np.stack([labels == 0, labels == 1], axis=-1)
    >>> features = features + 0.2 * generator.normal(size=features.shape)
    >>> affinity = keras_xmap.segmentation.Affinity(channels=8, seed=0)
    >>> affinity = affinity.fit(features, labels, epochs=30, verbose=0)
    >>> cue = np.zeros((1, 6, 6))
    >>> cue[0, 2, 4] = 1.0
    >>> refined = affinity.refine(features[0], cue)
    >>> bool(refined[0, :, 3:].min() > 10 * refined[0, :, :3].max())
    True
    """

    def __init__(
        self, channels: int = 64, radius: int = 5, seed: int | None = None
    ):
        self.channels = check_positive_integer("channels", channels)
        self.radius = check_integer(
            "radius", radius, 2, remedy="It is counted in positions."
        )
        self.seed = check_optional(check_seed, "seed", seed)
        self.head: keras.Model | None = None
        self.losses: list[float] = []

    def __repr__(self):
        return call_repr(self)

    def fit(
        self,
        features: ArrayLike,
        labels: ArrayLike,
        epochs: int = 20,
        batch_size: int = 8,
        learning_rate: float = 0.01,
        verbose: str | int = "auto",
    ) -> "Affinity":
        """Trains a new head.

        Args:
            features: Array `(n, rows, columns, channels)`: what a network puts
                out.
            labels: Integer array `(n, rows, columns)`, or of any larger size:
                then each position has the label of the pixel in its middle.
                0 is the background, 1 to 254 classes, 255 no label.
            epochs: Integer >= 1. Defaults to `20`.
            batch_size: Integer >= 1: images. Defaults to `8`.
            learning_rate: Float > 0, of Adam. Defaults to `0.01`.
            verbose: See `keras.Model.fit`. Defaults to `"auto"`.

        Returns:
            This object.

        Raises:
            ValueError: If shapes or values are not as above, or if there is
                no pair of sure positions.
        """
        check_one_of("verbose", verbose, ("auto", 0, 1, 2, False, True))
        check_positive_integer("epochs", epochs)
        check_positive_integer("batch_size", batch_size)
        check_positive("learning_rate", learning_rate)
        features, labels = _checked(features, labels)
        _check_pairs(labels, self.radius)
        self.head = self._new_head(features)
        inputs = keras.Input(features.shape[1:])
        trained = keras.Model(inputs, self.head(inputs))
        trained.compile(
            keras.optimizers.Adam(learning_rate), _PairLoss(self.radius)
        )
        order = np.random.default_rng(self.seed).permutation(len(features))
        history = trained.fit(
            features[order],
            labels[order][..., None].astype("float32"),
            batch_size=batch_size,
            epochs=epochs,
            shuffle=False,
            verbose=verbose,
        )
        self.losses = history.history["loss"]
        return self

    def embed(self, features: ArrayLike, batch_size: int = 8) -> np.ndarray:
        """Returns what the head makes of features, as `random_walk` takes it.

        Args:
            features: Array `(rows, columns, channels)` or `(n, rows, columns,
                channels)`, of any number of positions.
            batch_size: Integer >= 1: images at a time. Defaults to `8`.

        Returns:
            Float32 array of `channels` channels.

        Raises:
            ValueError: If `fit` was not called, or features do not fit.
        """
        if self.head is None:
            raise ValueError(
                "There is no head yet. Expected: `fit` before `embed` and "
                f"`refine`. Received: {self!r}."
            )
        check_positive_integer("batch_size", batch_size)
        features = as_array("features", features)
        if features.ndim == 3:
            return self.embed(features[None], batch_size)[0]
        expected = self.head.input_shape[-1]
        if features.ndim != 4 or features.shape[-1] != expected:
            raise ValueError(
                "`features` must be (rows, columns, channels) or (n, rows, "
                f"columns, channels), with the {expected} channels of `fit`. "
                f"Received: features.shape={features.shape}."
            )
        features = np.stack([check_features(x) for x in features])
        return self.head.predict(
            features.astype("float32"), batch_size=batch_size, verbose=0
        )

    def refine(
        self,
        features: ArrayLike,
        maps: ArrayLike,
        beta: float = 8.0,
        num_steps: int = 256,
    ) -> np.ndarray | list[np.ndarray]:
        """Spreads maps by `random_walk` over what the head calls alike.

        Args:
            features: See `embed`.
            maps: See `random_walk`; of the positions of the features.
            beta: See `random_walk`.
            num_steps: See `random_walk`.

        Returns:
            Float32 array like `maps`, or a list.
        """
        embedded = self.embed(features)
        return random_walk(maps, embedded, self.radius, beta, num_steps)

    def _new_head(self, features):
        seeds = np.random.default_rng(self.seed).integers(2**31 - 1, size=2)
        inputs = x = keras.Input((None, None, features.shape[-1]))
        # As many numbers as channels, whatever the scale of the features.
        x = keras.layers.Normalization(
            mean=features.mean(axis=(0, 1, 2), dtype="float64"),
            variance=features.var(axis=(0, 1, 2), dtype="float64"),
        )(x)
        for seed in seeds:
            start = keras.initializers.GlorotUniform(int(seed))
            x = keras.layers.Dense(self.channels, "elu", True, start)(x)
        return keras.Model(inputs, x, name="affinity_head")


class _PairLoss(keras.losses.Loss):
    """The loss of `Affinity`, over all pairs of a batch."""

    def __init__(self, radius):
        super().__init__(name="pair_loss")
        self.radius = radius

    def call(self, y_true, y_pred):
        first, second = pairs(tuple(y_pred.shape[1:3]), self.radius)
        rows, columns, channels = y_pred.shape[1:]
        labels = ops.reshape(y_true, (-1, rows * columns))
        x = ops.reshape(y_pred, (-1, rows * columns, channels))
        distance = ops.mean(
            ops.abs(ops.take(x, first, axis=1) - ops.take(x, second, axis=1)),
            axis=-1,
        )
        # -log of exp(-distance), and of 1 - exp(-distance).
        apart = -ops.log(1 + _SMALL - ops.exp(-distance))
        background, same, unlike = _kinds(
            ops.take(labels, first, axis=1), ops.take(labels, second, axis=1)
        )
        return (
            _mean_where(background, distance) / 4
            + _mean_where(same, distance) / 4
            + _mean_where(unlike, apart) / 2
        )


def _mean_where(condition, values):
    """Returns the mean over a whole batch, 0 where there is nothing."""
    condition = ops.cast(condition, values.dtype)
    return ops.divide_no_nan(ops.sum(condition * values), ops.sum(condition))


_SMALL = 1e-5


def _kinds(one, other):
    """Returns which pairs are of background, of one class, and unlike."""
    known = (one != IGNORED) & (other != IGNORED)
    alike = known & (one == other)
    return alike & (one == 0), alike & (one != 0), known & (one != other)


def _checked(features, labels):
    features = as_array("features", features)
    labels = as_array("labels", labels)
    if features.ndim != 4 or features.dtype.kind not in "buif":
        raise ValueError(
            "`features` must be (n, rows, columns, channels) of numbers. "
            f"Received: features.shape={features.shape}, features.dtype="
            f"{features.dtype}."
        )
    features = np.stack([check_features(x) for x in features])
    if labels.dtype.kind not in "ui" or labels.ndim != 3:
        raise ValueError(
            "`labels` must be integers (n, rows, columns). Received: "
            f"labels.shape={labels.shape}, labels.dtype={labels.dtype}."
        )
    sizes = [*zip(labels.shape[1:], features.shape[1:3], strict=True)]
    fits = len(labels) == len(features) and all(a >= b for a, b in sizes)
    if not fits or labels.min() < 0 or labels.max() > IGNORED:
        raise ValueError(
            "`labels` must be as many as the features, of their size or "
            "larger, from 0 to 255. Received: labels.shape="
            f"{labels.shape} with values from {labels.min()} to "
            f"{labels.max()}, features.shape={features.shape}."
        )
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for old, new in sizes
    )
    return features.astype("float32"), labels[:, rows[:, None], columns]


def _check_pairs(labels, radius):
    first, second = pairs(labels.shape[1:], radius)
    flat = labels.reshape(len(labels), -1)
    kinds = _kinds(flat[:, first], flat[:, second])
    found = np.array([kind.sum() for kind in kinds])
    alike, unlike = int(found[:2].sum()), int(found[2])
    if not alike or not unlike:
        raise ValueError(
            "`labels` must hold pairs of sure positions within `radius` that "
            f"are alike, and such that are not. Received: {alike} pairs that "
            f"are alike, {unlike} that are not, with radius={radius}. Be sure "
            "of more positions (255 is doubt), or take a larger radius."
        )
