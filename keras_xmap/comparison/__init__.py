"""Which map may be believed on a model: its methods, measured side by side."""

from keras_xmap.comparison.compare import compare
from keras_xmap.comparison.compare import compared as compared
from keras_xmap.comparison.comparison import Comparison

__all__ = ["Comparison", "compare"]
