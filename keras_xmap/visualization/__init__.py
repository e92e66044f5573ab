"""Maps to pictures: RGB uint8 arrays `(height, width, 3)`, ready to save.

Explainers return numbers. What a number looks like is decided here, once:
bright means important, in every picture and with every colour map. `show` and
`trace` draw with matplotlib, which comes with `keras-xmap[plots]`.
"""

from keras_xmap.visualization.grayscale_attention import grayscale_attention
from keras_xmap.visualization.overlay import overlay
from keras_xmap.visualization.panel import panel
from keras_xmap.visualization.quadtree_cells import quadtree_cells
from keras_xmap.visualization.show import show
from keras_xmap.visualization.slice_panel import slice_panel
from keras_xmap.visualization.to_uint8 import to_uint8
from keras_xmap.visualization.trace import trace

__all__ = [
    "grayscale_attention",
    "overlay",
    "panel",
    "quadtree_cells",
    "show",
    "slice_panel",
    "to_uint8",
    "trace",
]
