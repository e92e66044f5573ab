"""Names for what the annotations of public signatures say."""

import os
from collections.abc import Sequence
from typing import Any
from typing import Literal
from typing import TypeAlias

# A tensor of any backend, or what `keras.ops.convert_to_tensor` takes.
Tensor: TypeAlias = Any
# What `numpy.asarray` takes.
ArrayLike: TypeAlias = Any
# Tensors in lists, tuples and dicts, as Keras models take and return them.
Structure: TypeAlias = Any
Path: TypeAlias = str | os.PathLike[str]
DataFormat: TypeAlias = Literal["channels_last", "channels_first"]
Number: TypeAlias = int | float
Numbers: TypeAlias = Number | Sequence[Number]
