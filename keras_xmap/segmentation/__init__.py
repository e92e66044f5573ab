"""From maps to masks, boxes and pseudo labels."""

from keras_xmap.segmentation.boxes import boxes
from keras_xmap.segmentation.crop import crop
from keras_xmap.segmentation.grabcut import grabcut
from keras_xmap.segmentation.guided_labels import guided_labels
from keras_xmap.segmentation.pseudo_labels import pseudo_labels
from keras_xmap.segmentation.refine_with_crf import refine_with_crf
from keras_xmap.segmentation.to_probabilities import to_probabilities

__all__ = [
    "boxes",
    "crop",
    "grabcut",
    "guided_labels",
    "pseudo_labels",
    "refine_with_crf",
    "to_probabilities",
]
