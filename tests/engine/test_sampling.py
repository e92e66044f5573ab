import numpy as np
import pytest
import tensorflow as tf

from keras_xmap.engine import mean_of_samples
from keras_xmap.engine import normal_noise

pytestmark = pytest.mark.tensorflow

VALUES = np.random.default_rng(0).normal(size=(7, 2, 3)).astype("float32")


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_mean_is_that_of_numpy(count):
    like = tf.zeros((2, 3))
    mean = mean_of_samples(lambda i: tf.constant(VALUES)[i], count, like)
    np.testing.assert_allclose(mean, VALUES[:count].mean(axis=0), rtol=1e-6)
    compiled = tf.function(
        lambda: mean_of_samples(lambda i: tf.constant(VALUES)[i], count, like)
    )
    np.testing.assert_allclose(compiled(), mean, rtol=1e-6)


def test_every_sample_has_its_number_once_in_order():
    mean = mean_of_samples(
        lambda i: tf.cast(10**i, tf.float32), 5, tf.constant(0.0)
    )
    np.testing.assert_allclose(mean, 11111 / 5, rtol=1e-6)


def test_structures_keep_their_shape():
    like = [{"a": tf.zeros(2)}, (tf.zeros((1, 2)), tf.zeros(()))]

    def sample(index):
        value = tf.cast(index, tf.float32)
        return [{"a": value * tf.ones(2)}, (tf.ones((1, 2)), 2 * value)]

    mean = mean_of_samples(sample, 4, like)
    np.testing.assert_allclose(mean[0]["a"], [1.5, 1.5])
    np.testing.assert_allclose(mean[1][0], [[1, 1]])
    np.testing.assert_allclose(mean[1][1], 3)


def test_half_precision_is_summed_in_float32():
    """1000 ones and a little: beyond 2048, float16 cannot count."""
    mean = mean_of_samples(
        lambda i: tf.constant(1.001, tf.float16), 4000, tf.zeros((), "float16")
    )
    assert mean.dtype == tf.float32
    np.testing.assert_allclose(mean, np.float16(1.001), rtol=1e-4)


def test_a_function_is_traced_once_inside_a_compiled_step():
    traces = []

    @tf.function
    def step(x):
        def sample(index):
            traces.append(index)
            return x * tf.cast(index, tf.float32)

        return mean_of_samples(sample, 500, x)

    np.testing.assert_allclose(step(tf.ones(2)), [249.5] * 2)
    assert len(traces) == 1


def test_sizes_may_be_unknown():
    @tf.function(input_signature=[tf.TensorSpec((None, None))])
    def step(x):
        return mean_of_samples(lambda i: x, 3, x)

    np.testing.assert_allclose(step(VALUES[0]), VALUES[0], rtol=1e-6)


def test_the_same_seed_and_index_give_the_same_noise_everywhere():
    first = normal_noise((3, 4), 7, 2)
    assert first.dtype == tf.float32
    compiled = tf.function(lambda seed, i: normal_noise((3, 4), seed, i))
    for again in (
        normal_noise((3, 4), 7, 2),
        normal_noise((3, 4), tf.constant(7), tf.constant(2)),
        normal_noise((3, 4), np.int64(7), np.int64(2)),
        compiled(tf.constant(7), tf.constant(2)),
    ):
        np.testing.assert_array_equal(again, first)


def test_other_seeds_and_indices_give_other_noise():
    fields = [
        normal_noise((50,), seed, index).numpy()
        for seed in (0, 1, -1)
        for index in (0, 1, 2)
    ]
    for i, one in enumerate(fields):
        for other in fields[i + 1 :]:
            assert np.abs(np.corrcoef(one, other)[0, 1]) < 0.5


def test_the_noise_is_standard_normal():
    noise = normal_noise((200_000,), 0, 0).numpy()
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    assert abs((np.abs(noise) < 1).mean() - 0.6827) < 0.01
    assert abs((noise**3).mean()) < 0.05
