"""What everything that is made for one model shares."""

import types

from keras_xmap import engine
from keras_xmap._checks import check_layer
from keras_xmap._checks import check_one_of
from keras_xmap._repr import call_repr
from keras_xmap._warnings import warn_user


class ModelReader:
    """Checks the model, keeps compiled steps, copies, pickles and prints.

    Args:
        model: See `Explainer`.
        score: See `Explainer`.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" not in vars(cls):
            # An argument that it does not know names the class that was made.
            cls.__init__ = _named(cls.__init__, f"{cls.__qualname__}.__init__")

    def __init__(self, model, score):
        self.model = check_layer("model", model)
        self.score = check_one_of("score", score, ("logits", "output"))
        self.score_used = None
        self._told = set()  # warnings that need no repetition
        self._runners = {}
        self._runner_of("_compute_float32")

    def __getstate__(self):
        # Compiled steps and locks are not copied; they are made anew.
        return {**vars(self), "_runners": {}, "_told": set()}

    def __repr__(self):
        return call_repr(self, positional=("model",))

    @property
    def _runner(self):
        return self._runner_of("_compute_float32")

    def _runner_of(self, method):
        """Returns the `Runner` of a method, of this object and no copy."""
        runner = self._runners.get(method)
        if runner is None:
            runner = engine.Runner(
                self.model, getattr(self, method), self._note
            )
            runner = self._runners.setdefault(method, runner)
        return runner

    def _warn_once(self, message):
        """Warns the user, unless this object has said the same before."""
        if message not in self._told:
            self._told.add(message)
            warn_user(message)

    def _note(self, notes):
        """Takes over what a step noted of itself, as attributes."""
        vars(self).update(notes)


def _named(function, qualified_name):
    """Returns the same function under another name."""
    copy = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__annotations__ = function.__annotations__
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__qualname__ = qualified_name
    return copy
