"""Functions on tensors that run on every Keras backend."""

from keras_xmap.ops.mean_field import mean_field
from keras_xmap.ops.normalize import normalize
from keras_xmap.ops.relevance import relevance
from keras_xmap.ops.resize import resize

__all__ = ["mean_field", "normalize", "relevance", "resize"]
