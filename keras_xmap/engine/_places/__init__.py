"""Where the positions of a tensor lie in an input: coordinates ride along.

For every axis of an input that holds positions, each position of a tensor has
three numbers in pixels of the input: the middle of what it sees, and the
lowest and the highest pixel of it. They are NumPy arrays that broadcast to the
shape of the tensor: where they are the same along an axis, as along channels,
they have size 1 there. NaN stands for no place: a class token has no centre,
a position of mere padding sees no pixel.
"""

from keras_xmap.engine._places.merging import joined
from keras_xmap.engine._places.merging import merged
from keras_xmap.engine._places.places import Coordinates
from keras_xmap.engine._places.places import Places
from keras_xmap.engine._places.places import Unknown
from keras_xmap.engine._places.places import places_of_input
from keras_xmap.engine._places.places import with_length
from keras_xmap.engine._places.rearrangements import indexed
from keras_xmap.engine._places.rearrangements import moved
from keras_xmap.engine._places.rearrangements import reshaped
from keras_xmap.engine._places.rearrangements import transposed
from keras_xmap.engine._places.rearrangements import without
from keras_xmap.engine._places.reductions import contracted
from keras_xmap.engine._places.reductions import reduced
from keras_xmap.engine._places.reductions import reduced_reading
from keras_xmap.engine._places.sampling import sampled
from keras_xmap.engine._places.sampling import spread
from keras_xmap.engine._places.sampling import typical_step
from keras_xmap.engine._places.sampling import window
from keras_xmap.engine._places.sampling import window_transposed

__all__ = [
    "Coordinates",
    "Places",
    "Unknown",
    "contracted",
    "indexed",
    "joined",
    "merged",
    "moved",
    "places_of_input",
    "reduced",
    "reduced_reading",
    "reshaped",
    "sampled",
    "spread",
    "transposed",
    "typical_step",
    "window",
    "window_transposed",
    "with_length",
    "without",
]
