"""Which map may be believed on a model: its methods, measured side by side."""

from keras_xmap.comparison.compare import compare
from keras_xmap.comparison.comparison import Comparison
from keras_xmap.comparison.data_report import DataReport
from keras_xmap.comparison.report import report

__all__ = ["Comparison", "DataReport", "compare", "report"]
