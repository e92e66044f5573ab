"""What the commands of `keras-xmap` do: explain, compare, report, masks, demo.

They are called by `keras_xmap_command`, which reads the arguments.
"""

from keras_xmap_command import main

__all__ = ["main"]
