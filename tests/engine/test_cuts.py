import itertools

import numpy as np
import pytest
import tensorflow as tf
from engine.graph_cases import traced

from keras_xmap.engine.tensorflow import _cuts as cuts
from keras_xmap.engine.tensorflow import _ways as ways

pytestmark = pytest.mark.tensorflow


def sums(source, generator, count):
    """Returns tensors, each the sum of two before it, and the last of them."""
    found = [tf.square(source)]
    for _ in range(count):
        one, other = generator.integers(len(found), size=2)
        found.append(tf.add(found[one], found[other]))
    return found


def cuts_all(score, tensors, source):
    return not ways.nearest(score, tensors, [source])[1]


def smallest(score, tensors, source):
    for size in range(1, len(tensors) + 1):
        for some in itertools.combinations(tensors, size):
            if cuts_all(score, some, source):
                return size
    return None


@pytest.mark.parametrize("seed", range(8))
def test_as_few_tensors_are_found_as_there_can_be(seed):
    generator = np.random.default_rng(seed)

    def step(source):
        *tensors, score = sums(source, generator, 9)
        chosen = [x for x in tensors[1:] if generator.random() < 0.8]
        if not cuts_all(score, chosen, source):
            chosen = tensors
        found = cuts.fewest(score, chosen, [source])
        found = [x for x in chosen if x.ref() in found]
        assert cuts_all(score, found, source)
        return [len(found), smallest(score, chosen, source)]

    counted, expected = traced(step, np.ones((2,), "float32"))
    assert counted == expected


def test_of_several_the_nearest_to_the_score_are_taken():
    def step(source):
        first = tf.square(source)
        second = tf.exp(first)
        last = tf.tanh(second)
        score = tf.add(last, tf.abs(last))
        found = cuts.fewest(score, [first, second, last], [source])
        return [[x.ref() in found for x in (first, second, last)]]

    assert traced(step, np.ones((2,), "float32")) == [[False, False, True]]
