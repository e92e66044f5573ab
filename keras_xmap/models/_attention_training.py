"""What one `fit` of pixel attention does after the other.

The phases of training, the share of the pixels that the answer needs, and
what was held out.
"""

import keras
from keras import ops

from keras_xmap._axes import channel_axis
from keras_xmap._warnings import warn_user
from keras_xmap.metrics import collusion
from keras_xmap.models._chosen_noise import squared_change
from keras_xmap.ops import named_pixels

# Shares of the pixels that are tried, each a quarter more than the last.
SHARES = tuple(round(0.01 * 1.25**k, 4) for k in range(18))
# Of the harm that noise does everywhere, what is left where enough is clean.
_LEFT = 0.1
# Of these a code would be seen.
_NUM_HELD_OUT = 256


class Phases(keras.callbacks.Callback):
    """Counts epochs on the model, which trains by its own count.

    First of the callbacks, so that a backup holds the new count.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.model._enter_phase()

    def on_epoch_end(self, epoch, logs=None):
        self.model._leave_epoch()


class NeededShare(keras.metrics.Metric):
    """The share of the pixels that the answers need, on images held out.

    Noise everywhere harms the answers by some mean squared change. The share
    is the smallest of `SHARES` for which a tenth of it is left, where noise
    lies on all but that share of the pixels that the map names first. Of
    several outputs, the neediest counts. Where not even the largest share is
    enough, as by a map that has learned nothing yet, and before any image, it
    is 1.

    Args:
        num_outputs: Integer, of the predictor.
    """

    def __init__(self, num_outputs, name="needed_share"):
        super().__init__(name=name, dtype="float32")
        self._harm = self.add_variable(
            (num_outputs, len(SHARES) + 1), "zeros", name="harm"
        )

    def update_state(self, harm):
        """Adds the harm `(num_outputs, 1 + shares)`, nothing clean first."""
        self._harm.assign_add(ops.cast(harm, "float32"))

    def result(self):
        everywhere = self._harm[:, :1]
        share = ops.convert_to_tensor(SHARES)
        enough = ops.all(self._harm[:, 1:] <= _LEFT * everywhere, axis=0)
        # Once enough is clean more is enough as well, but for the draws.
        found = ops.min(ops.where(enough, share, 1.0))
        return ops.where(ops.any(everywhere > 0), found, 1.0)


def harm_by_share(answer, noise, images, relevance):
    """How far noise moves the answers, on all but each share of the pixels.

    Args:
        answer: Function from images to a list of outputs.
        noise: `MaskNoise`.
        images: Tensor, a batch.
        relevance: Maps of it, `(batch, height, width)`. The noise is the same
            for all shares.

    Returns:
        Tensor `(num_outputs, 1 + shares)`, sums over the batch.
    """
    clean = answer(images)
    everywhere = noise([images, ops.ones_like(relevance)], training=True)
    pattern = everywhere - images
    axis = channel_axis(noise.data_format)

    def harm(share):
        is_clean = ops.logical_and(named_pixels(relevance, share), share > 0)
        mask = ops.expand_dims(ops.logical_not(is_clean), axis)
        noisy = answer(images + ops.cast(mask, pattern.dtype) * pattern)
        return ops.stack(list(map(_distance, noisy, clean)))

    # A loop, so that a large predictor is traced once and not for each share.
    return ops.transpose(ops.map(harm, ops.convert_to_tensor((0.0, *SHARES))))


def _distance(one, other):
    return ops.sum(squared_change(one, other))


def with_phases(callbacks, model):
    """Returns what `fit` is given for callbacks, with `Phases` in front."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        if not any(isinstance(one, Phases) for one in callbacks.callbacks):
            phases = Phases()
            phases.set_model(model)
            phases.set_params(callbacks.params)
            callbacks.callbacks.insert(0, phases)
        return callbacks
    return [Phases(), *keras.tree.flatten(callbacks or [])]


def joined(one, other):
    """Joins two batches, or structures of them, where there is something."""
    return keras.tree.map_structure(
        lambda a, b: None if a is None else ops.concatenate([a, b]), one, other
    )


def asked_of_codes(model, images, targets):
    """Returns what `collusion` says of images held out, if it can be asked."""
    try:
        return collusion(model, images, targets)
    except (TypeError, ValueError) as error:
        warn_user(
            "Of the images held out, `metrics.collusion` cannot tell whether "
            f"the two models agreed on a code: {error}"
        )
        return None


def held_out_images(x, split, data, batch_size, steps):
    """Returns arguments with which `predict` reads all that is held out."""
    if data is None:
        start = _split_at(x, split)
        images = keras.tree.map_structure(lambda part: part[start:], x)
    else:
        images = data[0] if isinstance(data, (list, tuple)) else data
    return {"x": images, "batch_size": batch_size, "steps": steps}


def _split_at(x, split):
    return int(len(keras.tree.flatten(x)[0]) * (1 - split))


def held_out_rows(x, y, split, data):
    """Images and targets held out, a few; `None` of what is read once."""
    if data is None and not split:
        return None
    if data is None:
        return _rows((x, y), _split_at(x, split))
    if isinstance(data, (list, tuple)):
        return _rows(data[:2], 0)
    if hasattr(data, "__next__"):
        return None
    batches, count = [], 0
    for batch in _batches(data):
        batches.append(batch[:2])
        count += len(keras.tree.flatten(batch[1])[0])
        if count >= _NUM_HELD_OUT:
            break
    joined_batches = keras.tree.map_structure(
        lambda *parts: ops.concatenate(parts), *batches
    )
    return _rows(joined_batches, 0)


def _batches(data):
    if isinstance(data, keras.utils.PyDataset):
        return (data[k] for k in range(len(data)))
    return data


def _rows(pair, start):
    x, y = keras.tree.map_structure(
        lambda part: part[start : start + _NUM_HELD_OUT], tuple(pair)
    )
    (images,) = keras.tree.flatten(x)
    return images, y


class Untracked:
    """Keeps models of a model that are no part of it."""

    def __init__(self):
        self.kept = {}
