"""Builders of ordinary Keras models that carry their own evidence."""

from keras_xmap.models._data_format import DataFormats as DataFormats
from keras_xmap.models._surgery import Recording as Recording
from keras_xmap.models._surgery import Replay as Replay
from keras_xmap.models._surgery import copy_weights as copy_weights
from keras_xmap.models._surgery import is_graph as is_graph
from keras_xmap.models.attention_network import attention_network
from keras_xmap.models.complementary import complementary
from keras_xmap.models.complementary import complementary_maps
from keras_xmap.models.fully_convolutional import fully_convolutional
from keras_xmap.models.multi_label_classifier import multi_label_classifier
from keras_xmap.models.pixel_attention import pixel_attention
from keras_xmap.models.pixel_attention_model import PixelAttention
from keras_xmap.models.quadtree_decoder import quadtree_decoder
from keras_xmap.models.roi_classifier import roi_classifier
from keras_xmap.models.segmentation_network import segmentation_network

__all__ = [
    "PixelAttention",
    "attention_network",
    "complementary",
    "complementary_maps",
    "fully_convolutional",
    "multi_label_classifier",
    "pixel_attention",
    "quadtree_decoder",
    "roi_classifier",
    "segmentation_network",
]
