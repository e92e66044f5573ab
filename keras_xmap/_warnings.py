"""Warnings that point at the user's line, however deep their cause lies."""

import os
import sys
import warnings

_PACKAGE = os.path.dirname(__file__) + os.sep


def warn_user(message):
    """Warns `message` at the line that called into this package.

    While a step is traced, frames of TensorFlow and Keras lie between; the
    outermost frame of this package is the one the user called.
    """
    frame, depth, level = sys._getframe(1), 1, 1
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            level = depth + 1
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, stacklevel=level + 1)
