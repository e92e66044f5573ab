"""Whether a network is found out that knows its images in training alone."""

import keras
import numpy as np
import pytest

from keras_xmap.erasing._inference import answers_in_inference
from keras_xmap.erasing._inference import auc_of
from keras_xmap.erasing._inference import has_moving_statistics
from keras_xmap.erasing._inference import judge
from keras_xmap.erasing._inference import loss_of

pytestmark = pytest.mark.tensorflow


def model_of(layer, loss="binary_crossentropy", inner=True):
    x = inputs = keras.Input((2,))
    block = keras.Sequential([keras.Input((2,)), layer])
    x = block(x) if inner else layer(x)
    x = keras.layers.Dense(1, activation="sigmoid", name="score")(x)
    model = keras.Model(inputs, x)
    model.compile("sgd", loss)
    return model


def test_moving_statistics_that_train_are_seen_at_any_depth():
    norm = keras.layers.BatchNormalization
    assert has_moving_statistics(model_of(norm()))
    assert has_moving_statistics(model_of(norm(), inner=False))
    assert not has_moving_statistics(model_of(norm(trainable=False)))
    assert not has_moving_statistics(
        model_of(keras.layers.LayerNormalization())
    )


@pytest.mark.parametrize(
    "loss",
    ["binary_crossentropy", keras.losses.BinaryCrossentropy(from_logits=True)],
)
def test_the_loss_is_that_of_evaluate(loss):
    model = model_of(keras.layers.BatchNormalization(), loss)
    images = np.random.default_rng(0).normal(3, 2, (48, 2)).astype("float32")
    labels = (images[:, :1] > 3).astype("float32")
    parts = [(images[i : i + 20], labels[i : i + 20]) for i in (0, 20, 40)]
    # Statistics of the batches would make another loss of it.
    expected = model.evaluate(images, labels, verbose=0)
    answers = answers_in_inference(model, parts)
    assert loss_of(answers, model) == pytest.approx(expected, 1e-5)
    model.compile("sgd", "mse")
    assert loss_of(answers, model) is None


def present(labels, count):
    return labels[:, None] == np.arange(count)


class Labels(np.ndarray):
    def numpy(self):
        return np.asarray(self)


@pytest.mark.parametrize("shift", [0.0, 9.0])
def test_the_area_is_of_pairs_of_images_however_sure_a_network_is(shift):
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 5, (30, 4)).astype("float32")
    labels = generator.integers(0, 3, 30)  # of the last class there is none
    areas = []
    for name in range(3):
        inside, outside = (
            scores[x, name] for x in (labels == name, labels != name)
        )
        above = inside[:, None] - outside[None]
        areas.append(np.mean((above > 0) + (above == 0) / 2))
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Rescaling(1.0, offset=shift)]
    )
    parts = [
        (scores[rows], labels[rows].view(Labels), None)
        for rows in (slice(20), slice(20, None))
    ]
    found = auc_of(answers_in_inference(model, parts), present)
    assert found == pytest.approx(np.mean(areas))


def test_there_is_no_area_of_other_outputs_or_of_one_class():
    images = np.ones((2, 3), "float32")
    labels = np.zeros(2, "int64").view(Labels)
    inputs = keras.Input((3,))
    for outputs in ({"a": inputs}, inputs[:, None], inputs):
        model = keras.Model(inputs, outputs)
        answers = answers_in_inference(model, [(images, labels)])
        assert auc_of(answers, present) is None
    assert auc_of([], present) is None


def test_half_of_what_was_learned_may_be_missing():
    def told(loss, in_inference, guessed=0.7):
        return judge(2, loss, in_inference, guessed)

    assert told(0.1, 0.05) is told(0.1, 0.1) is told(0.1, 0.39) is None
    text = told(0.1, 0.41)
    assert text.startswith("The network of round 2 of erasing has learned")
    assert "with a loss of 0.100" in text and "it is 0.410 (0.700 is" in text
    # Nothing was learned that could be missing, or nobody knows.
    assert told(0.6, 9.0) is told(0.1, 9.0, None) is None
    assert told(None, 9.0) is told(0.1, None) is None
