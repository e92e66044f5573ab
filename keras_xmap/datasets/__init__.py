"""Data with known pixel masks that ships or is generated: no downloads."""

from keras_xmap.datasets.handwritten_scenes import HandwrittenScenes
from keras_xmap.datasets.handwritten_scenes import handwritten_scenes

__all__ = [
    "HandwrittenScenes",
    "handwritten_scenes",
]
