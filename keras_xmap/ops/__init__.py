"""Functions on tensors that run on every Keras backend."""

from keras_xmap.ops._quadtree_cells import divided as divided
from keras_xmap.ops._quadtree_cells import halves as halves
from keras_xmap.ops.above_threshold import above_threshold
from keras_xmap.ops.box_iou import box_iou
from keras_xmap.ops.calibrate import calibrate
from keras_xmap.ops.calibrate import calibrated as calibrated
from keras_xmap.ops.calibrate import named_pixels as named_pixels
from keras_xmap.ops.crf_parameters import crf_parameters
from keras_xmap.ops.gaussian_blur import gaussian_blur
from keras_xmap.ops.global_weighted_rank_pooling import (
    global_weighted_rank_pooling,
)
from keras_xmap.ops.mean_field import mean_field
from keras_xmap.ops.normalize import normalize
from keras_xmap.ops.quadtree import quadtree
from keras_xmap.ops.quadtree_decode import quadtree_decode
from keras_xmap.ops.quadtree_encode import quadtree_encode
from keras_xmap.ops.quadtree_labels import quadtree_labels
from keras_xmap.ops.quadtree_leaves import quadtree_leaves
from keras_xmap.ops.quadtree_table import quadtree_table
from keras_xmap.ops.relevance import relevance
from keras_xmap.ops.resize import resize
from keras_xmap.ops.suppress_classes import suppress_classes

__all__ = [
    "above_threshold",
    "box_iou",
    "calibrate",
    "crf_parameters",
    "gaussian_blur",
    "global_weighted_rank_pooling",
    "mean_field",
    "normalize",
    "quadtree",
    "quadtree_decode",
    "quadtree_encode",
    "quadtree_labels",
    "quadtree_leaves",
    "quadtree_table",
    "relevance",
    "resize",
    "suppress_classes",
]
