"""Maps that tell which parts of an input carried a model's answer.

Every explainer is made for one model and then used in one of two ways, like
a Keras model: `explainer(images, target)` as `model(images)`, and
`explainer.explain(data, target)` as `model.predict(data)`.
"""

from keras_xmap.engine import InputLayout
from keras_xmap.explainers._fixed_target import Observer as Observer
from keras_xmap.explainers._fixed_target import of_images as of_images
from keras_xmap.explainers._views import as_views as as_views
from keras_xmap.explainers.cam import CAM
from keras_xmap.explainers.cam_explainer import CAMExplainer
from keras_xmap.explainers.channel_sum_explainer import ChannelSumExplainer
from keras_xmap.explainers.class_model import ClassModel
from keras_xmap.explainers.deconv_net import DeconvNet
from keras_xmap.explainers.distinct_class_saliency import DistinctClassSaliency
from keras_xmap.explainers.eigen_cam import EigenCAM
from keras_xmap.explainers.explainer import Explainer
from keras_xmap.explainers.grad_cam import GradCAM
from keras_xmap.explainers.grad_cam_plus_plus import GradCAMPlusPlus
from keras_xmap.explainers.gradient_explainer import GradientExplainer
from keras_xmap.explainers.gradient_explainer import Gradients
from keras_xmap.explainers.gradient_input import GradientInput
from keras_xmap.explainers.guided_backprop import GuidedBackprop
from keras_xmap.explainers.guided_grad_cam import GuidedGradCAM
from keras_xmap.explainers.hires_cam import HiResCAM
from keras_xmap.explainers.integrated_gradients import IntegratedGradients
from keras_xmap.explainers.layer_cam import LayerCAM
from keras_xmap.explainers.occlusion import Occlusion
from keras_xmap.explainers.perturbation_explainer import PerturbationExplainer
from keras_xmap.explainers.quadtree_occlusion import QuadtreeOcclusion
from keras_xmap.explainers.region_cam import RegionCAM
from keras_xmap.explainers.rise import RISE
from keras_xmap.explainers.saliency import Saliency
from keras_xmap.explainers.score_cam import ScoreCAM
from keras_xmap.explainers.smooth_grad import SmoothGrad

__all__ = [
    "CAM",
    "RISE",
    "CAMExplainer",
    "ChannelSumExplainer",
    "ClassModel",
    "DeconvNet",
    "DistinctClassSaliency",
    "EigenCAM",
    "Explainer",
    "GradCAM",
    "GradCAMPlusPlus",
    "GradientExplainer",
    "GradientInput",
    "Gradients",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "InputLayout",
    "IntegratedGradients",
    "LayerCAM",
    "Occlusion",
    "PerturbationExplainer",
    "QuadtreeOcclusion",
    "RegionCAM",
    "Saliency",
    "ScoreCAM",
    "SmoothGrad",
]
