import tensorflow as tf

from keras_xmap.engine.contract import Backend
from keras_xmap.engine.given import map_given
from keras_xmap.engine.tensorflow import _checks
from keras_xmap.engine.tensorflow import _sampling
from keras_xmap.engine.tensorflow._evaluation import NOT_CALLED
from keras_xmap.engine.tensorflow._evaluation import evaluate
from keras_xmap.engine.tensorflow._evaluation import not_called
from keras_xmap.engine.tensorflow._placement import OnHost
from keras_xmap.engine.tensorflow._placement import placement


class TensorFlow(Backend):
    """Graphs of `tf.function`, and strategies of `tf.distribute`."""

    def evaluate(self, model, inputs, score, replacement=None):
        return evaluate(model, inputs, score, replacement)

    def placement(self, model):
        return placement(model)

    def placement_here(self):
        return OnHost()

    def is_tracing(self):
        return tf.inside_function()

    def plain(self, function):
        return tf.autograph.experimental.do_not_convert(function)

    def build(self, model, inputs):
        with tf.init_scope():
            zeros = map_given(
                lambda x: tf.zeros((1, *x.shape[1:]), x.dtype), inputs
            )
            try:
                model(zeros, training=False)
            except NOT_CALLED as error:
                raise not_called(model, zeros, error) from error

    def finite(self, inputs):
        return _checks.finite(inputs)

    def require(self, condition, message, *values):
        return _checks.require(condition, message, *values)

    def behind(self, conditions, structure):
        return _checks.behind(conditions, structure)

    def after(self, done, structure):
        with tf.control_dependencies(done):
            return map_given(tf.identity, structure)

    def normal_noise(self, shape, seed, index):
        return _sampling.normal_noise(shape, seed, index)

    def uniform_noise(self, shape, seed, index):
        return _sampling.uniform_noise(shape, seed, index)

    def mean_of_samples(self, function, num_samples, like):
        return _sampling.mean_of_samples(function, num_samples, like)

    def stack_of_samples(self, function, num_samples):
        return _sampling.stack_of_samples(function, num_samples)
