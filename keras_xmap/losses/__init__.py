"""Losses over explanation maps, for `compile` or `add_loss`."""

from keras_xmap.losses.area_ratio import AreaRatio
from keras_xmap.losses.area_ratio import area_ratio

__all__ = ["AreaRatio", "area_ratio"]
