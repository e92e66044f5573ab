"""Layers that use or produce evidence while a model trains."""

from keras_xmap.layers.area_ratio_loss import AreaRatioLoss
from keras_xmap.layers.block_sparse_conv_2d import BlockSparseConv2D
from keras_xmap.layers.complementary_head import ComplementaryHead
from keras_xmap.layers.dense_crf import DenseCRF
from keras_xmap.layers.erase_regions import EraseRegions
from keras_xmap.layers.global_weighted_rank_pooling_2d import (
    GlobalWeightedRankPooling2D,
)
from keras_xmap.layers.guided_relu import GuidedReLU
from keras_xmap.layers.hide_and_seek import HideAndSeek
from keras_xmap.layers.mask_noise import MaskNoise
from keras_xmap.layers.quadtree_conv_2d import QuadtreeConv2D
from keras_xmap.layers.quadtree_image import QuadtreeImage
from keras_xmap.layers.quadtree_leaves import QuadtreeLeaves
from keras_xmap.layers.quadtree_pooling_2d import QuadtreePooling2D
from keras_xmap.layers.quadtree_unpooling_2d import QuadtreeUnpooling2D
from keras_xmap.layers.roi_attention import ROIAttention

__all__ = [
    "AreaRatioLoss",
    "BlockSparseConv2D",
    "ComplementaryHead",
    "DenseCRF",
    "EraseRegions",
    "GlobalWeightedRankPooling2D",
    "GuidedReLU",
    "HideAndSeek",
    "MaskNoise",
    "QuadtreeConv2D",
    "QuadtreeImage",
    "QuadtreeLeaves",
    "QuadtreePooling2D",
    "QuadtreeUnpooling2D",
    "ROIAttention",
]
