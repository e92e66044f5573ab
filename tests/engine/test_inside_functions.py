"""What is wrong inside of a function that the user compiles.

Sizes are known when it runs, so that TensorFlow raises; what it says must
name the argument, and not an operation of ours.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xmap.explainers import Saliency

pytestmark = pytest.mark.tensorflow

X = np.arange(12, dtype="float32").reshape(3, 4)
KERNEL = np.arange(12, dtype="float32").reshape(4, 3) - 5
ROWS = tf.TensorSpec((None, 4))
CLASSES = tf.TensorSpec((None,), tf.int32)


@pytest.fixture(scope="module")
def saliency():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.set_weights([KERNEL, np.zeros(3)])
    return Saliency(model)


def compiled(explainer, *signature):
    return tf.function(
        lambda x, *target: explainer(x, *target),
        input_signature=signature,
        autograph=False,
    )


CASES = {
    "a class that is none": (
        (ROWS, CLASSES),
        (X, [0, 7, 1]),
        r"`target` must be a class of the model.*\[3\] \[0 7 1\]",
    ),
    "a class beyond 32 bits": (
        (ROWS, tf.TensorSpec((None,), tf.int64)),
        (X, [0, 2**40, 1]),
        r"`target` must be a class of the model",
    ),
    "a negative class": (
        (ROWS, tf.TensorSpec((), tf.int64)),
        (X, -(2**32)),
        r"`target` must be a class of the model",
    ),
    "two classes for three images": (
        (ROWS, CLASSES),
        (X, [0, 1]),
        r"`target` must have one entry per image.*\] \[2\] \[3\]",
    ),
    "one class in an array": (
        (ROWS, CLASSES),
        (X, [1]),
        r"`target` must have one entry per image.*\] \[1\] \[3\]",
    ),
    "two rows of classes": (
        (ROWS, tf.TensorSpec((None, 2), tf.int32)),
        (X, [[0, 1], [1, 2]]),
        r"`target` must have one entry per image.*\] \[2\] \[3\]",
    ),
    "a target of any rank": (
        (ROWS, tf.TensorSpec(None, tf.int32)),
        (X, [0, 1, 2]),
        r"The number of axes of `target` must be known",
    ),
    "an unknown number of classes": (
        (ROWS, tf.TensorSpec((None, None), tf.int32)),
        (X, [[0, 1]] * 3),
        r"The number of classes in `target` must be known",
    ),
    "images of any rank": (
        (tf.TensorSpec(None),),
        (X,),
        r"The number of axes of inputs and targets must be known",
    ),
    "too many features": (
        (tf.TensorSpec((None, None)),),
        (np.ones((3, 5), "float32"),),
        r"declares, \(None, 4\). Received: size along axis 1 =\] \[5\]",
    ),
    "no image": ((ROWS,), (X[:0],), "There is nothing to explain"),
    "NaN": ((ROWS,), (X * np.nan,), "Received: an input with NaN"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_error_names_the_argument_and_its_value(case, saliency):
    signature, values, message = CASES[case]
    with pytest.raises(
        (ValueError, tf.errors.InvalidArgumentError), match=message
    ):
        compiled(saliency, *signature)(*values)


def test_what_is_right_passes_all_of_it(saliency):
    classes = tf.TensorSpec((None,), tf.int64)
    function = compiled(saliency, tf.TensorSpec((None, None)), classes)
    maps = function(X, np.array([0, 2, 1]))
    np.testing.assert_array_equal(maps, np.abs(KERNEL[:, [0, 2, 1]].T))


def test_inputs_of_different_lengths_are_refused_wherever_they_are_called():
    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], layers.Dense(2)(layers.Add()([a, b])))
    explainer = Saliency(model)
    with pytest.raises(ValueError, match=r"of one size. Received: shapes"):
        explainer([X, X[:2]], 1)
    function = tf.function(
        lambda a, b: explainer([a, b], 1),
        input_signature=(ROWS, ROWS),
        autograph=False,
    )
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"of one size.*\] \[3\] \[2\]"
    ):
        function(X, X[:2])


def beyond_the_last_class(scores):
    return scores[:, 7]


def by_name(scores):
    return {"class": scores}["place"]


@pytest.mark.parametrize("target", [beyond_the_last_class, by_name])
def test_a_function_that_fails_is_named_with_what_it_was_given(
    target, saliency
):
    message = r"puts out: 0 \(\w+, 3\). Received: target=<function "
    message += target.__name__
    with pytest.raises(ValueError, match=message):
        saliency.explain(X, target)
    with pytest.raises(ValueError, match=message):
        tf.function(lambda x: saliency(x, target), autograph=False)(X)
