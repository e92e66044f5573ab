"""Adversarial erasing: rounds that find, erase and look again.

`callbacks.AdversarialErasing` runs them inside `model.fit`.
"""

from keras_xmap.erasing._restart import Restart
from keras_xmap.erasing._restart import check_reset
from keras_xmap.erasing._rounds import ErasingRounds
from keras_xmap.erasing.erased import erased

__all__ = ["ErasingRounds", "Restart", "check_reset", "erased"]
