"""Images without what was found in them, round after round.

`callbacks.AdversarialErasing` runs the rounds inside `model.fit`.
"""

# Not for users: what `callbacks` drives.
from keras_xmap.erasing._advice import advice as advice
from keras_xmap.erasing._rounds import ErasingRounds as ErasingRounds
from keras_xmap.erasing.erased import erased

__all__ = ["erased"]
