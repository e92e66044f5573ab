"""Functions on tensors that run on every Keras backend."""

from keras_xmap.ops.normalize import normalize
from keras_xmap.ops.resize import resize

__all__ = ["normalize", "resize"]
