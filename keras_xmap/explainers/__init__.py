"""Maps that tell which parts of an input carried a model's answer.

Every explainer is made for one model and then used in one of two ways, like
a Keras model: `explainer(images, target)` as `model(images)`, and
`explainer.explain(data, target)` as `model.predict(data)`.
"""

import keras_xmap.engine  # noqa: F401  (first: it says what is missing)
from keras_xmap.explainers.cam import CAM
from keras_xmap.explainers.grad_cam import GradCAM
from keras_xmap.explainers.guided_backprop import GuidedBackprop
from keras_xmap.explainers.hires_cam import HiResCAM
from keras_xmap.explainers.saliency import Saliency
from keras_xmap.explainers.smooth_grad import SmoothGrad

__all__ = [
    "CAM",
    "GradCAM",
    "GuidedBackprop",
    "HiResCAM",
    "Saliency",
    "SmoothGrad",
]
