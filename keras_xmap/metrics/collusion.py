import typing
from typing import Any

import keras
import numpy as np
from keras import ops
from keras import random

from keras_xmap._axes import channel_axis
from keras_xmap._checks import check_positive_integer
from keras_xmap._checks import check_seed
from keras_xmap._numeric import as_array
from keras_xmap._typing import ArrayLike
from keras_xmap._typing import Structure
from keras_xmap._warnings import warn_user
from keras_xmap.layers import MaskNoise
from keras_xmap.ops import named_pixels
from keras_xmap.ops import relevance

# Of the variance of the targets, what noise alone may explain by chance, and
# what a predictor that has learned anything explains.
_LITTLE = 0.1


class Collusion(typing.NamedTuple):
    """What `collusion` returns, in shares of the targets' variance.

    The last two are distances, what noise does to the answers.
    """

    clean: float
    noisy: float
    pattern: float
    own: float
    donor: float
    named: float
    others: float


def collusion(
    model: keras.Model,
    images: ArrayLike,
    targets: Structure,
    seed: int = 0,
    batch_size: int = 128,
) -> Collusion | dict[str, Any] | list[Any]:
    """Measures whether the answer comes from where the map says it does.

    `PixelAttention` trains two models together, and the attention model
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
    for the best constant one, below 0 for a worse one.

    Without a code the map may still be the wrong way round, and protect the
    background. Two more numbers tell how far noise moves the answers,
    `mean((F(I') - F(I))^2) / var(P)`, where it lies on one share of the
    pixels, the mean share that the attention model keeps clean:

    - `named`: on the pixels of the image that the map names first;
    - `others`: on as many pixels drawn at random.

    Warned about is, in this order:

    - `donor` above 0.1: it is the pattern that is read, not the image;
    - `clean` below 0.1: where nothing has been learned, a map is of nothing;
    - `named` above `others` for no output: the answers need what the map
      names no more than pixels drawn by lot, so it is flat or turned over;
    - `pattern` above 0.1 alone: without an image, the pattern tells
      something. The shape of what stays clean does, of a good map too; where
      there is an image, the answer follows it.

    Args:
        model: `PixelAttention`, or the `keras.Model` of `pixel_attention`,
            trained. The noise is that of its `MaskNoise`.
        images: Array `(n, height, width, channels)` or `(n, channels,
            height, width)`, not seen in training, at least 2.
        targets: Array `(n, ...)`, what the predictor is to answer, or a list
            or dict of arrays as its outputs are.
        seed: Integer, chooses noise and donors. Defaults to `0`.
        batch_size: Integer >= 1. Defaults to `128`.

    Returns:
        A named tuple of floats: `clean`, for the images as they are,
        `noisy`, each under its own noise, `pattern`, `own`, `donor`, `named`
        and `others`. Of several outputs, a list or dict of such tuples.

    Raises:
        TypeError: If `model` is neither of the two.
        ValueError: If there are fewer than 2 images, or the targets do not
            fit or are all the same, or a number is out of its range.

    Example:

    >>> predictor = keras.Sequential(
    ...     [keras.Input((32, 32, 1)), keras.layers.GlobalMaxPooling2D()]
    ... )
    >>> darkness = keras.Sequential(
    ...     [keras.Input((32, 32, 1)), keras.layers.Rescaling(-1, 1)]
    ... )
    >>> model = keras_xmap.models.pixel_attention(
    ...     predictor, darkness, noise=0.01
    ... )
    >>> images = np.random.default_rng(0).uniform(size=(200, 32, 32, 1))
    >>> images *= np.linspace(0, 1, 200)[:, None, None, None]
    >>> targets = images.max(axis=(1, 2))
    >>> report = keras_xmap.metrics.collusion(model, images, targets)
    >>> report.clean, report.pattern < 0.1, report.donor < 0.1
    (1.0, True, True)
    >>> report.named > report.others
    True
    """
    check_seed("seed", seed)
    check_positive_integer("batch_size", batch_size)
    parts = _parts(model, seed)
    images = _finite("images", images)
    if images.ndim != 4:
        raise ValueError(
            "`images` must be (n, height, width, channels), or with the "
            f"channels first. Received: images.shape={images.shape}."
        )
    answers, donors = _answers(parts, images, seed, batch_size)
    found = []

    def of_output(path, wanted, *answers):
        wanted = _matching(path, wanted, answers[0])
        answers = [x.reshape(wanted.shape) for x in answers]
        found.append(_shares(path, wanted, donors, answers))
        return found[-1]

    report = _by_output(of_output, "", targets, *answers)
    _warn_of_maps_of_nothing(found)
    return report


def _answers(parts, images, seed, batch_size):
    """Answers to what `_shown` shows, and the donors."""
    predictor, attention, noise = parts
    options = {"batch_size": batch_size, "verbose": 0}
    masks = attention.predict(images, **options)
    # In a round of all images, each is the donor of the next.
    generator = random.SeedGenerator(seed)
    order = ops.convert_to_numpy(
        random.shuffle(ops.arange(len(images)), seed=generator)
    )
    donors = order.copy()
    donors[order] = ops.convert_to_numpy(ops.roll(order, 1))
    shown = _shown(images, masks, donors, noise, seed)
    return [predictor.predict(x, **options) for x in shown], donors


def _shown(images, masks, donors, noise, seed):
    """Yields images in the order of `_shares`, one set at a time."""
    pattern = _as_array(noise([0 * images, masks], training=True))
    yield images
    yield images + pattern
    yield images.mean(axis=0) + pattern
    yield images + pattern[donors]
    pattern = _as_array(noise([0 * images, np.ones_like(masks)], training=True))
    named = _named(masks)
    others = np.random.default_rng(seed).permuted(
        named.reshape((len(named), -1)), axis=1
    )
    axis = channel_axis(noise.data_format)
    for pixels in (named, others.reshape(named.shape)):
        yield images + np.expand_dims(pixels, axis) * pattern


def _named(masks):
    """Which pixels a map names first, of the mean share that it keeps."""
    maps = ops.cast(relevance(ops.convert_to_tensor(masks)), "float32")
    return ops.convert_to_numpy(named_pixels(maps, ops.mean(maps)))


def _by_output(function, path, targets, *answers):
    """Calls a function for each output; returns what it says, as they are.

    It is given the path to the output, its targets and its answers.
    """
    first = answers[0]
    if isinstance(first, dict):
        names = sorted(targets) if isinstance(targets, dict) else None
        if names != sorted(first):
            raise _other_outputs(path, f"a dict of {sorted(first)}", targets)
        keys, kind = list(first), dict
    elif isinstance(first, (list, tuple)):
        if not isinstance(targets, (list, tuple)) or len(targets) != len(first):
            raise _other_outputs(path, f"a list of {len(first)}", targets)
        keys, kind = range(len(first)), list
    else:
        return function(path, targets, *answers)
    found = [
        _by_output(
            function, f"{path}[{k!r}]", targets[k], *(x[k] for x in answers)
        )
        for k in keys
    ]
    return found if kind is list else dict(zip(keys, found, strict=True))


def _other_outputs(path, wanted, targets):
    kind = type(targets).__name__
    if isinstance(targets, dict):
        kind = f"dict of {sorted(targets)}"
    elif isinstance(targets, (list, tuple)):
        kind = f"{kind} of {len(targets)}"
    return ValueError(
        f"`targets{path}` must be {wanted}, as the outputs of the predictor "
        f"are. Received: targets{path} is a {kind}."
    )


def _matching(path, targets, answers):
    """Targets of one output as `(n, numbers)`, those that are answered."""
    name, count = f"targets{path}", len(answers)
    targets = _finite(name, targets)
    if count < 2 or targets.shape[:1] != (count,):
        raise ValueError(
            "`images` and `targets` must be of the same length, at least 2. "
            f"Received: len(images)={count}, {name}.shape={targets.shape}."
        )
    if targets.size != answers.size:
        raise ValueError(
            f"`{name}` must hold the numbers that the predictor answers, "
            f"{answers.shape}. Received: {name}.shape={targets.shape}."
        )
    return targets.reshape((count, -1))


def _shares(path, targets, donors, answers):
    """The `Collusion` of one output, answered as `_shown` shows."""
    spread = float(((targets - targets.mean(axis=0)) ** 2).mean())
    if not spread > 0:
        raise ValueError(
            "`targets` must differ between images. Received: "
            f"targets{path}={targets[0].tolist()} for all {len(targets)} "
            "images."
        )

    clean, noisy, pattern, exchanged, on_named, on_others = answers

    def distance(one, other):
        return float(((one - other) ** 2).mean() / spread)

    return Collusion(
        clean=1 - distance(clean, targets),
        noisy=1 - distance(noisy, targets),
        pattern=1 - distance(pattern, targets),
        own=1 - distance(exchanged, targets),
        donor=1 - distance(exchanged, targets[donors]),
        named=distance(on_named, clean),
        others=distance(on_others, clean),
    )


def _finite(name, values):
    values = as_array(name, values).astype("float32")
    if not np.isfinite(values).all():
        raise ValueError(
            f"`{name}` must be finite. Received: {name} with NaN or infinite "
            "values."
        )
    return values


def _warn_of_maps_of_nothing(found):
    code = max(found, key=lambda one: one.donor)
    hint = max(found, key=lambda one: one.pattern)
    least = min(one.clean for one in found)
    if code.donor > _LITTLE:
        warn_user(
            "The predictor reads its answer from where the noise is, so the "
            f"map does not show what carries it: {_explained(code)} "
            "Train anew, the predictor alone first, then with weaker noise "
            "or a larger `area_weight`."
        )
    elif least < _LITTLE:
        warn_user(
            "The predictor has not learned its answer, so the map shows "
            "nothing that carries it: of the variance of the targets it "
            f"explains {least:.2f}, the best constant 0. Train the predictor "
            "alone first, longer, with another learning rate or on more "
            "images."
        )
    elif all(one.named <= one.others for one in found):
        best = max(found, key=lambda one: one.named - one.others)
        warn_user(
            "The answer needs the pixels that the map names no more than "
            "others: noise on those it names first moves the answers by "
            f"{best.named:.2g} of the targets' variance, noise on as many "
            f"drawn at random by {best.others:.2g}. The map is flat, or has "
            "turned over and protects the background. Train anew, the "
            "predictor alone first and longer, then with weaker noise."
        )
    elif hint.pattern > _LITTLE:
        warn_user(
            "Where the noise is tells the predictor something of its answer "
            f"as long as there is nothing else to see: {_explained(hint)} "
            "Where there is an image, it follows the image, so the map may "
            "well be right, as maps of texture were. To be sure, train once "
            "more with weaker noise, and see whether the map stays."
        )


def _explained(one):
    return (
        f"under noise alone it explains {one.pattern:.2f} of the targets' "
        f"variance, under another image's noise {one.donor:.2f} of that "
        "image's."
    )


def _as_array(values):
    return ops.convert_to_numpy(ops.cast(values, "float32"))


def _parts(model, seed):
    """The two networks of a model, and noise as its own under a seed."""
    parts = [getattr(model, x, None) for x in ("predictor", "attention")]
    noise = [
        layer
        for layer in getattr(model, "layers", [])
        if isinstance(layer, MaskNoise)
    ]
    outputs = getattr(model, "output", None) if None in parts else None
    names = ("prediction", "noise_mask")
    if isinstance(outputs, dict) and set(names) <= set(outputs):
        parts = [keras.Model(model.inputs, outputs[name]) for name in names]
    if len(noise) != 1 or None in parts:
        raise TypeError(
            "`model` must be a `keras_xmap.models.PixelAttention`, or what "
            "`keras_xmap.models.pixel_attention` returned. Received: "
            f"model={model!r}."
        )
    config = {**noise[0].get_config(), "seed": seed}
    return *parts, MaskNoise.from_config(config)
