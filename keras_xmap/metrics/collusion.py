import typing

import keras
import numpy as np
from keras import ops
from keras import random

from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap._warnings import warn_user
from keras_xmap.layers import MaskNoise

# Of the variance of the targets, what noise alone may explain by chance.
_ALLOWED = 0.1


class Collusion(typing.NamedTuple):
    """What `collusion` returns: shares of the targets' variance."""

    clean: float
    noisy: float
    pattern: float
    own: float
    donor: float


def collusion(
    model: keras.Model,
    images: ArrayLike,
    targets: ArrayLike,
    seed: int = 0,
    batch_size: int = 128,
) -> Collusion:
    """Measures whether the noise tells the predictor the answer.

    `pixel_attention` trains two models together, and the attention model
    sees the whole image. It can protect the pixels that carry the answer,
    as it should, or write the answer into the pattern of the noise, where
    the predictor learns to read it. Losses and errors look the same; only
    the map is then about nothing in the image. A predictor that reads the
    pattern is found by showing it patterns that say something else:

    - `pattern`: the mean image under each image's noise, which holds the
      answer nowhere but in the pattern;
    - `donor`: each image under the noise of another one, the donor, held
      against the donor's answer;
    - `own`: the same, held against the image's own answer.

    Each number is `1 - mean((F - P)^2) / var(P)`: 1 for a perfect answer, 0
    for the best constant one, below 0 for a worse one. `pattern` or `donor`
    above 0.1 is warned about.

    Args:
        model: `keras.Model` made by `pixel_attention` and trained. Its noise
            is that of its `MaskNoise`.
        images: Array `(n, height, width, channels)` or `(n, channels,
            height, width)`, not seen in training, at least 2.
        targets: Array `(n, ...)`, what the predictor is to answer.
        seed: Integer, chooses noise and donors. Defaults to `0`.
        batch_size: Integer >= 1. Defaults to `128`.

    Returns:
        A named tuple of floats: `clean`, for the images as they are,
        `noisy`, each under its own noise, `pattern`, `own` and `donor`.

    Raises:
        TypeError: If `model` does not come from `pixel_attention`.
        ValueError: If there are fewer than 2 images, or the targets do not
            fit or are all the same, or a number is out of its range.

    Example:

    >>> predictor = keras.Sequential(
    ...     [keras.Input((32, 32, 1)), keras.layers.GlobalMaxPooling2D()]
    ... )
    >>> model = keras_xmap.models.pixel_attention(predictor, noise=0.01)
    >>> images = np.random.default_rng(0).uniform(size=(200, 32, 32, 1))
    >>> images *= np.linspace(0, 1, 200)[:, None, None, None]
    >>> targets = images.max(axis=(1, 2))
    >>> report = keras_xmap.metrics.collusion(model, images, targets)
    >>> report.clean, report.pattern < 0.1, report.donor < 0.1
    (1.0, True, True)
    """
    check_seed("seed", seed)
    check_positive_integer("batch_size", batch_size)
    predictor, attention, noise = _parts(model, seed)
    images = as_array("images", images).astype("float32")
    targets = as_array("targets", targets).astype("float32")
    if images.ndim != 4 or not targets.ndim:
        raise ValueError(
            "`images` must be (n, height, width, channels), or with the "
            "channels first, and `targets` (n, ...). Received: "
            f"images.shape={images.shape}, targets.shape={targets.shape}."
        )
    for name, values in (("images", images), ("targets", targets)):
        if not np.isfinite(values).all():
            raise ValueError(
                f"`{name}` must be finite. Received: {name} with NaN or "
                "infinite values."
            )
    targets = targets.reshape((len(targets), -1 if targets.size else 0))
    spread = _spread(images, targets)
    generator = random.SeedGenerator(seed)
    masks = attention.predict(images, batch_size=batch_size, verbose=0)
    pattern = _as_array(noise([0 * images, masks], training=True))
    # In a round of all images, each is the donor of the next.
    order = ops.convert_to_numpy(
        random.shuffle(ops.arange(len(images)), seed=generator)
    )
    donors = order.copy()
    donors[order] = ops.convert_to_numpy(ops.roll(order, 1))

    def share(seen, answers):
        predictions = predictor.predict(
            seen, batch_size=batch_size, verbose=0
        ).reshape(targets.shape)
        return float(1 - ((predictions - answers) ** 2).mean() / spread)

    exchanged = images + pattern[donors]
    report = Collusion(
        clean=share(images, targets),
        noisy=share(images + pattern, targets),
        pattern=share(images.mean(axis=0) + pattern, targets),
        own=share(exchanged, targets),
        donor=share(exchanged, targets[donors]),
    )
    if max(report.pattern, report.donor) > _ALLOWED:
        warn_user(
            "The predictor reads its answer from where the noise is, so the "
            "map does not show what carries it: under noise alone it "
            f"explains {report.pattern:.2f} of the targets' variance, under "
            f"another image's noise {report.donor:.2f} of that image's. "
            "Train anew, the predictor alone first, then with weaker noise "
            "or a larger `area_weight`."
        )
    return report


def _as_array(values):
    return ops.convert_to_numpy(ops.cast(values, "float32"))


def _parts(model, seed):
    """The two networks of a model, and noise as its own under a seed."""
    noise = [
        layer
        for layer in getattr(model, "layers", [])
        if isinstance(layer, MaskNoise)
    ]
    outputs = getattr(model, "output", None)
    names = set(outputs) if isinstance(outputs, dict) else set()
    if len(noise) != 1 or not {"prediction", "noise_mask"} <= names:
        raise TypeError(
            "`model` must be what `keras_xmap.models.pixel_attention` "
            f"returned. Received: model={model!r} with outputs "
            f"{sorted(names)}."
        )
    predictor, attention = (
        keras.Model(model.inputs, model.output[name])
        for name in ("prediction", "noise_mask")
    )
    config = {**noise[0].get_config(), "seed": seed}
    return predictor, attention, MaskNoise.from_config(config)


def _spread(images, targets):
    if len(images) < 2 or len(images) != len(targets):
        raise ValueError(
            "`images` and `targets` must be of the same length, at least 2. "
            f"Received: len(images)={len(images)}, "
            f"len(targets)={len(targets)}."
        )
    spread = float(((targets - targets.mean(axis=0)) ** 2).mean())
    if not spread > 0:
        raise ValueError(
            "`targets` must differ between images. Received: "
            f"targets={targets[0].tolist()} for all {len(targets)} images."
        )
    return spread
