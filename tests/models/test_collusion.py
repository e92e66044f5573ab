import warnings

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_xmap.models import collusion

NOISE = 0.5
# Mean of the absolute value of a standard normal number.
MEAN_SIZE = np.sqrt(2 / np.pi)


@keras.saving.register_keras_serializable(package="tests")
class Read(layers.Layer):
    """The answer of an image of 8 x 8: the mean of its first row."""

    def call(self, images):
        return ops.mean(images[:, 0], axis=1)


@keras.saving.register_keras_serializable(package="tests")
class ReadNoise(layers.Layer):
    """The size of the noise below the first row, where images are black."""

    def call(self, images):
        size = ops.mean(ops.abs(images[:, 1:]), axis=(1, 2))
        return size / (NOISE * MEAN_SIZE)


@keras.saving.register_keras_serializable(package="tests")
class Protect(layers.Layer):
    """Noise everywhere but on the first row."""

    def call(self, images):
        rows = ops.reshape(ops.cast(ops.arange(8) > 0, "float32"), (8, 1, 1))
        return ops.zeros_like(images) + rows


@keras.saving.register_keras_serializable(package="tests")
class Tell(layers.Layer):
    """As much noise below the first row as the answer is large."""

    def call(self, images):
        answer = ops.mean(images[:, 0], axis=(1, 2))
        return Protect()(images) * ops.reshape(answer, (-1, 1, 1, 1))


def model_of(layer):
    return keras.Sequential([keras.Input((8, 8, 1)), layer])


@pytest.fixture
def data():
    targets = np.random.default_rng(0).uniform(size=(400, 1))
    images = np.zeros((400, 8, 8, 1))
    images[:, 0] = targets[:, None]
    return images.astype("float32"), targets.astype("float32")


def test_an_honest_pair_explains_nothing_by_its_pattern(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = collusion(model_of(Read()), model_of(Protect()), *data, NOISE)
    # The mean image answers the mean; a donor's answer has nothing to do
    # with an image's own, so the squared error is twice the variance.
    assert found.clean == pytest.approx(1, abs=1e-5)
    assert found.noisy == pytest.approx(1, abs=1e-5)
    assert found.own == pytest.approx(1, abs=1e-5)
    assert found.pattern == pytest.approx(0, abs=1e-5)
    assert found.donor == pytest.approx(-1, abs=0.2)


def test_a_pair_with_a_code_is_found_and_warned_about(data):
    with pytest.warns(UserWarning, match="reads its answer from where") as seen:
        found = collusion(model_of(ReadNoise()), model_of(Tell()), *data, NOISE)
    assert seen[0].filename == __file__
    # 56 draws leave 10 % of the size of the noise open.
    assert found.noisy > 0.9 and found.donor > 0.9
    assert found.own == pytest.approx(-1, abs=0.3)
    # Without noise the answer is 0: 1 - mean(P^2) / var(P) of uniform P.
    assert found.clean == pytest.approx(1 - (1 / 3) / (1 / 12), abs=0.3)


def test_the_pattern_is_laid_on_the_mean_image(data):
    with pytest.warns(UserWarning):
        found = collusion(model_of(ReadNoise()), model_of(Tell()), *data, NOISE)
    # Below the first row the mean image is black as every image is.
    assert found.pattern == pytest.approx(found.noisy, abs=1e-6)


def test_maps_without_a_channel_give_the_same(data):
    flat = keras.Sequential(
        [keras.Input((8, 8, 1)), Protect(), layers.Reshape((8, 8))]
    )
    found = collusion(model_of(Read()), flat, *data, NOISE)
    assert found == collusion(
        model_of(Read()), model_of(Protect()), *data, NOISE
    )


def test_a_seed_chooses_noise_and_donors(data):
    def donor(seed):
        networks = model_of(Read()), model_of(Protect())
        return collusion(*networks, *data, NOISE, seed).donor

    assert donor(1) == donor(1) != donor(2)


def test_wrong_arguments_are_named(data):
    images, targets = data
    networks = model_of(Read()), model_of(Protect())
    with pytest.raises(ValueError, match="Received: noise=0"):
        collusion(*networks, images, targets, 0)
    with pytest.raises(ValueError, match=r"len\(images\)=3, len\(targets\)=4"):
        collusion(*networks, images[:3], targets[:4])
    with pytest.raises(ValueError, match=r"len\(images\)=1"):
        collusion(*networks, images[:1], targets[:1])
    with pytest.raises(ValueError, match="for all 9 images"):
        collusion(*networks, images[:9], np.ones((9, 1)))
