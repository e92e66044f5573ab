"""From photos and labels of whole images to masks, in one run.

It trains, and so needs TensorFlow. The parts that it is made of stand alone in
`losses`, `models`, `explainers` and `segmentation`.
"""

from keras_xmap.weak_segmentation.mean_iou import mean_iou
from keras_xmap.weak_segmentation.report import Report
from keras_xmap.weak_segmentation.weak_segmentation import WeakSegmentation

__all__ = ["Report", "WeakSegmentation", "mean_iou"]
