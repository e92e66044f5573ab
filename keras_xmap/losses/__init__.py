"""Losses over explanation maps and maps of classes, for `compile`."""

from keras_xmap.losses.area_ratio import AreaRatio
from keras_xmap.losses.area_ratio import area_ratio
from keras_xmap.losses.constrain_to_boundary_loss import ConstrainToBoundaryLoss
from keras_xmap.losses.constrain_to_boundary_loss import (
    constrain_to_boundary_loss,
)
from keras_xmap.losses.expansion_loss import ExpansionLoss
from keras_xmap.losses.expansion_loss import expansion_loss
from keras_xmap.losses.prohibitive_segmentation_loss import (
    ProhibitiveSegmentationLoss,
)
from keras_xmap.losses.prohibitive_segmentation_loss import (
    prohibitive_segmentation_loss,
)
from keras_xmap.losses.seeding_loss import SeedingLoss
from keras_xmap.losses.seeding_loss import seeding_loss

__all__ = [
    "AreaRatio",
    "ConstrainToBoundaryLoss",
    "ExpansionLoss",
    "ProhibitiveSegmentationLoss",
    "SeedingLoss",
    "area_ratio",
    "constrain_to_boundary_loss",
    "expansion_loss",
    "prohibitive_segmentation_loss",
    "seeding_loss",
]
