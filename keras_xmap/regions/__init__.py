"""What was found in which image: masks by image, class and round.

Needs NumPy alone; works under every Keras backend.
"""

from keras_xmap.regions._run_lengths import decode_run_lengths
from keras_xmap.regions._run_lengths import encode_run_lengths
from keras_xmap.regions.region_store import RegionStore

__all__ = ["RegionStore", "decode_run_lengths", "encode_run_lengths"]
