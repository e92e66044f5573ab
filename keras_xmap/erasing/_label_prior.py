"""What a network would lose that only knew how frequent each class is."""

import threading

import keras
import numpy as np

# By which share a loss must be below that of guessing to be more than it.
_LEAST_GAIN = 0.05
_LOSSES = {
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": (
        keras.losses.SparseCategoricalCrossentropy
    ),
}


class LabelPrior:
    """How frequent each class is among the labels shown so far."""

    def __init__(self):
        self._places = set()
        self._sums = 0.0  # of the labels, column by column
        self._counts = {}  # of labels of one column, by their value
        self._lock = threading.Lock()

    def show(self, places, labels):
        """Looks at a batch; each image counts once.

        Args:
            places: Integer array `(batch,)`, where in the dataset they stand.
            labels: Array `(batch,)` or `(batch, columns)`.
        """
        labels = np.asarray(labels).reshape(len(places), -1)
        with self._lock:
            new = [p not in self._places for p in places.tolist()]
            self._places.update(places.tolist())
            labels = labels[np.array(new, bool)]
            self._sums = self._sums + labels.sum(axis=0, dtype="float64")
            if labels.shape[1] == 1:
                for value in labels[:, 0].tolist():
                    self._counts[value] = self._counts.get(value, 0) + 1

    def loss(self, model):
        """Returns the loss of the best guess, or `None` if it is not known.

        It is the entropy of the labels, where the loss of the model is a
        cross-entropy and nothing is added to it.
        """
        kind, shares = _kind(model), self._shares(model)
        if shares is None:
            return None
        if kind == "binary_crossentropy":
            return (_entropy(shares) + _entropy(1 - shares)).mean()
        return _entropy(shares).sum()

    def accuracy(self, model):
        """Returns the accuracy of the best guess, or `None`, as `loss`."""
        kind, shares = _kind(model), self._shares(model)
        if shares is None:
            return None
        if kind == "binary_crossentropy":
            return np.maximum(shares, 1 - shares).mean()
        return shares.max()

    def _shares(self, model):
        """Returns how frequent classes are, if labels are such, or `None`."""
        kind = _kind(model)
        if kind is None or not self._places:
            return None
        if kind == "sparse_categorical_crossentropy":
            counts = list(self._counts.values())
            return np.array(counts or [0]) / max(sum(counts), 1)
        shares = np.asarray(self._sums) / len(self._places)
        return shares if ((shares >= 0) & (shares <= 1)).all() else None

    def judge(self, model, logs):
        """Returns a warning if a loss is hardly below guessing, or `None`."""
        guessed, loss = self.loss(model), logs.get("loss")
        if not guessed or loss is None or loss < guessed * (1 - _LEAST_GAIN):
            return None
        return (
            f"The first round of erasing has hardly learned: its loss is "
            f"{loss:.3f}, and {guessed:.3f} is that of guessing how frequent "
            "each class is. Its regions are guesses as well, and later rounds "
            "are held against it. Train longer, by `epochs_per_round`, at "
            "another learning rate, or from pretrained weights."
        )


def cross_entropy(model):
    """Returns the `Loss` of a model trained with a cross-entropy, or `None`."""
    kind = _kind(model)
    if kind is None or isinstance(model.loss, keras.losses.Loss):
        return None if kind is None else model.loss
    return _LOSSES[kind]()


def _kind(model):
    """Returns which cross-entropy alone a model is trained with, or `None`."""
    loss = getattr(model, "loss", None)
    if model.losses:  # of regularizers
        return None
    for name, kind in _LOSSES.items():
        if loss in (name, getattr(keras.losses, name)):
            return name
        # Smoothed labels, or a sum over the batch, are of another size.
        if type(loss) is kind and _is_plain(loss):
            return name
    return None


def _is_plain(loss):
    config = loss.get_config()
    means = ("sum_over_batch_size", "mean")
    return config.get("reduction") in means and not config.get(
        "label_smoothing"
    )


def _entropy(shares):
    """Returns `-p log p` of each share, 0 for a share of 0."""
    return -shares * np.log(np.maximum(shares, 1e-12))
