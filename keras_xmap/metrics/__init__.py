"""Metrics of maps: how well they point at the object, and at the model.

Those that hold maps against masks or boxes, such as `PointingGame`, take them
as Keras' own metrics take labels. Those that ask the model about its maps,
such as `Deletion`, are made for one model, as explainers are, and take the
images, their maps and the target that these explain.
"""

from keras_xmap.metrics.average_drop import AverageDrop
from keras_xmap.metrics.collusion import Collusion
from keras_xmap.metrics.collusion import collusion
from keras_xmap.metrics.curves import Curves
from keras_xmap.metrics.deletion import Deletion
from keras_xmap.metrics.energy_in_mask import EnergyInMask
from keras_xmap.metrics.increase_in_confidence import IncreaseInConfidence
from keras_xmap.metrics.infidelity import Infidelity
from keras_xmap.metrics.insertion import Insertion
from keras_xmap.metrics.label_randomization import label_randomization
from keras_xmap.metrics.map_similarity import MapSimilarity
from keras_xmap.metrics.map_similarity import map_similarity
from keras_xmap.metrics.max_box_accuracy import MaxBoxAccuracy
from keras_xmap.metrics.max_sensitivity import MaxSensitivity
from keras_xmap.metrics.mean_iou import MeanIoU
from keras_xmap.metrics.parameter_randomization import parameter_randomization
from keras_xmap.metrics.pixel_average_precision import PixelAveragePrecision
from keras_xmap.metrics.pointing_game import PointingGame
from keras_xmap.metrics.road import ROAD
from keras_xmap.metrics.sparseness import Sparseness

__all__ = [
    "ROAD",
    "AverageDrop",
    "Collusion",
    "Curves",
    "Deletion",
    "EnergyInMask",
    "IncreaseInConfidence",
    "Infidelity",
    "Insertion",
    "MapSimilarity",
    "MaxBoxAccuracy",
    "MaxSensitivity",
    "MeanIoU",
    "PixelAveragePrecision",
    "PointingGame",
    "Sparseness",
    "collusion",
    "label_randomization",
    "map_similarity",
    "parameter_randomization",
]
