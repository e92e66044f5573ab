"""Metrics of maps: how well they point at the object."""

from keras_xmap.metrics.collusion import Collusion
from keras_xmap.metrics.collusion import collusion
from keras_xmap.metrics.energy_in_mask import EnergyInMask
from keras_xmap.metrics.max_box_accuracy import MaxBoxAccuracy
from keras_xmap.metrics.mean_iou import MeanIoU
from keras_xmap.metrics.pixel_average_precision import PixelAveragePrecision
from keras_xmap.metrics.pointing_game import PointingGame

__all__ = [
    "Collusion",
    "EnergyInMask",
    "MaxBoxAccuracy",
    "MeanIoU",
    "PixelAveragePrecision",
    "PointingGame",
    "collusion",
]
