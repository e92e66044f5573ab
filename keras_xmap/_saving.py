"""What is registered with Keras, and is what it was when it is loaded."""

import inspect

import keras


def registered(cls=None, *, name=None):
    """Registers a class under `keras_xmap`, whose strings stay strings.

    From an .h5 file, or where functions of a user's have their names, Keras
    hands `from_config` the function `multiply` for the string `"multiply"`.

    Args:
        cls: The class; its config holds no functions.
        name: String: what it is registered as. Defaults to `None`: its name.
    """
    if cls is None:
        return lambda decorated: registered(decorated, name=name)
    inherited = cls.from_config.__func__

    def from_config(kind, config):
        named = {
            key: value.__name__ if inspect.isfunction(value) else value
            for key, value in config.items()
        }
        return inherited(kind, named)

    cls.from_config = classmethod(from_config)
    register = keras.saving.register_keras_serializable
    return register(package="keras_xmap", name=name)(cls)
