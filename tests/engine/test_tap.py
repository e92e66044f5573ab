import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from engine.graph_cases import traced
from keras import layers

from keras_xmap.engine._tap import record_calls
from keras_xmap.engine.tensorflow._evaluation import _uncompiled

pytestmark = pytest.mark.tensorflow


def small_model():
    base = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="a")], name="base"
    )
    return keras.Sequential(
        [keras.Input((4,)), base, layers.Dense(2, name="b")]
    )


def recorded(model, x):
    def step(x):
        with record_calls(_uncompiled) as recording:
            model(x)
        return recording

    return traced(lambda x: [step(x)], x)[0]


def test_calls_are_recorded_in_order_with_their_paths():
    recording = recorded(small_model(), np.ones((1, 4), "float32"))
    paths = [call.path for call in recording.calls]
    assert paths == ["base/a", "base", "b", ""]
    assert [call.is_leaf for call in recording.calls] == [
        True,
        False,
        True,
        False,
    ]


def test_layers_in_lists_dicts_and_functions_are_seen():
    class Container(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = {"x": [layers.Dense(2, name="deep")]}

        def call(self, x):
            return self.parts["x"][0](x)

    model = Container()
    x = np.ones((1, 4), "float32")
    model(x)
    assert recorded(model, x).calls[0].path == "deep"


def test_a_layer_with_a_compiled_call_is_traced_as_python():
    class Compiled(layers.Layer):
        def __init__(self):
            super().__init__(name="compiled")
            self.inner = layers.Dense(2, name="inner")

        @tf.function
        def call(self, x):
            return self.inner(x)

    layer = Compiled()
    x = np.ones((1, 4), "float32")
    expected = layer(x).numpy()
    attributes = set(vars(layer))
    model = keras.Sequential([keras.Input((4,)), layer])

    def step(x):
        with record_calls(_uncompiled) as recording:
            outputs = model(x)
        inner = next(c for c in recording.calls if c.path == "compiled/inner")
        assert inner.outputs.graph is tf.compat.v1.get_default_graph()
        return outputs

    np.testing.assert_allclose(traced(step, x), expected, rtol=1e-6)
    assert set(vars(layer)) == attributes
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-6)


def test_the_tap_is_gone_afterwards_also_after_an_error():
    untapped = keras.layers.Layer.__call__
    with record_calls():
        assert keras.layers.Layer.__call__ is not untapped
    assert keras.layers.Layer.__call__ is untapped
    with pytest.raises(RuntimeError), record_calls():
        raise RuntimeError
    assert keras.layers.Layer.__call__ is untapped


def test_other_threads_are_not_recorded():
    model, x = small_model(), np.ones((1, 4), "float32")
    untapped = keras.layers.Layer.__call__
    with record_calls(_uncompiled) as recording:
        thread = threading.Thread(target=model, args=(x,))
        thread.start()
        thread.join()
        assert recording.calls == []
    assert keras.layers.Layer.__call__ is untapped


def test_recordings_of_many_threads_stay_apart():
    models = [small_model() for _ in range(4)]
    x = np.ones((1, 4), "float32")
    found, untapped = {}, keras.layers.Layer.__call__

    def work(number):
        found[number] = [
            [c.layer for c in recorded(models[number], x).calls]
            for _ in range(10)
        ]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, recordings in found.items():
        own = {id(x) for x in models[number]._flatten_layers()}
        for called in recordings:
            assert len(called) == 4
            assert {id(layer) for layer in called} <= own
    assert keras.layers.Layer.__call__ is untapped


def test_the_data_format_is_that_of_the_last_layer_that_has_one():
    inputs = keras.Input((8, 8, 3))
    x = layers.Permute((3, 1, 2))(layers.Conv2D(2, 3)(inputs))
    x = layers.MaxPooling2D(data_format="channels_first")(x)
    model = keras.Model(inputs, layers.ReLU(name="end")(x))
    calls = recorded(model, np.ones((1, 8, 8, 3), "float32"))
    formats = {c.path: c.data_format for c in calls.calls}
    assert formats["permute"] == "channels_last"
    assert formats["end"] == "channels_first"
    assert calls.input_data_format == "channels_last"
