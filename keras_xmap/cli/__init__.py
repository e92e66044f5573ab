"""The command line: `keras-xmap explain | methods | demo`."""

from keras_xmap.cli.commands import main

__all__ = ["main"]
