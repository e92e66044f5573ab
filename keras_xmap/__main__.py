"""Runs the command line as `python -m keras_xmap`."""

import sys

from keras_xmap_command import main

if __name__ == "__main__":
    sys.exit(main())
