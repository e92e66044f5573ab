"""Data with known pixel masks: generated, or read from your own folders."""

from keras_xmap.datasets._pairs import check_images as check_images
from keras_xmap.datasets._pairs import check_pairs as check_pairs
from keras_xmap.datasets._pairs import inputs_of as inputs_of
from keras_xmap.datasets.channel_statistics import channel_statistics
from keras_xmap.datasets.coco_instances import COCOInstances
from keras_xmap.datasets.context_scenes import ContextScenes
from keras_xmap.datasets.context_scenes import context_scenes
from keras_xmap.datasets.ellipses import Ellipses
from keras_xmap.datasets.ellipses import ellipses
from keras_xmap.datasets.handwritten_scenes import HandwrittenScenes
from keras_xmap.datasets.handwritten_scenes import handwritten_scenes
from keras_xmap.datasets.labelled_folder import LabelledFolder
from keras_xmap.datasets.paired_augmentation import PairedAugmentation
from keras_xmap.datasets.printed_scenes import PrintedScenes
from keras_xmap.datasets.printed_scenes import printed_scenes
from keras_xmap.datasets.read_label_map import read_label_map
from keras_xmap.datasets.read_photo import read_photo
from keras_xmap.datasets.region_batches import region_batches
from keras_xmap.datasets.region_folders import RegionFolders
from keras_xmap.datasets.textured_ellipses import TexturedEllipses
from keras_xmap.datasets.textured_ellipses import textured_ellipses
from keras_xmap.datasets.two_cue_objects import TwoCueObjects
from keras_xmap.datasets.two_cue_objects import two_cue_objects
from keras_xmap.datasets.voc_folder import VOCFolder
from keras_xmap.datasets.write_label_map import write_label_map

__all__ = [
    "COCOInstances",
    "ContextScenes",
    "Ellipses",
    "HandwrittenScenes",
    "LabelledFolder",
    "PairedAugmentation",
    "PrintedScenes",
    "RegionFolders",
    "TexturedEllipses",
    "TwoCueObjects",
    "VOCFolder",
    "channel_statistics",
    "context_scenes",
    "ellipses",
    "handwritten_scenes",
    "printed_scenes",
    "read_label_map",
    "read_photo",
    "region_batches",
    "textured_ellipses",
    "two_cue_objects",
    "write_label_map",
]
