"""From maps to masks, boxes and pseudo labels."""

from keras_xmap.segmentation.affinity import Affinity
from keras_xmap.segmentation.background_cue import background_cue
from keras_xmap.segmentation.boxes import boxes
from keras_xmap.segmentation.confident_labels import confident_labels
from keras_xmap.segmentation.crop import crop
from keras_xmap.segmentation.drfi import DRFI
from keras_xmap.segmentation.grabcut import grabcut
from keras_xmap.segmentation.guided_labels import guided_labels
from keras_xmap.segmentation.pseudo_labels import pseudo_labels
from keras_xmap.segmentation.random_walk import random_walk
from keras_xmap.segmentation.refine_with_crf import refine_with_crf
from keras_xmap.segmentation.region_descriptors import region_descriptors
from keras_xmap.segmentation.to_probabilities import to_probabilities

__all__ = [
    "DRFI",
    "Affinity",
    "background_cue",
    "boxes",
    "confident_labels",
    "crop",
    "grabcut",
    "guided_labels",
    "pseudo_labels",
    "random_walk",
    "refine_with_crf",
    "region_descriptors",
    "to_probabilities",
]
