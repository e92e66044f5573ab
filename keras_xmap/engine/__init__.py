"""Any Keras model in, evidence out: scores, activations and gradients.

What is here is written for every backend. What a backend has to answer
stands in `contract`; the answers of TensorFlow in `engine.tensorflow`, which
is loaded when the first model is explained.
"""

from keras_xmap.engine.backend import after
from keras_xmap.engine.backend import backend
from keras_xmap.engine.backend import evaluate
from keras_xmap.engine.backend import mean_of_samples
from keras_xmap.engine.backend import normal_noise
from keras_xmap.engine.backend import require
from keras_xmap.engine.backend import stack_of_samples
from keras_xmap.engine.backend import uniform_noise
from keras_xmap.engine.contract import RELU_RULES
from keras_xmap.engine.contract import STAGES
from keras_xmap.engine.contract import Backend
from keras_xmap.engine.contract import Evaluation
from keras_xmap.engine.contract import Placement
from keras_xmap.engine.contract import RuleError
from keras_xmap.engine.geometry import Geometry
from keras_xmap.engine.geometry import GeometryError
from keras_xmap.engine.geometry import TooFewSizesError
from keras_xmap.engine.given import given
from keras_xmap.engine.given import map_given
from keras_xmap.engine.input_layout import InputLayout
from keras_xmap.engine.named_inputs import chosen_inputs
from keras_xmap.engine.noise import noise_in_range
from keras_xmap.engine.run import Runner
from keras_xmap.engine.run import progress_bar
from keras_xmap.engine.source import Source
from keras_xmap.engine.units import Unit
from keras_xmap.engine.ways_past import WaysPast

__all__ = [
    "RELU_RULES",
    "STAGES",
    "Backend",
    "Evaluation",
    "Geometry",
    "GeometryError",
    "InputLayout",
    "Placement",
    "RuleError",
    "Runner",
    "Source",
    "TooFewSizesError",
    "Unit",
    "WaysPast",
    "after",
    "backend",
    "chosen_inputs",
    "evaluate",
    "given",
    "map_given",
    "mean_of_samples",
    "noise_in_range",
    "normal_noise",
    "progress_bar",
    "require",
    "stack_of_samples",
    "uniform_noise",
]
