"""What a network knows of its images in inference, where maps are made."""

import keras
import numpy as np

from keras_xmap._description import layers_of
from keras_xmap.erasing._label_prior import cross_entropy

# The share of what was learned that may be missing in inference, and how far
# below guessing a loss is of a network that has learned something to miss.
_MOST_LOST, _LEARNED = 0.5, 0.75


def has_moving_statistics(model):
    """Returns whether training and inference differ by moving statistics."""
    return any(
        isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        for layer in layers_of(model)
    )


def answers_in_inference(model, batches):
    """Returns a list of labels and outputs, a pair for each batch.

    Args:
        model: `keras.Model`.
        batches: Iterable of tuples that begin with inputs and labels.
    """
    return [
        (labels, model(inputs, training=False))
        for inputs, labels, *_ in batches
    ]


def loss_of(answers, model):
    """Returns the loss of `answers_in_inference`.

    `None` without a cross-entropy.
    """
    loss = cross_entropy(model)
    if loss is None:
        return None
    total = sum(len(labels) * float(loss(labels, x)) for labels, x in answers)
    return total / max(sum(len(labels) for labels, _ in answers), 1)


def auc_of(answers, present):
    """Returns how well `answers_in_inference` rank images by their classes.

    The mean area under the ROC curves of the classes: of two images, how often
    the one with a class has the higher score of it; 0.5 for guessing. Unlike a
    loss it does not hang on how sure a network is.

    Args:
        answers: List of labels and outputs.
        present: Function of labels, and a number of classes, that returns a
            boolean array `(batch, classes)`.

    Returns:
        Float; `None` where the model does not put out one array `(batch,
        classes)`, or no class is in some images and not in others.
    """
    scores, truth = [], []
    for labels, outputs in answers:
        if len(getattr(outputs, "shape", ())) != 2:
            return None
        scores.append(keras.ops.convert_to_numpy(outputs))
        truth.append(present(labels.numpy(), outputs.shape[1]))
    if not scores:
        return None
    scores, truth = np.concatenate(scores), np.concatenate(truth)
    areas = [
        _area(x[is_there], x[~is_there])
        for x, is_there in zip(scores.T, truth.T, strict=True)
        if is_there.any() and not is_there.all()
    ]
    return float(np.mean(areas)) if areas else None


def _area(positive, negative):
    """Returns how often a positive score is above a negative one, ties half."""
    negative = np.sort(negative)
    below = np.searchsorted(negative, positive, "left")
    below = below + np.searchsorted(negative, positive, "right")
    return below.mean() / 2 / len(negative)


def judge(round_id, trained, in_inference, guessed):
    """Returns a warning if most of what was learned is missing, or `None`.

    Args:
        round_id: Integer, the round that has trained.
        trained: Float, the loss in training.
        in_inference: Float, that of the same images in inference.
        guessed: Float, that of guessing how frequent each class is.
    """
    if None in (trained, in_inference, guessed):
        return None
    if trained > _LEARNED * guessed:
        return None
    if in_inference - trained <= _MOST_LOST * (guessed - trained):
        return None
    return (
        f"The network of round {round_id} of erasing has learned the images "
        f"it was trained on, with a loss of {trained:.3f}, and does not know "
        f"them in inference, where it is {in_inference:.3f} ({guessed:.3f} is "
        "that of guessing). The moving statistics of its BatchNormalization "
        "lag behind: its maps, and metrics on held-out images, are as wrong. "
        "Use GroupNormalization, a smaller `momentum`, a lower learning rate, "
        "or more steps in a round."
    )
