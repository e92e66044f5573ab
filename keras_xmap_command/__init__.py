"""The command `keras-xmap`, up to where a model is needed.

`import keras_xmap` imports Keras and its backend, which takes seconds and
prints lines of its own. What needs neither, such as help, the list of methods
and mistakes in arguments, stands here, beside the package; the commands
themselves are in `keras_xmap.cli`.
"""

from keras_xmap_command._commands import main
from keras_xmap_command._methods import DEFAULT_LAYERS
from keras_xmap_command._methods import METHODS
from keras_xmap_command._methods import method_name
from keras_xmap_command._options import as_options

__all__ = ["DEFAULT_LAYERS", "METHODS", "as_options", "main", "method_name"]
