"""What was found in which image: masks by image, class and round."""

from keras_xmap.regions.region_store import RegionStore
from keras_xmap.regions.run_length import decode_run_lengths
from keras_xmap.regions.run_length import encode_run_lengths

__all__ = ["RegionStore", "decode_run_lengths", "encode_run_lengths"]
