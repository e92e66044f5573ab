"""Models that run on TensorFlow: the answers that `contract` asks for."""

from keras_xmap.engine.tensorflow.tensorflow import TensorFlow

__all__ = ["TensorFlow"]
