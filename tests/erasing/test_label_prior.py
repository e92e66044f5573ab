"""Whether a first round has learned more than how frequent classes are."""

import types

import keras
import numpy as np
import pytest

from keras_xmap.erasing._label_prior import LabelPrior

pytestmark = pytest.mark.tensorflow


def model_of(loss, losses=()):
    return types.SimpleNamespace(loss=loss, losses=list(losses))


def prior_of(labels):
    prior = LabelPrior()
    for start in (0, 2, 0):  # an image that comes again counts once
        places = np.arange(start, min(start + 2, len(labels)))
        prior.show(places, np.asarray(labels)[places])
    return prior


NUMBERS = [0, 2, 2, 2]
SEVERAL = [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("loss", "labels", "guess"),
    [
        ("sparse_categorical_crossentropy", NUMBERS, [0.25, 0.0, 0.75]),
        ("categorical_crossentropy", np.eye(3)[NUMBERS], [0.25, 0.0, 0.75]),
        ("binary_crossentropy", SEVERAL, [0.75, 0.25]),
        ("binary_crossentropy", [[0], [1], [1], [1]], [0.75]),
    ],
)
def test_it_is_what_keras_computes_for_the_best_guess(loss, labels, guess):
    labels = np.asarray(labels)
    guesses = np.tile(np.clip(guess, 1e-7, 1 - 1e-7), (len(labels), 1))
    expected = np.mean(getattr(keras.losses, loss)(labels, guesses))
    prior = prior_of(labels)
    kind = "".join(word.title() for word in loss.split("_"))
    for given in (loss, getattr(keras.losses, kind)()):
        assert prior.loss(model_of(given)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        model_of("mse"),
        model_of({"a": "binary_crossentropy"}),
        model_of("binary_crossentropy", [0.1]),
        model_of(keras.losses.BinaryCrossentropy(label_smoothing=0.1)),
        model_of(keras.losses.BinaryCrossentropy(reduction="sum")),
    ],
)
def test_of_another_loss_nothing_is_said(model):
    prior = prior_of(SEVERAL)
    assert prior.loss(model) is None
    assert prior.judge(model, {"loss": 9.0}) is None


def test_a_loss_that_is_hardly_below_is_told():
    model, prior = model_of("binary_crossentropy"), prior_of(SEVERAL)
    guessed = prior.loss(model)
    assert guessed == pytest.approx(0.562335, abs=1e-6)
    assert prior.judge(model, {"loss": 0.94 * guessed}) is None
    told = prior.judge(model, {"loss": 0.98 * guessed})
    assert "its loss is 0.551, and 0.562 is that of guessing" in told
    assert LabelPrior().judge(model, {"loss": 9.0}) is None
    assert prior.judge(model, {}) is None
