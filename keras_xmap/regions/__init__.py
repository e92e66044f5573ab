"""What was found in which image: masks by image, class and round.

Needs NumPy alone; works under every Keras backend.
"""

from keras_xmap.regions.compact_maps import decode_maps
from keras_xmap.regions.compact_maps import encode_maps
from keras_xmap.regions.map_store import MapStore
from keras_xmap.regions.region_store import RegionStore
from keras_xmap.regions.run_lengths import (
    check_run_lengths as check_run_lengths,
)
from keras_xmap.regions.run_lengths import decode_run_lengths
from keras_xmap.regions.run_lengths import encode_run_lengths

__all__ = [
    "MapStore",
    "RegionStore",
    "decode_maps",
    "decode_run_lengths",
    "encode_maps",
    "encode_run_lengths",
]
