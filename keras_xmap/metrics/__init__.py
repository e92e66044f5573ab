"""Metrics of maps: how well they point at the object, and at the model."""

from keras_xmap.metrics.collusion import Collusion
from keras_xmap.metrics.collusion import collusion
from keras_xmap.metrics.energy_in_mask import EnergyInMask
from keras_xmap.metrics.label_randomization import label_randomization
from keras_xmap.metrics.map_similarity import MapSimilarity
from keras_xmap.metrics.map_similarity import map_similarity
from keras_xmap.metrics.max_box_accuracy import MaxBoxAccuracy
from keras_xmap.metrics.mean_iou import MeanIoU
from keras_xmap.metrics.parameter_randomization import parameter_randomization
from keras_xmap.metrics.pixel_average_precision import PixelAveragePrecision
from keras_xmap.metrics.pointing_game import PointingGame

__all__ = [
    "Collusion",
    "EnergyInMask",
    "MapSimilarity",
    "MaxBoxAccuracy",
    "MeanIoU",
    "PixelAveragePrecision",
    "PointingGame",
    "collusion",
    "label_randomization",
    "map_similarity",
    "parameter_randomization",
]
