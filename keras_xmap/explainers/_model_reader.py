"""What everything that is made for one model shares."""

from keras_xmap import engine
from keras_xmap._checks import check_layer
from keras_xmap._checks import check_one_of
from keras_xmap._repr import call_repr


class ModelReader:
    """Checks the model, keeps compiled steps, copies, pickles and prints.

    Args:
        model: See `Explainer`.
        score: See `Explainer`.
    """

    def __init__(self, model, score):
        self.model = check_layer("model", model)
        self.score = check_one_of("score", score, ("logits", "output"))
        self.score_used = None
        self._runners = {}
        self._runner_of("_compute_float32")

    def __getstate__(self):
        # Compiled steps and locks are not copied; they are made anew.
        return {**vars(self), "_runners": {}}

    def __repr__(self):
        return call_repr(self, positional=("model",))

    @property
    def _runner(self):
        return self._runner_of("_compute_float32")

    def _runner_of(self, method):
        """Returns the `Runner` of a method, of this object and no copy."""
        runner = self._runners.get(method)
        if runner is None:
            runner = engine.Runner(self.model, getattr(self, method), self.note)
            runner = self._runners.setdefault(method, runner)
        return runner

    def note(self, notes):
        """Takes over what a step noted of itself, as attributes."""
        vars(self).update(notes)
