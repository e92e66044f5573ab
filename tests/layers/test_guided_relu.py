import keras
import numpy as np
import pytest
from backend_gradients import gradient

from keras_xmap import layers

X = np.array([[-1.0, 0.0, 2.0, 3.0]], "float32")
UPSTREAM = np.array([[1.0, 1.0, -5.0, 4.0]], "float32")


def test_only_positive_gradients_of_positive_inputs_pass():
    layer = layers.GuidedReLU()
    assert np.asarray(layer(X)).tolist() == [[0, 0, 2, 3]]
    assert gradient(layer, X, UPSTREAM).tolist() == [[0, 0, 0, 4]]


def test_ordinary_relu_would_pass_the_negative_gradient():
    relu = keras.layers.ReLU()
    assert gradient(relu, X, UPSTREAM).tolist() == [[0, 0, -5, 4]]


def test_the_plateau_under_a_ceiling_has_no_gradient():
    layer = layers.GuidedReLU(max_value=6.0)
    x = np.array([[-1.0, 5.9, 6.0, 7.0]], "float32")
    np.testing.assert_allclose(layer(x), [[0, 5.9, 6, 6]])
    assert gradient(layer, x, np.ones_like(x)).tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize("max_value", [None, 2.5, 6.0])
def test_forwards_it_is_relu(max_value):
    x = np.random.default_rng(0).normal(size=(50,), scale=4.0)
    expected = keras.layers.ReLU(max_value=max_value)(x)
    y = layers.GuidedReLU(max_value=max_value)(x)
    assert (np.asarray(y) == np.asarray(expected)).all()


def test_a_network_of_positive_weights_has_its_ordinary_gradient():
    def network(activation):
        first = keras.layers.Dense(5, kernel_initializer="ones")
        second = keras.layers.Dense(1, kernel_initializer="ones")
        return lambda x: second(activation(first(x)))

    x = np.random.default_rng(0).uniform(size=(3, 4)).astype("float32")
    ones = np.ones((3, 1), "float32")
    guided = gradient(network(layers.GuidedReLU()), x, ones)
    ordinary = gradient(network(keras.layers.ReLU()), x, ones)
    assert (guided == ordinary).all() and guided.all()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_gradients_keep_their_dtype(policy):
    layer = layers.GuidedReLU(max_value=6.0, dtype=policy)
    x = keras.ops.cast(X, layer.compute_dtype)
    dx = gradient(layer, x, keras.ops.cast(UPSTREAM, layer.compute_dtype))
    assert dx.astype("float32").tolist() == [[0, 0, 0, 4]]
    assert keras.backend.standardize_dtype(dx.dtype) == layer.compute_dtype


@pytest.mark.tensorflow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_rule_holds_in_a_compiled_function(jit_compile):
    import tensorflow as tf

    layer = layers.GuidedReLU()

    @tf.function(jit_compile=jit_compile)
    def compiled(x, upstream):
        return tf.gradients(layer(x), x, grad_ys=upstream)[0]

    dx = compiled(tf.constant(X), tf.constant(UPSTREAM))
    assert dx.numpy().tolist() == [[0, 0, 0, 4]]


def test_the_rule_holds_on_every_replica(strategy):
    import tensorflow as tf

    with strategy.scope():
        layer = layers.GuidedReLU()

    @tf.function
    def on_replicas():
        return strategy.run(lambda: gradient_in_graph(layer))

    def gradient_in_graph(layer):
        x = tf.constant(X)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, x, output_gradients=tf.constant(UPSTREAM))

    for dx in strategy.experimental_local_results(on_replicas()):
        assert dx.numpy().tolist() == [[0, 0, 0, 4]]


@pytest.mark.parametrize("value", [0, -1, "six"])
def test_a_ceiling_that_is_not_positive_is_named(value):
    with pytest.raises(ValueError, match=f"Received: max_value={value!r}"):
        layers.GuidedReLU(max_value=value)


@pytest.mark.parametrize("inputs", [None, []])
def test_what_is_no_tensor_is_named(inputs):
    with pytest.raises(TypeError, match="`inputs` must be an array or a tens"):
        layers.GuidedReLU()(inputs)
